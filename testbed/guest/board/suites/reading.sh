#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# reading.sh: reads the beginning of each card and disk twice. Writes nothing. Skips
# hosts that are not translated.

# shellcheck source=lib.sh
. "${0%/*}/lib.sh"
# shellcheck source=../../tests/storage-lib.sh
. "$tests/storage-lib.sh"
found=$(hosts | sort -u)
[ -n "$found" ] || skip_all "there is no card in an MMC host, and no NVMe"

# sum_of DEVICE: prints the checksum of its first 16 MiB, past the cache.
sum_of() {
	echo 3 >/proc/sys/vm/drop_caches
	dd if="/dev/$1" bs=65536 count=256 2>/dev/null | md5sum
}

# shellcheck disable=SC2086 # words are what is wanted
ktap_plan "$(echo $found | wc -w)"
for host in $found; do
	device=$(block_device "$host")
	if ! is_translated "$host"; then
		ktap_skip "$host ($device)" "$host is not translated"
		continue
	fi
	first=$(sum_of "$device")
	second=$(sum_of "$device")
	# What is mounted may be written to in between.
	if [ "$first" != "$second" ] && is_in_use "$device"; then
		ktap_skip "$host ($device)" "it is in use, and changes"
		continue
	fi
	[ -n "$device" ] && [ "$first" = "$second" ]
	ktap_result $? "$host ($device)"
done
ktap_exit
