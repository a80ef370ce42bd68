#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# vfio.sh: gives a PCI device to a program. The device must be QEMU's edu, whose DMA
# any program can steer.

# shellcheck source=lib.sh
. "${0%/*}/lib.sh"
edu=
for device in /sys/bus/pci/devices/*; do
	grep -qs 0x1234 "$device/vendor" && grep -qs 0x11e8 "$device/device" && edu=${device##*/}
done
[ -n "$edu" ] || skip_all "there is no edu on PCIe"
userdma=${suites%/*}/bin/userdma
[ -x "$userdma" ] || skip_all "the archive was made without userdma"
[ -c /dev/iommu ] || skip_all "the kernel has no iommufd"
[ "$(cat /sys/module/iommufd/parameters/allow_unsafe_interrupts 2>/dev/null)" = Y ] ||
	skip_all "VFIO takes no device without iommufd.allow_unsafe_interrupts=1"

ktap_plan 2
"$userdma" "$edu" take >"$work/userdma"
ktap_result $? "vfio takes $edu"
"$userdma" "$edu" spaces 8 >"$work/userdma"
status=$?
grep '^# ' "$work/userdma"
ktap_result $status "DMA goes where it may, in one address space after the other"
tell "/sys/bus/pci/devices/$edu/driver_override" ""
tell /sys/bus/pci/drivers/vfio-pci/unbind "$edu"
ktap_exit
