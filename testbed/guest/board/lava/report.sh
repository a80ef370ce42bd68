#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# report.sh FILE: passes each result in the KTAP of FILE on to LAVA, and each number
# that was measured.

awk '
function id(text) {
	gsub(/[^A-Za-z0-9_.-]+/, "_", text)
	gsub(/^_+|_+$/, "", text)
	return (suite == "" ? "" : suite ".") text
}
{ sub(/^ +/, "") }
/^# Subtest: / { suite = substr($0, 12); next }
/^# [A-Za-z0-9_.:-]+=[0-9]+(\.[0-9]+)?$/ {
	split(substr($0, 3), fact, "=")
	print "lava-test-case " id(fact[1]) " --result pass --measurement " fact[2]
	next
}
/^(not )?ok [0-9]+ / {
	result = /^not/ ? "fail" : (/# SKIP/ ? "skip" : "pass")
	sub(/^(not )?ok [0-9]+ /, "")
	sub(/ *# SKIP.*/, "")
	# The sum of a suite: it may have failed without any of its cases. One that was
	# skipped has no cases.
	if ($0 == suite) {
		suite = ""
		if (result != "fail") next
	}
	print "lava-test-case " id($0) " --result " result
}' "$1" | if command -v lava-test-case >/dev/null; then sh; else cat; fi
