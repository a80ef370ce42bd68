# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# Functions of the suites that sleep, on top of lib.sh.

# lib.sh comes first.
export work="${work:?}" wake="${wake:?}" debugfs="${debugfs:?}" tests="${tests:?}"

# Seconds until the clock rings. The board must be asleep by then.
patience=${WAKE_AFTER:-10}
rtcs=${RTCS:-/sys/class/rtc}

# alarm: names the real time clock that can wake the board.
alarm() {
	for rtc in "$rtcs"/rtc*; do
		[ -e "$rtc/wakealarm" ] && echo "$rtc/wakealarm" && return
	done
}

# why_no_wakeup STATE: prints the reason if nothing can wake the board.
why_no_wakeup() {
	[ "$wake" = external ] || [ -n "$(alarm)" ] ||
		echo "no clock can wake the board from $1: see --wake external"
}

# expect_wakeup STATE: prepares the wakeup, last of all before the board falls asleep.
expect_wakeup() {
	if [ "$wake" = rtc ]; then
		echo 0 >"$(alarm)"
		echo "+$patience" >"$(alarm)"
	else
		# Not through the pipe of the results: its reader sleeps, too.
		echo "# wake me from $1" >&3
	fi
}

# stay_awake on|auto: keeps IPMMUs from saving power for themselves, or lets them.
stay_awake() {
	for ipmmu in $(bound); do
		echo "$1" >"/sys/bus/platform/devices/$ipmmu/power/control"
	done
}

# registers: prints the registers of all contexts and micro-TLBs in use.
registers() {
	for ipmmu in $(bound); do
		echo "$ipmmu:"
		cat "$debugfs/$ipmmu/registers"
	done
}

# lost: counts the registers that the driver missed since begin_sleeping.
lost() {
	log_since | grep -c ' after resume, 0x[0-9a-f]* expected'
}

# begin_sleeping: notes the state of the board.
begin_sleeping() {
	# With `no_console_suspend` and the like each message would take its time.
	[ ! -e /sys/power/pm_print_times ] || echo 1 >/sys/power/pm_print_times
	stay_awake on
	[ ! -d "$debugfs" ] || registers >"$work/before"
	log_mark
}

# times_of WHAT: prints how often the driver was called, if the kernel counts that.
times_of() {
	log_since | grep 'ipmmu-vmsa .* returned 0 after [0-9]* usecs' | grep -c "$1"
}

# usecs_of WHAT: prints how long the driver's callbacks took in all, by the kernel's messages
# about each: "suspend" or "resume".
usecs_of() {
	log_since | awk -v what="$1" '
	/ipmmu-vmsa .* returned 0 after [0-9]+ usecs/ && index($0, what) {
		for (i = 1; i < NF; i++) if ($i == "after") sum += $(i + 1)
		n++
	}
	END { if (n) print sum }'
}

# end_sleeping TIMES: gives four results. TIMES may be 0, if the driver was not
# asked to save anything.
end_sleeping() {
	times=$1
	[ ! -e /sys/power/pm_print_times ] || echo 0 >/sys/power/pm_print_times
	for what in suspend resume; do
		usecs=$(usecs_of $what)
		[ -z "$usecs" ] || fact "$what.usecs" "$usecs"
	done
	if [ -d "$debugfs" ]; then
		registers >"$work/after"
		diff "$work/before" "$work/after" | sed 's/^/# /'
		cmp -s "$work/before" "$work/after"
		ktap_result $? "registers are what they were"
		lost=$(lost)
		fact lost "$lost"
		[ "$lost" -eq 0 ]
		ktap_result $? "the hardware took every register back"
		restored=$(times_of resume)
		fact restored "$restored"
		if [ -e /sys/power/pm_print_times ]; then
			[ "$restored" -ge "$times" ]
			ktap_result $? "IPMMUs were saved and restored"
		else
			ktap_skip "IPMMUs were saved and restored" "the kernel does not say"
		fi
	else
		for case in "registers are what they were" \
			"the hardware took every register back" \
			"IPMMUs were saved and restored"; do
			ktap_skip "$case" "the driver has no debugfs"
		done
	fi
	stay_awake auto
	dma_again
}

# dma_again: fails unless the DMACs still copy memory.
dma_again() {
	devices=$(dmacs)
	if [ -z "$devices" ] || ! has_dmatest; then
		ktap_skip "DMA goes on" "no SYS-DMAC is translated, or there is no dmatest"
		return
	fi
	# shellcheck disable=SC2086 # words are what is wanted
	ITERATIONS=4 "$tests/dma.sh" $devices >"$work/dma"
	status=$?
	[ $status -eq 0 ] || sed 's/^/# /' "$work/dma"
	ktap_result $status "DMA goes on"
}
