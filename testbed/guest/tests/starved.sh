#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# starved.sh CONTROLLER: records in /tmp/starved the state of a SYS-DMAC to which a driver was bound
# while an allocation failed. Removes the controller and adds it again, for the driver "reappear".
# Fails if the controller reaches memory because the IPMMU's driver was short of it.

device=/sys/bus/platform/devices/$1
present=/sys/module/reappear/parameters/present
ram=0x50000000

# The stack of the allocation names modules.
cause=$(dmesg | awk '/starved: mark/ { of = "the kernel" } /\[ipmmu_vmsa/ { of = "ours" } END { print of }')
if [ ! -e "$device/driver" ]; then
	became=waits
elif [ -e "$device/iommu_group" ]; then
	became=grouped
elif "${0%/*}/fault.sh" "$1" 0 $ram >/dev/null; then
	became=refused
else
	became=passes
fi
echo "$became, $cause" >>/tmp/starved

[ ! -e "$device/driver" ] || echo "$1" >"$device/driver/unbind"
echo N >$present
echo late >$present
echo reappear >"$device/driver_override"
for kind in failslab fail_page_alloc; do
	echo 2 >/sys/kernel/debug/$kind/verbose
	echo 0 >/sys/kernel/debug/$kind/verbose_ratelimit_interval_ms
done
echo "starved: mark" >/dev/kmsg
if [ "$became, $cause" = "passes, ours" ]; then
	echo "$1 reaches memory" >&2
	exit 1
fi
