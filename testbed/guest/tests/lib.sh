# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# Functions of all tests. They use standard Linux interfaces only, so that they
# run on real boards as well.

ktap_count=0
ktap_failed=0

# ktap_plan TESTS: announces the number of tests.
ktap_plan() {
	echo "KTAP version 1"
	echo "1..$1"
}

# ktap_result STATUS NAME: gives one test's result; a status of 0 is good.
ktap_result() {
	ktap_count=$((ktap_count + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $ktap_count $2"
	else
		echo "not ok $ktap_count $2"
		ktap_failed=1
	fi
}

# fact KEY VALUE: notes a measurement for the reader of the results.
fact() {
	echo "# $1=$2"
}

# log_mark: marks the place in the kernel's log from which log_since prints.
log_mark() {
	mark="tests: mark $$ $(cut -d ' ' -f 1 /proc/uptime)"
	echo "$mark" >/dev/kmsg
}

# log_since: prints the kernel's messages since the last mark.
log_since() {
	dmesg | awk -v mark="$mark" 'seen; index($0, mark) { seen = 1 }'
}

# channels_of DEVICE: prints the DMA channels of a controller, one per line. Waits
# for its driver, which itself may have waited for the IOMMU.
channels_of() {
	channel_of "$1" >/dev/null
	# shellcheck disable=SC2012 # sysfs names are tame
	ls "/sys/bus/platform/devices/$1/dma" | sort -t n -k 2 -n
}

# channel_of DEVICE[:INDEX]: prints one of them, counted from 0; the first without INDEX.
# Waits for it: a controller that is being probed registers one after the other.
channel_of() {
	index=0
	[ "${1%%:*}" = "$1" ] || index=${1#*:}
	tries=100
	while [ $tries -gt 0 ]; do
		# shellcheck disable=SC2012 # as above
		ls "/sys/bus/platform/devices/${1%%:*}/dma" 2>/dev/null |
			sort -t n -k 2 -n | sed -n "$((index + 1))p" | grep . && return
		usleep 100000
		tries=$((tries - 1))
	done
	return 1
}

# ktap_all_good: succeeds if nothing has failed so far.
ktap_all_good() {
	[ "$ktap_failed" -eq 0 ]
}

# ktap_exit: ends the script, and fails if a test has failed.
ktap_exit() {
	exit "$ktap_failed"
}
