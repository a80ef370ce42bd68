#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# unpowered.sh: fails unless idle IPMMUs say that they are not in use, and come back
# with their first user.

# shellcheck source=lib.sh
. "${0%/*}/lib.sh"
idle=
for ipmmu in $(bound); do
	status=$(cat "/sys/bus/platform/devices/$ipmmu/power/runtime_status")
	fact "$ipmmu.runtime" "$status"
	[ "$status" != suspended ] || idle="$idle $ipmmu"
done
grep -s ipmmu /sys/kernel/debug/pm_genpd/pm_genpd_summary | sed 's/^/# genpd: /'
[ -n "$idle" ] || skip_all "no IPMMU is idle"

# shellcheck disable=SC2086 # words are what is wanted
ktap_plan "$(echo $idle | wc -w)"
for ipmmu in $idle; do
	control=/sys/bus/platform/devices/$ipmmu/power/control
	log_mark
	echo on >"$control"
	awake=$(cat "/sys/bus/platform/devices/$ipmmu/power/runtime_status")
	lost=$(log_since | grep -c ' after resume, 0x[0-9a-f]* expected')
	echo auto >"$control"
	fact "$ipmmu.lost" "$lost"
	[ "$awake" = active ] && [ "$lost" -eq 0 ]
	ktap_result $? "$ipmmu comes back"
done
ktap_exit
