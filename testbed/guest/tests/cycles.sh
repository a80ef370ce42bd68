#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# cycles.sh COUNT: sleeps COUNT times in a row; something else has to wake the board.

# shellcheck source=lib.sh
. "${0%/*}/lib.sh"
ktap_plan 1
done=0
while [ $done -lt "$1" ] && echo mem >/sys/power/state; do
	done=$((done + 1))
done
fact cycles $done
[ $done -eq "$1" ]
ktap_result $? "$1 cycles"
ktap_exit
