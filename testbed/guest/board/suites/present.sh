#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# present.sh: fails unless each IPMMU of the device tree has the driver, and something is
# behind them.

# shellcheck source=lib.sh
. "${0%/*}/lib.sh"
ipmmus_here=$(all_ipmmus)
[ -n "$ipmmus_here" ] || skip_all "the device tree has no IPMMU"
# shellcheck disable=SC2086 # words are what is wanted
ktap_plan $(($(echo $ipmmus_here | wc -w) + 1))

fact kernel "$(uname -r)"
fact model "$(tr -d '\0' </proc/device-tree/model 2>/dev/null)"
if [ -d "$debugfs" ]; then
	fact driver "ipmmu_vmsa (Rust)"
else
	fact driver "upstream's, or debugfs is missing"
fi
for soc in /sys/devices/soc0/soc_id /sys/devices/soc0/revision; do
	[ -e "$soc" ] && fact "${soc##*/}" "$(cat "$soc")"
done

for ipmmu in $ipmmus_here; do
	# Caches are bound after their root.
	tries=50
	until [ -e "$ipmmus/$ipmmu" ] || [ $tries -eq 0 ]; do
		usleep 100000
		tries=$((tries - 1))
	done
	[ -e "$ipmmus/$ipmmu" ]
	ktap_result $? "$ipmmu has a driver"
done

count=0
for device in /sys/class/iommu/*/devices/*; do
	[ -e "$device" ] || continue
	name=${device##*/}
	fact "$name" "$(cat "$device/iommu_group/type" 2>/dev/null)"
	count=$((count + 1))
done
[ $count -gt 0 ]
ktap_result $? "there are devices behind them"
ktap_exit
