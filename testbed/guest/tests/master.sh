#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# master.sh: steers a channel of a SYS-DMAC behind the back of its driver. CONTROLLER
# is e6700000, and CHANNEL the hardware's number: Linux leaves channel 0 alone
# where an IOMMU is in front.
#
# master.sh copy CONTROLLER CHANNEL FROM TO: copies four bytes once; prints
#	"copied" or "refused".
# master.sh endless CONTROLLER CHANNEL IOVA MEMORY: copies a page to the next one,
#	over and over, until it is refused. The pages are at IOVA, and for the CPU
#	at MEMORY; the one after them gets the descriptor.
# master.sh state CONTROLLER CHANNEL: prints "copying", "refused" or "idle".
set -eu

verb=$1
base=0x$2
channel=$((base + 0x8000 + 0x80 * $3))

# write_register OFFSET VALUE: writes a register of the channel.
write_register() {
	devmem $((channel + $1)) 32 "$2"
}

chcr() {
	devmem $((channel + 0x0c)) 32
}

prepare() {
	write_register 0x0c 0
	write_register 0x10 0
	write_register 0x14 0
	dmaor=$((base + 0x60))
	devmem $dmaor 16 $(($(devmem $dmaor 16) | 1))
}

case $verb in
copy)
	prepare
	write_register 0x00 "$4"
	write_register 0x04 "$5"
	write_register 0x08 1
	# Four-byte units, both addresses counting up, started by software.
	write_register 0x0c 0x5411
	until [ $(($(chcr) & 0x80000002)) -ne 0 ]; do :; done
	[ $(($(chcr) & 0x80000000)) -eq 0 ] && echo copied || echo refused
	write_register 0x0c 0
	;;
endless)
	iova=$(($4))
	memory=$(($5))
	devmem $((memory + 0x2000)) 32 $iova
	devmem $((memory + 0x2004)) 32 $((iova + 0x1000))
	devmem $((memory + 0x2008)) 32 1024
	prepare
	write_register 0x50 $((iova + 0x2001))
	write_register 0x60 0
	write_register 0x1c 0x8000
	# The same, endlessly, with source, destination and count from a descriptor.
	write_register 0x0c 0x3e005411
	;;
state)
	case $(($(chcr) & 0x80000001)) in
	0) echo idle ;;
	1) echo copying ;;
	*) echo refused ;;
	esac
	;;
esac
