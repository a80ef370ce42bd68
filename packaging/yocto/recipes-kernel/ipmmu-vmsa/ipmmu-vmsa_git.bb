# SPDX-License-Identifier: GPL-2.0

SUMMARY = "Driver for the Renesas IPMMU"
DESCRIPTION = "Module for the IOMMU of Renesas R-Car and RZ/G2 SoCs, which restores DMA \
               translation after a suspend that switches the SoC off"
SECTION = "kernel/modules"
LICENSE = "GPL-2.0-only"
LIC_FILES_CHKSUM = "file://ipmmu_vmsa.rs;beginline=1;endline=1;md5=50d2ba0afecd20f74c12a4bdbcfcfe61"

PV = "0.1.0+git"

# The commit of the checkout that this layer is in.
IPMMU_VMSA_CHECKOUT = "${@os.path.abspath('${THISDIR}/../../../..')}"
SRC_URI = "git://${IPMMU_VMSA_CHECKOUT};protocol=file;usehead=1;nobranch=1"
SRCREV = "${AUTOREV}"

inherit module features_check

REQUIRED_DISTRO_FEATURES = "rust-kernel"

COMPATIBLE_HOST = "(aarch64|arm).*-linux.*"
