#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# soak.sh start HOST... -- CHANNEL...: keeps the cards or disks of these hosts and
# these DMA channels (CONTROLLER or CONTROLLER:INDEX) busy in the background:
# a file is written, read back from the card and its checksum compared, over
# and over; the kernel's dmatest copies and compares without end.
# soak.sh stop HOST...: ends that, and prints the results. It cannot know whether a copy
# failed because the power went in the middle of it.

# shellcheck source=lib.sh
. "${0%/*}/lib.sh"
# shellcheck source=storage-lib.sh
. "${0%/*}/storage-lib.sh"
dmatest=/sys/module/dmatest/parameters
kilobytes=${SIZE:-256}

# contents ROUND: prints a file's contents, different ones for each round.
contents() {
	echo "$1"
	cat "$original"
}

# write_on HOST DIR: writes, reads back and compares, without end.
write_on() {
	round=0
	corrupt=0
	until [ -e "$work/stop" ]; do
		file=$2/soak$((round % 2))
		contents $round | dd of="$file" bs=64k conv=fsync status=none ||
			corrupt=$((corrupt + 1))
		# Past the page cache.
		[ "$(dd if="$file" bs=64k iflag=direct status=none | md5sum)" = \
			"$(contents $round | md5sum)" ] || corrupt=$((corrupt + 1))
		round=$((round + 1))
	done
	echo "$round $corrupt" >"$work/$1.soaked"
}

start_cards() {
	mkdir -p "$work"
	head -c "$((kilobytes << 10))" /dev/urandom >"$original"
	rm -f "$work/stop" "$work"/*.soaked
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		dir=$(mounted "$1") || return 1
		write_on "$1" "$dir" </dev/null >/dev/null 2>&1 &
		shift
	done
}

# start_dma CHANNEL...: copies without end, as 0 iterations do. A copy takes no time, but
# the board may stand still for seconds when the machine that it runs on is busy.
start_dma() {
	echo 4096 >$dmatest/test_buf_size
	echo 0 >$dmatest/iterations
	echo "${TIMEOUT:-10000}" >$dmatest/timeout
	echo Y >$dmatest/norandom
	for wanted in "$@"; do
		channel_of "$wanted" >$dmatest/channel
	done
	echo 1 >$dmatest/run
	# The copies run while no other process needs a CPU. They are not starved: some
	# process always waits for a card.
	for thread in $(ps -o pid,comm | awk '/-copy[0-9]/ { print $1 }'); do
		renice 19 "$thread"
	done
}

stop_card() {
	tries=600
	until [ -s "$work/$1.soaked" ]; do
		[ "$tries" -gt 0 ] || return 1
		usleep 100000
		tries=$((tries - 1))
	done
	read -r rounds corrupt <"$work/$1.soaked"
	fact rounds "$rounds"
	fact bytes "$((rounds * kilobytes * 2048))"
	fact corrupt "$corrupt"
	[ "$corrupt" -eq 0 ]
}

# stop_dma: ends the copies, and prints dmatest's sums. The end interrupts its wait for a
# copy, which it takes for one that timed out: no failure. It unmaps the memory at
# once, so that a copy which goes on runs into a fault.
stop_dma() {
	log_mark
	echo 0 >$dmatest/run
	log=$(log_since)
	# shellcheck disable=SC2046 # words are what is wanted
	set -- $(echo "$log" | sed -n 's/.*: \(.*\): summary \([0-9]*\) tests, \([0-9]*\) failures.*/\1 \2 \3/p')
	[ $# -gt 0 ] || return 1
	while [ $# -gt 2 ]; do
		interrupted=$(echo "$log" | grep -c "$1: result #$2: 'test timed out'")
		fact copies "$2"
		fact failures "$(($3 - interrupted))"
		fact interrupted "$interrupted"
		shift 3
	done
}

verb=$1
shift
case $verb in
start)
	ktap_plan 2
	start_cards "$@"
	ktap_result $? "cards"
	while [ $# -gt 0 ] && [ "$1" != -- ]; do shift; done
	shift
	start_dma "$@"
	ktap_result $? "channels"
	;;
stop)
	touch "$work/stop"
	ktap_plan $(($# + 1))
	stop_dma
	ktap_result $? "channels"
	for host in "$@"; do
		stop_card "$host"
		ktap_result $? "$host"
	done
	;;
esac
ktap_exit
