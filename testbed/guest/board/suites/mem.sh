#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# mem.sh: sleeps through the firmware, which switches the SoC off. Writes to the cards
# that --scratch names meanwhile.

# shellcheck source=lib.sh
. "${0%/*}/lib.sh"
# shellcheck source=sleep-lib.sh
. "${0%/*}/sleep-lib.sh"
grep -qw deep /sys/power/mem_sleep 2>/dev/null ||
	skip_all "the firmware has no PSCI SYSTEM_SUSPEND: mem_sleep does not offer deep"
# The BD9571MWV of the Starter Kits: memory must be powered while the SoC is not.
for mode in /sys/bus/i2c/devices/*/bd9571mwv-regulator*/backup_mode; do
	[ ! -e "$mode" ] || [ "$(cat "$mode")" = on ] ||
		skip_all "memory would not be powered: echo on > $mode"
done
why=$(why_no_wakeup mem)
[ -z "$why" ] || skip_all "$why"

# probe_register: names a register of a micro-TLB that is not in use. The driver does not
# restore it: it shows what a sleep does to the hardware.
probe_register() {
	[ -d "$debugfs" ] || return
	for ipmmu in $(bound); do
		always_on "$ipmmu" || continue
		[ -n "$(cat "$debugfs/$ipmmu/utlbs")" ] || continue
		# Gen2 and Gen4 have it elsewhere.
		grep -q "COMPATIBLE.*ipmmu-vmsa" "/sys/bus/platform/devices/$ipmmu/uevent" && return
		for utlb in 31 30 29 28; do
			grep -q "^uTLB $utlb:" "$debugfs/$ipmmu/utlbs" && continue
			# IMUASID.
			echo $((0x${ipmmu%%.*} + 0x308 + 16 * utlb))
			return
		done
	done
}

# shellcheck disable=SC2086 # words are what is wanted
set -- $scratch
loads=
: >"$work/idle"
for host in "$@"; do
	if ! is_translated "$host"; then
		echo "$host is not translated" >>"$work/idle"
	elif SIZE=1 "$tests/storage-load.sh" start "$host" >"$work/load"; then
		loads="$loads $host"
	else
		echo "$host has no file system that can be mounted" >>"$work/idle"
	fi
done

ktap_plan $((cycles + 4 + $#))
echo deep >/sys/power/mem_sleep
begin_sleeping
probe=$(probe_register)
if [ -n "$probe" ] && can_peek "$probe"; then
	devmem "$probe" 32 0x5a
	fact "IMUASID.kept" "$([ "$(($(devmem "$probe" 32)))" -eq 90 ] && echo yes || echo no)"
fi
count=0
while [ $count -lt "$cycles" ]; do
	count=$((count + 1))
	expect_wakeup mem
	tell /sys/power/state mem
	ktap_result $? "mem, the ${count}. time"
	echo "# awake" >&3
done
if [ -n "$probe" ] && can_peek "$probe"; then
	fact "IMUASID.survived" "$([ "$(($(devmem "$probe" 32)))" -eq 90 ] && echo yes || echo no)"
	devmem "$probe" 32 0
fi
end_sleeping "$cycles"
for host in $loads; do
	"$tests/storage-load.sh" stop "$host" >"$work/load"
	status=$?
	grep '^#' "$work/load"
	"$tests/storage-load.sh" umount "$host" >"$work/load"
	ktap_result $status "$host was written to meanwhile"
done
while read -r host why; do
	ktap_skip "$host was written to meanwhile" "$host $why"
done <"$work/idle"
ktap_exit
