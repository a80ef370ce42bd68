/*
 * PCI Express host bridge of R-Car: the root port and what is behind it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The root port is always one. On hardware its configuration space begins as
 * that of an endpoint, and the host driver turns it into a bridge by writing
 * to read-only fields from the SoC's side; here such writes do nothing.
 * It has no interrupts of its own.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/module.h"
#include "exec/ioport.h"
#include "hw/irq.h"
#include "hw/pci-host/rcar_pcie.h"
#include "hw/pci/pci_bus.h"
#include "hw/pci/pcie_port.h"
#include "hw/qdev-properties.h"
#include "migration/vmstate.h"

#define TYPE_RCAR_PCIE_ROOT_PORT    "rcar-pcie-root-port"
#define TYPE_RCAR_PCIE_ROOT_BUS     "rcar-pcie-root-bus"

#define RENESAS_VENDOR_ID   0x1912
#define RENESAS_ROOT_PORT   0x0025

/* Capabilities are where Linux' driver looks for them */
#define PM_CAP      0x40
#define EXP_CAP     0x70
#define ACS_CAP     0x100

#define IO_SIZE     (1ULL << 32)

static PCIBus *secondary_bus(RcarPcieBridgeState *b)
{
    return pci_bridge_get_sec_bus(&b->root_port);
}

PCIDevice *rcar_pcie_bridge_find(RcarPcieBridgeState *b, unsigned bus,
                                 unsigned devfn)
{
    return pci_find_device(secondary_bus(b), bus, devfn);
}

unsigned rcar_pcie_bridge_osids(const RcarPcieBridgeState *b)
{
    return b->has_osids ? RCAR_PCIE_OSIDS : 1;
}

bool rcar_pcie_bridge_has_device(RcarPcieBridgeState *b)
{
    return secondary_bus(b)->devices[PCI_DEVFN(0, 0)] != NULL;
}

static void root_port_realize(PCIDevice *dev, Error **errp)
{
    RcarPcieBridgeState *b = container_of(PCI_BRIDGE(dev), RcarPcieBridgeState,
                                          root_port);

    pci_bridge_initfn(dev, TYPE_PCIE_BUS);
    pcie_port_init_reg(dev);
    if (pci_pm_init(dev, PM_CAP, errp) < 0) {
        return;
    }
    if (pcie_cap_init(dev, EXP_CAP, PCI_EXP_TYPE_ROOT_PORT, 0, errp) < 0) {
        return;
    }
    if (b->has_osids) {
        pcie_acs_init(dev, ACS_CAP);
    }
}

static const VMStateDescription vmstate_root_port = {
    .name = TYPE_RCAR_PCIE_ROOT_PORT,
    .unmigratable = 1,
};

static void root_port_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    PCIDeviceClass *k = PCI_DEVICE_CLASS(klass);

    k->vendor_id = RENESAS_VENDOR_ID;
    k->device_id = RENESAS_ROOT_PORT;
    k->class_id = PCI_CLASS_BRIDGE_PCI;
    k->realize = root_port_realize;
    k->exit = pci_bridge_exitfn;
    k->config_write = pci_bridge_write_config;
    device_class_set_legacy_reset(dc, pci_bridge_reset);
    dc->desc = "R-Car PCIe root port";
    dc->vmsd = &vmstate_root_port;
    dc->user_creatable = false;         /* part of the host bridge */
}

/* The root port alone is on it: what users add goes to the bus behind */
static void root_bus_class_init(ObjectClass *klass, void *data)
{
    BUS_CLASS(klass)->max_dev = 1;
}

static void bridge_set_intx(void *opaque, int line, int level)
{
    RcarPcieBridgeState *b = opaque;

    qemu_set_irq(b->intx[line], level);
}

static AddressSpace *bridge_dma_as(PCIBus *bus, void *opaque, int devfn)
{
    RcarPcieBridgeState *b = opaque;
    bool is_card = !pci_bus_is_root(bus);

    return &b->dma_as[b->has_osids && is_card ? PCI_FUNC(devfn) + 1 : 0];
}

static const PCIIOMMUOps bridge_iommu_ops = {
    .get_address_space = bridge_dma_as,
};

/* @space with a background that answers as PCI does where no device is */
static void init_space(RcarPcieBridgeState *b, MemoryRegion *space,
                       MemoryRegion *devices, const char *name, uint64_t size)
{
    memory_region_init_io(space, OBJECT(b), &unassigned_io_ops, b, name, size);
    memory_region_init(devices, OBJECT(b), name, size);
    memory_region_add_subregion(space, 0, devices);
}

static void bridge_realize(DeviceState *dev, Error **errp)
{
    RcarPcieBridgeState *b = RCAR_PCIE_BRIDGE(dev);
    PCIHostState *host = PCI_HOST_BRIDGE(dev);

    for (int i = 0; i < RCAR_PCIE_INTX; i++) {
        sysbus_init_irq(SYS_BUS_DEVICE(dev), &b->intx[i]);
    }
    init_space(b, &b->mem, &b->mem_devices, "pcie-mem", UINT64_MAX);
    init_space(b, &b->io, &b->io_devices, "pcie-io", IO_SIZE);
    for (int i = 0; i < rcar_pcie_bridge_osids(b); i++) {
        memory_region_init(&b->dma[i], OBJECT(b), "pcie-dma", UINT64_MAX);
        address_space_init(&b->dma_as[i], &b->dma[i], "pcie-dma");
    }

    host->bus = pci_register_root_bus(dev, NULL, bridge_set_intx,
                                      pci_swizzle_map_irq_fn, b,
                                      &b->mem_devices, &b->io_devices, 0,
                                      RCAR_PCIE_INTX, TYPE_RCAR_PCIE_ROOT_BUS);
    host->bus->flags |= PCI_BUS_EXTENDED_CONFIG_SPACE;
    pci_setup_iommu(host->bus, &bridge_iommu_ops, b);

    b->root_port.bus_name = b->bus_name;
    qdev_realize(DEVICE(&b->root_port), BUS(host->bus), errp);
}

static void bridge_init(Object *obj)
{
    RcarPcieBridgeState *b = RCAR_PCIE_BRIDGE(obj);

    object_initialize_child(obj, "root-port", &b->root_port,
                            TYPE_RCAR_PCIE_ROOT_PORT);
    qdev_prop_set_int32(DEVICE(&b->root_port), "addr", PCI_DEVFN(0, 0));
    qdev_prop_set_bit(DEVICE(&b->root_port), "multifunction", false);
}

static const char *bridge_root_bus_path(PCIHostState *host, PCIBus *bus)
{
    return RCAR_PCIE_BRIDGE(host)->bus_name;
}

static void bridge_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    PCI_HOST_BRIDGE_CLASS(klass)->root_bus_path = bridge_root_bus_path;
    dc->realize = bridge_realize;
    dc->fw_name = "pci";
    dc->user_creatable = false;
}

static const TypeInfo rcar_pcie_bus_types[] = {
    {
        .name = TYPE_RCAR_PCIE_ROOT_BUS,
        .parent = TYPE_PCIE_BUS,
        .class_init = root_bus_class_init,
    }, {
        .name = TYPE_RCAR_PCIE_ROOT_PORT,
        .parent = TYPE_PCI_BRIDGE,
        .class_init = root_port_class_init,
        .interfaces = (InterfaceInfo[]) {
            { INTERFACE_PCIE_DEVICE },
            { }
        },
    }, {
        .name = TYPE_RCAR_PCIE_BRIDGE,
        .parent = TYPE_PCI_HOST_BRIDGE,
        .instance_size = sizeof(RcarPcieBridgeState),
        .instance_init = bridge_init,
        .class_init = bridge_class_init,
    },
};

DEFINE_TYPES(rcar_pcie_bus_types)
