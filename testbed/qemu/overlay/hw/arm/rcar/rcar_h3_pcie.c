/*
 * R-Car H3: PCI Express
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The board itself leads neither channel to a slot, but its extension board
 * Kingfisher does. micro-TLBs are those of the device tree's `iommu-map`.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/arm/rcar_h3.h"
#include "hw/misc/renesas_ipmmu.h"
#include "hw/pci-host/rcar_pcie.h"

/* QEMU puts a -device without bus= on the last of them */
static const struct {
    const char *name;
    hwaddr base;
    hwaddr outbound[RCAR_PCIE_OUTBOUND];
    unsigned spi;
    unsigned utlb;              /* of ipmmu_hc, with OSID 0 */
} hosts[] = {
    { "pciec1", 0xee800000, { 0xee900000, 0xeea00000, 0xc0000000, 0xc8000000 },
      148, 1 },
    { "pciec0", 0xfe000000, { 0xfe100000, 0xfe200000, 0x30000000, 0x38000000 },
      116, 0 },
};

void rcar_h3_create_pcie(RcarH3State *s)
{
    RenesasIPMMUState *ipmmu = RENESAS_IPMMU(
        object_resolve_path_component(OBJECT(s), "ipmmu_hc"));

    for (int i = 0; i < ARRAY_SIZE(hosts); i++) {
        DeviceState *dev = qdev_new(TYPE_RCAR_PCIE);

        RcarPcieState *host = RCAR_PCIE(dev);

        for (int n = 0; n < rcar_pcie_bridge_osids(&host->bridge); n++) {
            rcar_pcie_set_dma_as(
                host, n, renesas_ipmmu_utlb_as(ipmmu, hosts[i].utlb + n));
        }
        rcar_h3_add_device(s, hosts[i].name, dev, hosts[i].base);
        for (int n = 0; n < RCAR_PCIE_OUTBOUND; n++) {
            sysbus_mmio_map(SYS_BUS_DEVICE(dev), 1 + n, hosts[i].outbound[n]);
        }
        sysbus_connect_irq(SYS_BUS_DEVICE(dev), 0,
                           rcar_h3_spi(s, hosts[i].spi));
    }
}
