#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# dma.sh: copies memory by all SYS-DMACs that are translated, two channels each.

# shellcheck source=lib.sh
. "${0%/*}/lib.sh"
has_dmatest || skip_all "the kernel has no CONFIG_DMATEST"
channels=
for dmac in $(dmacs); do
	channels_of "$dmac" >"$work/channels"
	channels="$channels $dmac"
	[ "$(wc -l <"$work/channels")" -lt 2 ] || channels="$channels $dmac:1"
done
[ -n "$channels" ] ||
	skip_all "no SYS-DMAC is translated: see ipmmu_vmsa.allow="
# shellcheck disable=SC2086 # words are what is wanted
"$tests/dma.sh" $channels
status=$?
# The speed, for comparing boards and drivers.
dmesg | sed -n 's/.*dmatest: \([a-z0-9]*\)-.*failures \([0-9.]*\) iops \([0-9]*\) KB\/s.*/# \1.iops=\2\n# \1.KBps=\3/p' |
	tail -n 16
exit $status
