#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# serial.sh PORT BYTES ROUNDS: takes that many bytes from a serial port, as /dev/ttySC1,
# and gives them back, that many times. Returns when the port is open; the rest is done
# in the background.

exec 3<>"$1" || exit
stty raw -echo <&3 || exit
give_back() {
	for _ in $(seq "$2"); do
		head -c "$1" <&3 >/tmp/serial && cat /tmp/serial >&3 || exit
	done
}
give_back "$2" "$3" </dev/null >/dev/null 2>&1 &
