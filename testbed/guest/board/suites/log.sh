#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# log.sh: looks at the kernel's messages since the beginning.

# shellcheck source=lib.sh
. "${0%/*}/lib.sh"
lost=$(tr '\n' ' ' <"$work/overwritten")

# expect_nothing NAME: gives the result of a test that fails if there is input.
expect_nothing() {
	found=$(sed 's/^/# /')
	if [ -n "$found" ]; then
		echo "$found"
		ktap_result 1 "$1"
	elif [ -n "$lost" ]; then
		ktap_skip "$1" "the kernel said too much in: ${lost% }; see log_buf_len="
	else
		ktap_result 0 "$1"
	fi
}

ktap_plan 2
grep '^<[0-3]>' "$work/kernel" | grep -E 'ipmmu|\.iommu' |
	grep -v 'Unhandled fault.*iova 0x12345678' >"$work/complaints"
expect_nothing "no IPMMU complained but of the fault that was asked for" <"$work/complaints"
splats='WARNING:|BUG:|Oops|Internal error|Unable to handle kernel|INFO: task|INFO: rcu|circular locking|suspicious RCU'
grep -E "$splats" "$work/kernel" >"$work/warnings"
expect_nothing "the kernel did not warn" <"$work/warnings"
ktap_exit
