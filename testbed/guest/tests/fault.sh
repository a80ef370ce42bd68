#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# fault.sh CONTROLLER CHANNEL ADDRESS [later]: makes one channel of a SYS-DMAC read
# from an address that is not mapped, and expects it to be stopped; or only prepares
# it, so that DE in CHCR starts it.
# CHANNEL is the hardware's number; Linux leaves channel 0 alone where an IOMMU
# is in front, so no driver is disturbed. CHANNELS and STRIDE say where its registers
# are, if not where Gen3 has them.

# shellcheck source=lib.sh
. "${0%/*}/lib.sh"
controller=$1
base=0x${controller%%.*}
channel=$((${CHANNELS:-base + 0x8000} + ${STRIDE:-0x80} * $2))
dmaor=$((base + 0x60))

# The registers cannot be reached while the controller sleeps.
echo on >"/sys/bus/platform/devices/$controller/power/control"
before=$(devmem $dmaor 16)
devmem $((channel + 0x0c)) 32 0
devmem $((channel + 0x10)) 32 $(($3 >> 32))
devmem $((channel + 0x14)) 32 $(($3 >> 32))
devmem $((channel + 0x00)) 32 $(($3 & 0xffffffff))
devmem $((channel + 0x04)) 32 $(($3 & 0xffffffff))
devmem $((channel + 0x08)) 32 4
devmem $dmaor 16 $((before | 1))
# Four-byte units, both addresses counting up, started by software.
devmem $((channel + 0x0c)) 32 0x5410
[ "${4:-}" != later ] || exit 0
devmem $((channel + 0x0c)) 32 0x5411

tries=100
chcr=0
# The channel says that it is done (TE), or that an address was refused (CAE).
while [ $((chcr & 0x80000002)) -eq 0 ] && [ $tries -gt 0 ]; do
	chcr=$(($(devmem $((channel + 0x0c)) 32)))
	tries=$((tries - 1))
done
devmem $((channel + 0x0c)) 32 0
devmem $dmaor 16 "$before"
echo auto >"/sys/bus/platform/devices/$controller/power/control"

ktap_plan 1
fact CHCR "$(printf '%#x' "$chcr")"
[ $((chcr & 0x80000000)) -ne 0 ]
ktap_result $? "$controller channel $2 is refused $3"
ktap_exit
