#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# unpowered.sh: IPMMUs that nobody needs say that they are not in use, and come
# back when somebody is.

# shellcheck source=lib.sh
. "${0%/*}/lib.sh"
[ -d "$debugfs" ] || skip_all "the driver has no debugfs"
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
	echo on >"$control"
	head -n 1 "$debugfs/$ipmmu/saved" | grep -q '^awake, .* 0 registers lost$'
	status=$?
	echo auto >"$control"
	fact "$ipmmu.saved" "$(head -n 1 "$debugfs/$ipmmu/saved")"
	ktap_result $status "$ipmmu comes back"
done
ktap_exit
