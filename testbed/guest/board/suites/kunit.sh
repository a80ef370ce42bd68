#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# kunit.sh: passes on the results of the driver's own tests, which ran when it was loaded.

# shellcheck source=lib.sh
. "${0%/*}/lib.sh"
count=0
for results in /sys/kernel/debug/kunit/ipmmu*/results; do
	[ ! -e "$results" ] || count=$((count + 1))
done
[ $count -gt 0 ] ||
	skip_all "the kernel has no KUnit, or was not started with kunit.enable=1 kunit.autorun=1"
ktap_plan $count
for results in /sys/kernel/debug/kunit/ipmmu*/results; do
	name=${results%/results}
	sed 's/^/# /' "$results"
	grep -q '^ok ' "$results" && ! grep -q 'not ok' "$results"
	ktap_result $? "${name##*/}"
done
ktap_exit
