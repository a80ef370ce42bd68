#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# bound.sh: prints the devices that the IPMMU driver is bound to, one per line.

for device in /sys/bus/platform/drivers/ipmmu-vmsa/*iommu*; do
	[ -e "$device/uevent" ] && echo "${device##*/}"
done
exit 0
