# SPDX-License-Identifier: GPL-2.0-or-later
# The R-Car machine and nothing else: with --without-default-devices a build
# of QEMU takes half the time.
CONFIG_RCAR_H3=y
# What can be put into its PCIe slot
CONFIG_EDU=y
CONFIG_NVME_PCI=y
CONFIG_VIRTIO_PCI=y
CONFIG_VIRTIO_RNG=y
# What -device loader needs
CONFIG_GENERIC_LOADER=y
