/*
 * PCI Express host bridge of R-Car Gen2 and Gen3: the registers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What Linux' pcie-rcar-host driver uses, as root complex. Decisions where it
 * is silent:
 *
 * - Every register is 0 after reset, but PHYRDY, the link's speed and width.
 * - The link is up once CFINIT is set and a device is in the slot; training
 *   takes no time. It comes up at 2.5 GT/s, and changes to 5 when asked.
 * - A configuration access to a function that is not there reads as all ones
 *   and sets UNSUPPORTED_REQUEST. So does one without CCIE, or without a link.
 * - PCIEINTXR: bits 11:8 enable INTD to INTA, bits 3:0 say which are asserted.
 * - A message to the address in PCIEMSIAUR and PCIEMSIALR is taken before the
 *   inbound windows; its low 5 bits are the number of a bit in PCIEMSIFR, set
 *   whether PCIEMSIIER enables it or not. INTx and MSI raise the first of the
 *   three interrupts of the device tree; the others are never raised.
 * - A transaction that no inbound window takes is an error for the device.
 *   An access by the CPU to a closed outbound window is a guest error.
 * - The configuration space of the root port: see rcar_pcie_bus.c.
 */

#include "qemu/osdep.h"
#include "qemu/module.h"
#include "qapi/error.h"
#include "hw/irq.h"
#include "hw/pci/msi.h"
#include "hw/qdev-properties.h"
#include "rcar_pcie_internal.h"

#define INBOUND_REGS(n) \
    { PCIELAR(n), 1, 0xffffffff, 0 }, \
    { PCIELAMR(n), 1, 0xfffffffe, 0 }

#define OUTBOUND_REGS(n) \
    { PCIEPALR(n), 1, 0xffffff80, 0 }, \
    { PCIEPAUR(n), 1, 0xffffffff, 0 }, \
    { PCIEPAMR(n), 1, 0xffffff80, 0 }, \
    { PCIEPTCTLR(n), 1, PAR_ENABLE | IO_SPACE, 0 }

static const RcarReg pcie_regs[] = {
    { PCIECAR, 1, 0xffff0ffc, 0 },
    { PCIECCTLR, 1, CCIE | TYPE1, 0 },
    { PCIECDR, 1, 0xffffffff, 0 },
    { PCIEMSR, 1, 1, 0 },
    { PCIEINTXR, 1, 0xf << INTX_ENABLE_SHIFT, 0 },
    { PCIEPHYSR, 1, 0, PHYRDY },
    { PCIEMSITXR, 1, 0xffffffff, 0 },
    { PCIETCTLR, 1, CFINIT, 0 },
    { PCIETSTR, 1, 0, 0 },
    { PCIEERRFR, 1, UNSUPPORTED_REQUEST, 0 },
    { PCIEMSIFR, 1, 0xffffffff, 0 },
    { PCIEMSIALR, 1, 0xfffffffd, 0 },
    { PCIEMSIAUR, 1, 0xffffffff, 0 },
    { PCIEMSIIER, 1, 0xffffffff, 0 },
    { PCIEPRAR(0), RCAR_PCIE_INBOUND, 0xffffffff, 0 },
    INBOUND_REGS(0),
    INBOUND_REGS(1),
    INBOUND_REGS(2),
    INBOUND_REGS(3),
    INBOUND_REGS(4),
    INBOUND_REGS(5),
    OUTBOUND_REGS(0),
    OUTBOUND_REGS(1),
    OUTBOUND_REGS(2),
    OUTBOUND_REGS(3),
    { PCICONF, PCIE_CONFIG_SPACE_SIZE / 4, 0xffffffff, 0 },
    { IDSETR0, 2, 0xffffffff, 0 },
    { SUBIDSETR, 1, 0xffffffff, 0 },
    { TLCTLR, 1, 0xffffffff, 0 },
    { MACSR, 1, SPEED_DONE, ONE_LANE | SPEED_2_5 },
    { MACCTLR, 1, 0xffffffff, 0 },
    { PMSR, 1, 0, 0 },
    { PMCTLR, 1, BIT(31), 0 },
    { MACS2R, 1, 0, SPEED_5_0 },
    { MACCGSPSETR, 1, BIT(31), 0 },
};

void rcar_pcie_update_irq(RcarPcieState *s)
{
    uint32_t intx = s->intx & (reg(s, PCIEINTXR) >> INTX_ENABLE_SHIFT);
    uint32_t msi = reg(s, PCIEMSIFR) & reg(s, PCIEMSIIER);

    qemu_set_irq(s->irq, intx || msi);
}

static void intx_changed(void *opaque, int line, int level)
{
    RcarPcieState *s = opaque;

    s->intx = deposit32(s->intx, line, 1, !!level);
    rcar_pcie_update_irq(s);
}

static bool link_is_up(RcarPcieState *s)
{
    return (reg(s, PCIETCTLR) & CFINIT) &&
           rcar_pcie_bridge_has_device(&s->bridge);
}

/* Returns what PCIECAR addresses, or NULL after saying that nothing is there */
static PCIDevice *config_target(RcarPcieState *s)
{
    uint32_t car = reg(s, PCIECAR);
    PCIDevice *dev = NULL;

    if ((reg(s, PCIECCTLR) & CCIE) && link_is_up(s)) {
        dev = rcar_pcie_bridge_find(&s->bridge,
                                    FIELD_EX32(car, PCIECAR, BUS),
                                    FIELD_EX32(car, PCIECAR, DEVFN));
    }
    if (!dev) {
        set_reg(s, PCIEERRFR, UNSUPPORTED_REQUEST);
    }
    return dev;
}

static uint32_t config_read(RcarPcieState *s)
{
    PCIDevice *dev = config_target(s);

    if (!dev) {
        return 0xffffffff;
    }
    return pci_host_config_read_common(
        dev, FIELD_EX32(reg(s, PCIECAR), PCIECAR, REG), pci_config_size(dev),
        4);
}

static void config_write(RcarPcieState *s, uint32_t value)
{
    PCIDevice *dev = config_target(s);

    if (dev) {
        pci_host_config_write_common(
            dev, FIELD_EX32(reg(s, PCIECAR), PCIECAR, REG),
            pci_config_size(dev), value, 4);
    }
}

static uint32_t pcie_read(RcarRegsState *regs, hwaddr offset, uint32_t stored)
{
    RcarPcieState *s = RCAR_PCIE(regs);
    PCIDevice *port = PCI_DEVICE(&s->bridge.root_port);

    switch (offset) {
    case PCIECDR:
        return config_read(s);
    case PCIEINTXR:
        return stored | s->intx;
    case PCIETSTR:
        return link_is_up(s) ? DATA_LINK_ACTIVE : 0;
    case PCICONF ... PCICONF + PCIE_CONFIG_SPACE_SIZE - 1:
        return pci_host_config_read_common(port, offset - PCICONF,
                                           PCIE_CONFIG_SPACE_SIZE, 4);
    default:
        return stored;
    }
}

/* Changes at once, and so the request never reads back */
static uint32_t change_speed(RcarPcieState *s, uint32_t macctlr)
{
    if ((macctlr & SPEED_CHANGE) && link_is_up(s)) {
        set_reg(s, MACSR, (reg(s, MACSR) & ~SPEED_FIELD) | SPEED_5_0 |
                          SPEED_DONE);
    }
    return macctlr & ~SPEED_CHANGE;
}

static uint32_t pcie_write(RcarRegsState *regs, hwaddr offset, uint32_t old,
                           uint32_t value)
{
    RcarPcieState *s = RCAR_PCIE(regs);

    switch (offset) {
    case PCIECDR:
        config_write(s, value);
        return 0;
    case PCIEERRFR:
        return old & ~value;
    case MACSR:
        return old & ~(value & SPEED_DONE);
    case MACCTLR:
        return change_speed(s, value);
    case PMCTLR:
        return 0;
    case PCIEMSIFR:
        value = old & ~value;
        /* fall through */
    case PCIEINTXR:
    case PCIEMSIIER:
        set_reg(s, offset, value);
        rcar_pcie_update_irq(s);
        return value;
    case PCIEMSIALR:
    case PCIEMSIAUR:
    case PCIEPRAR(0) ... PCIEPTCTLR(RCAR_PCIE_OUTBOUND - 1):
        set_reg(s, offset, value);
        rcar_pcie_update_windows(s);
        return value;
    case PCICONF ... PCICONF + PCIE_CONFIG_SPACE_SIZE - 1:
        pci_host_config_write_common(PCI_DEVICE(&s->bridge.root_port),
                                     offset - PCICONF, PCIE_CONFIG_SPACE_SIZE,
                                     value, 4);
        return 0;
    default:
        return value;
    }
}

static void rcar_pcie_reset_hold(Object *obj, ResetType type)
{
    RcarPcieState *s = RCAR_PCIE(obj);

    RCAR_PCIE_GET_CLASS(obj)->parent_phases.hold(obj, type);
    rcar_pcie_update_windows(s);
    rcar_pcie_update_irq(s);
}

void rcar_pcie_set_dma_as(RcarPcieState *s, unsigned osid, AddressSpace *as)
{
    assert(!qdev_is_realized(DEVICE(s)));
    s->dma_as[osid] = as;
}

static void rcar_pcie_realize(DeviceState *dev, Error **errp)
{
    RcarPcieState *s = RCAR_PCIE(dev);

    s->bridge.bus_name = object_get_canonical_path_component(OBJECT(dev));
    if (!sysbus_realize(SYS_BUS_DEVICE(&s->bridge), errp)) {
        return;
    }
    for (int i = 0; i < RCAR_PCIE_INTX; i++) {
        sysbus_connect_irq(SYS_BUS_DEVICE(&s->bridge), i,
                           qdev_get_gpio_in(dev, i));
    }
    rcar_pcie_create_windows(s);
}

static void rcar_pcie_init(Object *obj)
{
    RcarPcieState *s = RCAR_PCIE(obj);

    /* So that devices offer MSI */
    msi_nonbroken = true;
    object_initialize_child(obj, "bridge", &s->bridge, TYPE_RCAR_PCIE_BRIDGE);
    sysbus_init_irq(SYS_BUS_DEVICE(obj), &s->irq);
    qdev_init_gpio_in(DEVICE(obj), intx_changed, RCAR_PCIE_INTX);
    object_property_add_uint64_ptr(obj, "msis", &s->msis, OBJ_PROP_FLAG_READ);
}

static const Property rcar_pcie_properties[] = {
    DEFINE_PROP_BOOL("osid", RcarPcieState, bridge.has_osids, false),
};

static void rcar_pcie_class_init(ObjectClass *klass, void *data)
{
    RcarRegsClass *rc = RCAR_REGS_CLASS(klass);

    rc->regs = pcie_regs;
    rc->num_regs = ARRAY_SIZE(pcie_regs);
    rc->size = 0x80000;
    rc->read = pcie_read;
    rc->write = pcie_write;
    DEVICE_CLASS(klass)->realize = rcar_pcie_realize;
    device_class_set_props(DEVICE_CLASS(klass), rcar_pcie_properties);
    resettable_class_set_parent_phases(RESETTABLE_CLASS(klass), NULL,
                                       rcar_pcie_reset_hold, NULL,
                                       &RCAR_PCIE_CLASS(klass)->parent_phases);
}

static const TypeInfo rcar_pcie_info = {
    .name = TYPE_RCAR_PCIE,
    .parent = TYPE_RCAR_REGS,
    .instance_size = sizeof(RcarPcieState),
    .instance_init = rcar_pcie_init,
    .class_size = sizeof(RcarPcieClass),
    .class_init = rcar_pcie_class_init,
};

static void rcar_pcie_register_types(void)
{
    type_register_static(&rcar_pcie_info);
}

type_init(rcar_pcie_register_types)
