#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# storage.sh HOST...: writes a file to the card or disk of each of these hosts,
# and reads it back from there.

# shellcheck source=lib.sh
. "${0%/*}/lib.sh"
# shellcheck source=storage-lib.sh
. "${0%/*}/storage-lib.sh"
size=${SIZE:-4}

ktap_plan $#
for host in "$@"; do
	new_original "$size"
	dir=$(mounted "$host") && cp "$original" "$dir/file" && on_card "$dir/file"
	status=$?
	[ "$status" -ne 0 ] || fact bytes "$(wc -c <"$dir/file")"
	ktap_result "$status" "$host"
done
ktap_exit
