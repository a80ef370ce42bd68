#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# firmware.sh: looks at what the firmware left in the IPMMUs, and whether the driver can
# be loaded. Skips all of it once the driver is there.

# shellcheck source=lib.sh
. "${0%/*}/lib.sh"
[ -z "$(bound)" ] || skip_all "a driver is bound already, what was there before is gone"
ktap_plan 2

looked=1
for ipmmu in $(all_ipmmus); do
	base=0x${ipmmu%%.*}
	always_on "$ipmmu" || continue
	case $(cat "/sys/bus/platform/devices/$ipmmu/uevent") in
	*rcar-gen4-ipmmu*) control=$((base + 0x1000)) context=$((base + 0x11040)) ;;
	# Gen2 has no control registers.
	*renesas,ipmmu-vmsa*) continue ;;
	*) control=$((base)) context=$((base + 0x40)) ;;
	esac
	can_peek $((control + 0x500)) || continue
	looked=0
	fact "$ipmmu.IMSCTLR" "$(devmem $((control + 0x500)) 32)"
	fact "$ipmmu.IMSAUXCTLR" "$(devmem $((control + 0x504)) 32)"
	fact "$ipmmu.IMCTR1" "$(devmem "$context" 32)"
done
if [ $looked -eq 0 ]; then
	ktap_result 0 "registers before the driver"
else
	ktap_skip "registers before the driver" "/dev/mem does not show them"
fi

names=$(for d in /sys/bus/platform/devices/e[67]*.dma-controller; do echo "${d##*/}"; done)
allow=$(echo "$names" | tr '\n' ',')
modprobe ipmmu_vmsa "allow=${allow%,}"
ktap_result $? "modprobe ipmmu_vmsa"
ktap_exit
