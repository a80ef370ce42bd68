#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# freeze.sh: sleeps without the firmware. Nothing loses power, but the registers
# are written back.

# shellcheck source=lib.sh
. "${0%/*}/lib.sh"
# shellcheck source=sleep-lib.sh
. "${0%/*}/sleep-lib.sh"
grep -qw freeze /sys/power/state 2>/dev/null || skip_all "the kernel does not offer it"
why=$(why_no_wakeup freeze)
[ -z "$why" ] || skip_all "$why"

# A key on the console wakes it.
arm() {
	for file in /sys/class/tty/ttySC*/power/wakeup; do
		[ ! -e "$file" ] || echo "$1" >"$file"
	done
}

ktap_plan 5
begin_sleeping
[ "$wake" = rtc ] || arm enabled
expect_wakeup freeze
tell /sys/power/state freeze
ktap_result $? "sleeps and wakes"
[ "$wake" = rtc ] || arm disabled
echo "# awake" >&3
end_sleeping 1
ktap_exit
