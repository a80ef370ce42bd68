#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# silicon.sh: points the micro-TLB of a DMAC's channel 0 to a context that is off, and
# copies a word of the kernel's code onto itself. It tells whether the word was reached.
# It writes registers of the IPMMU beside the driver, so it runs only if asked for.

# shellcheck source=lib.sh
. "${0%/*}/lib.sh"
dmac=$(dmacs | head -n 1)
[ -n "$dmac" ] || skip_all "no SYS-DMAC is translated: see ipmmu_vmsa.allow="
for link in "/sys/bus/platform/devices/$dmac"/supplier:platform:*.iommu; do
	cache=${link##*:}
done
for file in "$debugfs"/*/contexts; do
	root=${file%/contexts}
	root=${root##*/}
done
[ -e "/sys/bus/platform/devices/$cache" ] || skip_all "$dmac has no link to its IPMMU"
[ -e "$debugfs/$root/contexts" ] || skip_all "this driver has no root"
[ "$cache" != "$root" ] || skip_all "on Gen2 the only context is on"
! grep -q rcar-gen4 "/sys/bus/platform/devices/$root/uevent" ||
	skip_all "Gen4's registers are elsewhere than this looks for them"
for device in "$dmac" "$cache" "$root"; do
	echo on >"/sys/bus/platform/devices/$device/power/control"
done
can_peek $((0x${root%%.*} + 0x40)) || skip_all "/dev/mem does not show registers: see CONFIG_IO_STRICT_DEVMEM"

# imctr NUMBER: prints the control register of a context in the root.
imctr() {
	devmem $((0x${root%%.*} + 0x40 * $1)) 32
}

off=1
while [ $off -lt 7 ] && [ $(($(imctr $off) & 1)) -ne 0 ]; do
	off=$((off + 1))
done
[ $off -lt 7 ] || skip_all "all contexts of $root are on: name fewer devices in ipmmu_vmsa.allow="
code=$(sed -n 's/^ *\([0-9a-f]*\)-.*Kernel code$/\1/p' /proc/iomem | head -n 1)
[ $((0x${code:-0})) -ne 0 ] || skip_all "/proc/iomem has no address of the kernel's code"
# The second cell of the first entry: channel 0.
utlb=$((0x$(od -An -tx1 -j4 -N4 "$(of_node "$dmac")/iommus" | tr -d ' ')))
imuctr=$((0x${cache%%.*} + 0x300 + 16 * utlb))

ktap_plan 2
before=$(devmem $imuctr 32)
devmem $imuctr 32 $((off << 4 | 3))
devmem $imuctr 32 >/dev/null
"$tests/fault.sh" "$dmac" 0 "0x$code" >"$work/off"
chcr=$(sed -n 's/^# CHCR=//p' "$work/off")
devmem $imuctr 32 $((before | 2))
after=$(devmem $imuctr 32)
case $((chcr & 0x80000002)) in
2) fact off.passes yes ;;
$((0x80000000))) fact off.passes no ;;
*) false ;;
esac
ktap_result $? "the channel ends"
[ $((after & ~2)) -eq $((before & ~2)) ]
ktap_result $? "the micro-TLB is as before"
for device in "$dmac" "$cache" "$root"; do
	echo auto >"/sys/bus/platform/devices/$device/power/control"
done
ktap_exit
