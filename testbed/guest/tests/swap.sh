#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# swap.sh on HOST [KILOBYTES]: swaps to the whole card of this MMC host, or to
# the first kilobytes of it. What was on the card is lost.
# swap.sh off HOST: no more.
# swap.sh resume HOST: goes on as the system that hibernated there.

# shellcheck source=lib.sh
. "${0%/*}/lib.sh"
# shellcheck source=storage-lib.sh
. "${0%/*}/storage-lib.sh"

name=$(block_device "$2")
case $1 in
on)
	# shellcheck disable=SC2086 # no size, no word
	mkswap "/dev/$name" ${3:-} >/dev/null && swapon "/dev/$name"
	;;
off) swapoff "/dev/$name" ;;
resume) cat "/sys/class/block/$name/dev" >/sys/power/resume ;;
esac
