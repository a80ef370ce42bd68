#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# pcie-fault.sh FUNCTION ADDRESS: makes QEMU's `edu` device read from an address that
# is not mapped.

# shellcheck source=lib.sh
. "${0%/*}/lib.sh"
device=/sys/bus/pci/devices/$1

# The buffer inside the device, and the size to copy.
buffer=0x40000
count=4

# write_register OFFSET VALUE: writes a register of the device.
write_register() {
	devmem $((base + $1)) 32 "$2"
}

echo 1 >"$device/enable"
# Memory space, and bus master, which `enable` leaves to a driver.
printf '\006\000' | dd of="$device/config" bs=1 seek=4 conv=notrunc 2>/dev/null
read -r base _ <"$device/resource"
write_register 0x80 "$2"
write_register 0x88 $buffer
write_register 0x90 $count
write_register 0x98 1

tries=100
while [ $(($(devmem $((base + 0x98)) 32) & 1)) -ne 0 ] && [ $tries -gt 0 ]; do
	usleep 10000
	tries=$((tries - 1))
done
echo 0 >"$device/enable"

ktap_plan 1
[ $tries -gt 0 ]
ktap_result $? "$1 is done with $2"
ktap_exit
