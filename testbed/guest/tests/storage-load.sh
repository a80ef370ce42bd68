#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# storage-load.sh start HOST...: writes to the cards or disks of these hosts,
# over and over, in the background.
# storage-load.sh stop HOST...: ends that, and reads back the last file.
# storage-load.sh umount HOST...: leaves the file systems.

# shellcheck source=lib.sh
. "${0%/*}/lib.sh"
# shellcheck source=storage-lib.sh
. "${0%/*}/storage-lib.sh"

# write_on HOST DIR: writes two files in turn, one of which is complete at any time.
write_on() {
	round=0
	until [ -e "$work/stop" ]; do
		name=$2/round$((round % 2))
		cp "$original" "$name.new" && sync && mv "$name.new" "$name" || exit 1
		round=$((round + 1))
	done
	echo $round >"$work/$1.rounds"
}

start() {
	dir=$(mounted "$1") || return 1
	rm -f "$work/$1.rounds"
	write_on "$1" "$dir" </dev/null >/dev/null 2>&1 &
}

stop() {
	tries=600
	until [ -s "$work/$1.rounds" ]; do
		[ "$tries" -gt 0 ] || return 1
		usleep 100000
		tries=$((tries - 1))
	done
	rounds=$(cat "$work/$1.rounds")
	fact rounds "$rounds"
	on_card "$work/$1/round$(((rounds - 1) % 2))"
}

verb=$1
shift
case $verb in
start)
	new_original "${SIZE:-4}"
	rm -f "$work/stop"
	;;
stop) touch "$work/stop" ;;
esac

ktap_plan $#
for host in "$@"; do
	case $verb in
	start) start "$host" ;;
	stop) stop "$host" ;;
	umount) umount "$work/$host" ;;
	esac
	ktap_result $? "$verb $host"
done
ktap_exit
