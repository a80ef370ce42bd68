#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# debian-install.sh EMMC SD: installs packages in the Debian on the first host's card,
# from the second one's, with Debian's own dpkg. Also puts the tests' files there.
# No IOMMU driver is loaded yet.

# shellcheck source=lib.sh
. "${0%/*}/lib.sh"
# shellcheck source=storage-lib.sh
. "${0%/*}/storage-lib.sh"
set -eu

modprobe ext4
"${0%/*}/coldplug.sh"
debian=$(mounted "$1")
medium=$(mounted "$2")

mkdir -p "$debian/ipmmu/bin" "$debian/ipmmu/packages"
cp /bin/busybox "$debian/ipmmu/bin/"
cp -r /agent /tests "$debian/ipmmu/"

mount -t proc proc "$debian/proc"
mount -t sysfs sysfs "$debian/sys"
mount -t devtmpfs devtmpfs "$debian/dev"
mount -o bind "$medium" "$debian/ipmmu/packages"
# The packages update the initramfs that the kernel's installation would have created.
touch "$debian/boot/initrd.img-$(uname -r)"
# With its path, as busybox takes `sh` for itself, and its own dpkg then.
env -i PATH=/usr/sbin:/usr/bin DEBIAN_FRONTEND=noninteractive TERM=dumb \
	chroot "$debian" /usr/bin/sh -c 'dpkg --install /ipmmu/packages/*.deb'
umount "$debian/ipmmu/packages" "$debian/dev" "$debian/sys" "$debian/proc"
umount "$medium" "$debian"
