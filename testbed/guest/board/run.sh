#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# run.sh [OPTION]...: tests the IPMMU driver of the board that this runs on, as
# root, and prints KTAP. What the board does not have is skipped.
#
# --scratch HOST    write to the card or disk of this host, such as ee140000.mmc
#                   or 0000:01:00.0: what is on it may be lost. Without this
#                   nothing is written to any.
# --wake rtc        sleep, and let the real time clock wake the board (default)
# --wake external   sleep until somebody wakes the board: a person, or a lab
# --cycles N        sleep this often in each state (3)
# --only SUITE      this suite alone; silicon runs in no other way
# --list            names the suites
set -u

here=$(cd "$(dirname "$0")" && pwd)
suites='firmware present dma reading writing kunit unpowered pm-test freeze mem fault vfio log'

die() {
	echo "run.sh: $*" >&2
	exit 2
}

scratch=
wake=rtc
cycles=3
wanted=$suites
while [ $# -gt 0 ]; do
	case $1 in
	--list)
		echo "$suites silicon" | tr ' ' '\n'
		exit 0
		;;
	--scratch | --wake | --cycles | --only) [ $# -ge 2 ] || die "$1 wants a value" ;;
	*) die "what is $1? The first lines of $0 say what there is" ;;
	esac
	case $1 in
	--scratch) scratch="$scratch $2" ;;
	--wake) wake=$2 ;;
	--cycles) cycles=$2 ;;
	--only) wanted=$2 ;;
	esac
	shift 2
done
case $wake in rtc | external) ;; *) die "--wake is rtc or external" ;; esac
case $cycles in '' | *[!0-9]* | 0) die "--cycles wants a number" ;; esac
case " $suites silicon " in *" $wanted "*) ;; *) die "there is no suite $wanted" ;; esac
[ "$(id -u)" -eq 0 ] || die "only root can do what the tests do"

work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT

# The busybox in the archive replaces commands that the system lacks.
mkdir "$work/bin"
if "$here/bin/busybox" true 2>/dev/null; then
	"$here/bin/busybox" --install -s "$work/bin"
fi
PATH=$PATH:$work/bin:/usr/sbin:/sbin
export PATH work wake cycles scratch

for mount in "debugfs /sys/kernel/debug" "tracefs /sys/kernel/tracing"; do
	# shellcheck disable=SC2086 # two words
	set -- $mount
	grep -q " $2 " /proc/mounts || mount -t "$1" "$1" "$2" 2>/dev/null
done

# Messages that a person must read at once.
exec 3>&1

# keep_log SUITE: keeps the kernel's messages during it, or notes that there were so many
# that the first ones are gone.
: >"$work/kernel"
: >"$work/overwritten"
keep_log() {
	dmesg -r >"$work/ring"
	if grep -qF "$mark" "$work/ring"; then
		awk -v mark="$mark" 'seen; index($0, mark) { seen = 1 }' "$work/ring" >>"$work/kernel"
	else
		cat "$work/ring" >>"$work/kernel"
		echo "$1" >>"$work/overwritten"
	fi
}

# count_suite NAME: passes its KTAP on, indented, and counts what it says.
count_suite() {
	awk -v name="$1" -v counts="$work/counts" '
	/^@@status / { status = $2; next }
	/^1\.\.0 # SKIP/ { skipped = $0; sub(/^1\.\.0 # SKIP */, "", skipped); next }
	/^KTAP version/ { held = $0; next }
	{
		if (held != "") {
			print "    " held
			print "    # Subtest: " name
			held = ""
		}
		print "    " $0
		fflush()
	}
	/^1\.\./ { planned += substr($0, 4) }
	/^ok [0-9].*# SKIP/ { skip++; next }
	/^ok [0-9]/ { pass++ }
	/^not ok [0-9]/ { fail++ }
	END {
		if (pass + fail + skip != planned || (status && !fail))
			fail++
		print pass + 0, fail + 0, skip + 0, skipped > counts
	}'
}

echo "KTAP version 1"
# shellcheck disable=SC2086 # words are what is wanted
echo "1..$(echo $wanted | wc -w)"
number=0
passed=0
failed=0
skipped=0
for suite in $wanted; do
	number=$((number + 1))
	mark="tests: $suite $$"
	echo "$mark" >/dev/kmsg
	{
		"$here/suites/$suite.sh" 2>&1 </dev/null
		echo "@@status $?"
	} | count_suite "$suite"
	keep_log "$suite"
	read -r pass fail skip why <"$work/counts"
	passed=$((passed + pass))
	failed=$((failed + fail))
	skipped=$((skipped + skip))
	if [ "$fail" -gt 0 ]; then
		echo "not ok $number $suite"
	elif [ -n "$why" ]; then
		skipped=$((skipped + 1))
		echo "ok $number $suite # SKIP $why"
	elif [ "$pass" -eq 0 ]; then
		echo "ok $number $suite # SKIP see its cases"
	else
		echo "ok $number $suite"
	fi
done
echo "# Totals: pass:$passed fail:$failed xfail:0 xpass:0 skip:$skipped error:0"
[ "$failed" -eq 0 ]
