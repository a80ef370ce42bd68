#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# writing.sh: writes a file to each card that --scratch names, and reads it back.

# shellcheck source=lib.sh
. "${0%/*}/lib.sh"
# shellcheck source=../../tests/storage-lib.sh
. "$tests/storage-lib.sh"
# shellcheck disable=SC2086 # words are what is wanted
set -- $scratch
[ $# -gt 0 ] || skip_all "no --scratch names a card to write to"

ktap_plan $#
for host in "$@"; do
	device=$(block_device "$host")
	if [ -z "$device" ]; then
		ktap_skip "$host" "there is no card or disk"
	elif ! is_translated "$host"; then
		ktap_skip "$host" "$host is not translated"
	elif is_in_use "$device"; then
		false
		ktap_result $? "$host: /dev/$device is in use, give another one"
	elif ! mounted "$host" >/dev/null 2>&1 && ! mkfs.ext4 -q -F "/dev/$device"; then
		ktap_skip "$host" "it has no ext4, and there is no mkfs.ext4 to make one"
	else
		"$tests/storage.sh" "$host" >"$work/storage"
		status=$?
		grep '^#' "$work/storage"
		umount "/tmp/storage/$host"
		ktap_result $status "$host"
	fi
done
ktap_exit
