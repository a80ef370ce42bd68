#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# dma.sh CONTROLLER[:CHANNEL]...: copies memory with all these DMA channels at
# once (the kernel's dmatest), which verifies every byte.
# CHANNEL counts from 0 among those that Linux uses.

# shellcheck source=lib.sh
. "${0%/*}/lib.sh"
size=${SIZE:-65536}
iterations=${ITERATIONS:-16}
dmatest=/sys/module/dmatest/parameters

channels=
for wanted in "$@"; do
	channels="$channels $(channel_of "$wanted" || echo none)"
done

echo "$size" >$dmatest/test_buf_size
echo "$iterations" >$dmatest/iterations
echo "${TIMEOUT:-3000}" >$dmatest/timeout
echo Y >$dmatest/norandom
log_mark
added=0
for channel in $channels; do
	[ "$channel" != none ] && echo "$channel" >$dmatest/channel && added=$((added + 1))
done
# Without any, dmatest would take all there are.
if [ $added -gt 0 ]; then
	echo 1 >$dmatest/run
	# A wait that comes too early finds nothing to wait for.
	tries=100
	until cat $dmatest/wait >/dev/null
		[ "$(log_since | grep -c 'dmatest: .* summary ')" -ge $added ] || [ $tries -eq 0 ]; do
		usleep 20000
		tries=$((tries - 1))
	done
	# Lets go of the channels: their driver may be unbound next.
	echo 0 >$dmatest/run
fi

ktap_plan $#
log=$(log_since)
for channel in $channels; do
	wanted=$1
	shift
	summary=$(echo "$log" | grep "dmatest: $channel-.*summary $iterations tests, ")
	failures=$(echo "$summary" | sed -n 's/.* tests, \([0-9]*\) failures.*/\1/p')
	fact errors "${failures:-$iterations}"
	fact bytes "$(((iterations - ${failures:-iterations}) * size))"
	[ "$failures" = 0 ]
	ktap_result $? "$wanted ($channel)"
done
ktap_all_good || echo "$log" | grep -E "dmatest|dmac|ipmmu" | head -n 20
ktap_exit
