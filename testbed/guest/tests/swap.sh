#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# swap.sh on HOST [KILOBYTES]: swaps to the whole card of this MMC host, or to
# the first kilobytes of it, and prepares it for the image of a hibernation. The card's
# contents are lost.
# swap.sh off HOST: ends that.
# swap.sh resume HOST: goes on as the system that hibernated there.

# shellcheck source=lib.sh
. "${0%/*}/lib.sh"
# shellcheck source=storage-lib.sh
. "${0%/*}/storage-lib.sh"

# resume_from NAME: looks for an image there, and goes on from it.
resume_from() {
	cat "/sys/class/block/$1/dev" >/sys/power/resume
}

name=$(block_device "$2")
case $1 in
on)
	# shellcheck disable=SC2086 # no size, no word
	mkswap "/dev/$name" ${3:-} >/dev/null || exit
	# The device of an earlier resume has another name if the cards changed
	# places since. There is no image yet: nothing happens but this.
	resume_from "$name"
	swapon "/dev/$name"
	;;
off) swapoff "/dev/$name" ;;
resume) resume_from "$name" ;;
esac
