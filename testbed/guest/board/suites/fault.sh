#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# fault.sh: makes a DMAC read from an address that is not mapped. It must be stopped,
# and reported once, with that address.

# shellcheck source=lib.sh
. "${0%/*}/lib.sh"
dmac=$(dmacs | head -n 1)
[ -n "$dmac" ] || skip_all "no SYS-DMAC is translated: see ipmmu_vmsa.allow="
echo on >"/sys/bus/platform/devices/$dmac/power/control"
! grep -q rcar-gen4-dmac "/sys/bus/platform/devices/$dmac/uevent" ||
	skip_all "the channels of Gen4's DMACs are elsewhere than this looks for them"
# DMAOR.
can_peek $((0x${dmac%%.*} + 0x60)) 16 || skip_all "/dev/mem does not show registers: see CONFIG_IO_STRICT_DEVMEM"

# interrupts: prints how often the IPMMUs interrupted, by line.
interrupts() {
	grep 'ipmmu-vmsa\|\.iommu' /proc/interrupts |
		awk '{ sum = 0; for (i = 2; $i ~ /^[0-9]+$/; i++) sum += $i; print $1 sum }'
}

# Linux gives out addresses from the top.
address=0x12345678
ktap_plan 3
log_mark
interrupts >"$work/interrupts"
"$tests/fault.sh" "$dmac" 0 $address >"$work/fault"
ktap_result $? "$dmac is stopped"
# The DMAC's own error may come first.
tries=50
until log_since | grep -q 'Unhandled fault' || [ $tries -eq 0 ]; do
	usleep 20000
	tries=$((tries - 1))
done
log_since | grep 'Unhandled fault' >"$work/faults"
sed 's/^/# /' "$work/faults"
[ "$(wc -l <"$work/faults")" -eq 1 ]
ktap_result $? "one report"
grep -q "iova $address" "$work/faults"
ktap_result $? "of address $address"
interrupts | diff "$work/interrupts" - | sed -n 's/^[<>]/# interrupts:/p'
ktap_exit
