#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# pm-test.sh: suspends up to the call of the firmware, and turns around there. The
# board wakes by itself.

# shellcheck source=lib.sh
. "${0%/*}/lib.sh"
# shellcheck source=sleep-lib.sh
. "${0%/*}/sleep-lib.sh"
[ -e /sys/power/pm_test ] || skip_all "the kernel has no CONFIG_PM_DEBUG"
delay=/sys/module/suspend/parameters/pm_test_delay
stages='devices platform processors core'

ktap_plan 8
begin_sleeping
[ ! -e $delay ] || echo 0 >$delay
count=0
for stage in $stages; do
	grep -q "$stage" /sys/power/pm_test || {
		ktap_skip "$stage" "the kernel does not offer it"
		continue
	}
	case $stage in
	processors | core)
		grep -q '\[deep\]' /sys/power/mem_sleep || {
			ktap_skip "$stage" "mem does not go that deep here: see /sys/power/mem_sleep"
			continue
		}
		;;
	esac
	echo "$stage" >/sys/power/pm_test
	tell /sys/power/state mem
	ktap_result $? "$stage"
	[ "$stage" = devices ] || count=$((count + 1))
done
echo none >/sys/power/pm_test
[ ! -e $delay ] || echo 5 >$delay
end_sleeping $count
ktap_exit
