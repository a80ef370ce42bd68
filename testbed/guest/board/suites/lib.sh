# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# Functions of the suites of run.sh, on top of those of all tests.

suites=$(cd "${0%/*}" && pwd)
export tests="${suites%/*}/tests"
# shellcheck source=../../tests/lib.sh
. "$tests/lib.sh"

# The options of run.sh, and a directory of its own.
export work="${work:?run.sh runs this}" wake="${wake:?}" cycles="${cycles:?}"
export scratch="${scratch-}"

export ipmmus=/sys/bus/platform/drivers/ipmmu-vmsa
export debugfs=/sys/kernel/debug/ipmmu

# skip_all REASON: ends a suite that has nothing to do here.
skip_all() {
	echo "KTAP version 1"
	echo "1..0 # SKIP $*"
	exit 0
}

# ktap_skip NAME REASON: gives the result of a test that is skipped.
ktap_skip() {
	ktap_count=$((ktap_count + 1))
	echo "ok $ktap_count $1 # SKIP $2"
}

# tell FILE WORD: writes the word there; the status is the kernel's answer.
tell() {
	echo "$2" >"$1"
}

# bound: prints the IPMMUs that have a driver.
bound() {
	"$tests/bound.sh"
}

# of_node DEVICE: prints its node in the device tree.
of_node() {
	readlink -f "/sys/bus/platform/devices/$1/of_node"
}

# all_ipmmus: prints the IPMMUs that the device tree enables.
all_ipmmus() {
	for uevent in /sys/bus/platform/devices/*/uevent; do
		grep -qs '^OF_COMPATIBLE_[0-9]*=renesas,\(rcar-gen4-\)*ipmmu-' "$uevent" || continue
		device=${uevent%/uevent}
		echo "${device##*/}"
	done
}

# is_translated DEVICE: succeeds for a translated device of the platform or PCI bus.
is_translated() {
	bus=platform
	[ -e "/sys/bus/platform/devices/$1" ] || bus=pci
	read -r type 2>/dev/null <"/sys/bus/$bus/devices/$1/iommu_group/type" || return 1
	# On 32-bit Arm it always says identity.
	[ "$type" != identity ] || [ "$(uname -m)" != aarch64 ]
}

# dmacs: prints the SYS-DMACs that are behind an IPMMU and translated. The audio DMACs
# do not copy memory.
dmacs() {
	for device in /sys/bus/platform/drivers/rcar-dmac/e[67]*.dma-controller; do
		name=${device##*/}
		[ -e "$device" ] && is_translated "$name" && echo "$name"
	done
}

# has_dmatest: loads it; succeeds if it is there.
has_dmatest() {
	[ -d /sys/module/dmatest ] || modprobe -q dmatest
	[ -d /sys/module/dmatest ]
}

# hosts: prints MMC hosts and NVMe controllers with a card or disk in them.
hosts() {
	for block in /sys/block/mmcblk* /sys/block/nvme*; do
		case $block in *boot* | *rpmb* | *'*') continue ;; esac
		path=$(readlink -f "$block/device")
		echo "$path" | tr / '\n' |
			grep -E '^([0-9a-f]+\.mmc|[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f])$' | tail -n 1
	done
}

# is_in_use DEVICE: succeeds if it, or a partition of it, is mounted or swapped to.
# The kernel mounts the root file system by the name /dev/root.
is_in_use() {
	grep -q "^/dev/$1" /proc/mounts /proc/swaps && return
	for part in "/sys/block/$1/dev" "/sys/block/$1"/*/dev; do
		[ -e "$part" ] || continue
		number=$(cat "$part")
		awk -v number="$number" '$3 == number { found = 1 } END { exit !found }' \
			/proc/self/mountinfo && return
	done
	return 1
}

# can_peek ADDRESS [BITS]: succeeds if registers can be read without the kernel.
can_peek() {
	devmem "$1" "${2:-32}" >/dev/null 2>&1
}

# always_on IPMMU: succeeds if its power area cannot be switched off, so that it is
# safe to touch: number 32 on Gen3, 64 on Gen4.
always_on() {
	cells=$(od -An -tu1 "$(of_node "$1")/power-domains" 2>/dev/null) || return 1
	# shellcheck disable=SC2086 # the last of many words
	set -- $cells
	[ $# -eq 8 ] && { [ "$8" -eq 32 ] || [ "$8" -eq 64 ]; }
}
