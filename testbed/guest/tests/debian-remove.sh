#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# debian-remove.sh: removes the packages from the Debian on the board, with Debian's own
# dpkg, and looks for what they left. An initramfs takes minutes to make, so it is
# only noted that dpkg asked for one.

# shellcheck source=lib.sh
. "${0%/*}/lib.sh"

release=$(uname -r)
packages="ipmmu-vmsa-modules-$release ipmmu-vmsa-initramfs"
made=/tmp/initramfs-made
first=/tmp/first-in-path

mkdir -p $first
printf '#!/bin/sh\necho "$*" >>%s\n' $made >$first/update-initramfs
chmod +x $first/update-initramfs

# dpkg ARGUMENTS: runs Debian's, not busybox's.
dpkg() {
	env -i PATH=$first:/usr/sbin:/usr/bin DEBIAN_FRONTEND=noninteractive TERM=dumb \
		/usr/bin/dpkg "$@"
}

# in_lists: counts the lines of modprobe's lists that name the driver.
in_lists() {
	cat "/usr/lib/modules/$release/modules.dep" \
		"/usr/lib/modules/$release/modules.alias" | grep -c ipmmu_vmsa
}

ktap_plan 5
in_lists >/dev/null
ktap_result $? "modprobe knows the driver"
# shellcheck disable=SC2086 # they are two
dpkg --purge $packages
ktap_result $? "dpkg removes the packages"
grep -qx -e "-u -k $release" $made
ktap_result $? "an initramfs is made for the kernel"
! in_lists
ktap_result $? "modprobe does not know the driver"
left=$(find /usr /etc /var/lib/dpkg/info /boot -xdev -name '*ipmmu*')
echo "$left"
[ -z "$left" ]
ktap_result $? "no file is left"
ktap_exit
