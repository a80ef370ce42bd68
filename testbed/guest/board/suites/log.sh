#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# log.sh: what the kernel said while all this went on.

# shellcheck source=lib.sh
. "${0%/*}/lib.sh"
since=$(dmesg -r | awk -v mark="$mark" 'seen; index($0, mark) { seen = 1 }')

ktap_plan 2
complaints=$(echo "$since" | grep '^<[0-3]>' | grep 'ipmmu' | grep -v 'Unhandled fault.*iova 0x12345678')
[ -z "$complaints" ] || echo "$complaints" | sed 's/^/# /'
[ -z "$complaints" ]
ktap_result $? "no IPMMU complained but of the fault that was asked for"
splats='WARNING:|BUG:|Oops|Internal error|Unable to handle kernel|INFO: task|INFO: rcu|circular locking|suspicious RCU'
found=$(echo "$since" | grep -E "$splats")
[ -z "$found" ] || echo "$found" | sed 's/^/# /'
[ -z "$found" ]
ktap_result $? "the kernel did not warn"
ktap_exit
