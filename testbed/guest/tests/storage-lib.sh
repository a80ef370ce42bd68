# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# Functions of the storage tests. HOST is an MMC host's device, as ee140000.mmc,
# or a PCI function that is an NVMe controller, as 0000:01:00.0; its card or
# disk has an ext4 file system.

work=/tmp/storage
original=$work/original

# block_device HOST: waits for its device, and prints the name in /dev.
block_device() {
	tries=100
	while [ "$tries" -gt 0 ]; do
		for name in "/sys/bus/platform/devices/$1"/mmc_host/*/*:*/block/* \
			"/sys/bus/pci/devices/$1"/nvme/*/nvme*n*; do
			[ -d "$name" ] && echo "${name##*/}" && return
		done
		usleep 100000
		tries=$((tries - 1))
	done
}

# mounted HOST: mounts it unless it is, and prints where.
mounted() {
	dir=$work/$1
	if ! grep -q " $dir " /proc/mounts; then
		mkdir -p "$dir"
		mount -t ext4 "/dev/$(block_device "$1")" "$dir" || return 1
	fi
	echo "$dir"
}

# new_original MEGABYTES: makes a file to write, in memory.
new_original() {
	mkdir -p "$work"
	head -c "$(($1 << 20))" /dev/urandom >"$original"
}

# on_card FILE: succeeds if the file, as it is on the card or disk and not in memory,
# is the original.
on_card() {
	sync
	echo 3 >/proc/sys/vm/drop_caches
	[ -s "$1" ] && cmp "$1" "$original"
}
