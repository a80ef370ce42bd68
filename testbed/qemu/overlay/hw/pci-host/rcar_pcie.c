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
#include "qemu/log.h"
#include "qemu/module.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "hw/irq.h"
#include "hw/pci-host/rcar_pcie.h"
#include "hw/pci/msi.h"
#include "hw/registerfields.h"

#define PCIECAR         0x00010
FIELD(PCIECAR, REG, 0, 12)
FIELD(PCIECAR, DEVFN, 16, 8)
FIELD(PCIECAR, BUS, 24, 8)
#define PCIECCTLR       0x00018
#define CCIE            BIT(31)
#define TYPE1           BIT(8)
#define PCIECDR         0x00020
#define PCIEMSR         0x00028
#define PCIEINTXR       0x00400
#define INTX_ENABLE_SHIFT 8
#define PCIEPHYSR       0x007f0
#define PHYRDY          BIT(0)
#define PCIEMSITXR      0x00840
#define PCIETCTLR       0x02000
#define CFINIT          BIT(0)
#define PCIETSTR        0x02004
#define DATA_LINK_ACTIVE BIT(0)
#define PCIEERRFR       0x02020
#define UNSUPPORTED_REQUEST BIT(4)
#define PCIEMSIFR       0x02044
#define PCIEMSIALR      0x02048
#define MSIFE           BIT(0)
#define PCIEMSIAUR      0x0204c
#define PCIEMSIIER      0x02050
#define PCIEPRAR(n)     (0x02080 + 4 * (n))
#define PCIELAR(n)      (0x02200 + 0x20 * (n))
#define PCIELAMR(n)     (0x02208 + 0x20 * (n))
#define LAM_MASK        0xfffffff0
#define LAM_64BIT       BIT(2)
#define LAR_ENABLE      BIT(1)
#define PCIEPALR(n)     (0x03400 + 0x20 * (n))
#define PCIEPAUR(n)     (0x03404 + 0x20 * (n))
#define PCIEPAMR(n)     (0x03408 + 0x20 * (n))
#define PCIEPTCTLR(n)   (0x0340c + 0x20 * (n))
#define PAR_ENABLE      BIT(31)
#define IO_SPACE        BIT(8)
#define PCICONF         0x10000
#define IDSETR0         0x11000
#define SUBIDSETR       0x11024
#define TLCTLR          0x11048
#define MACSR           0x11054
#define SPEED_DONE      (BIT(4) | BIT(7))       /* SPCHGFIN, SPCHGSUC */
#define SPEED_FIELD     (0xf << 16)
#define SPEED_2_5       (1 << 16)
#define SPEED_5_0       (2 << 16)
#define ONE_LANE        (1 << 20)
#define MACCTLR         0x11058
#define SPEED_CHANGE    BIT(24)
#define PMSR            0x1105c
#define PMCTLR          0x11060
#define MACS2R          0x11078
#define MACCGSPSETR     0x11084

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

/* The windows of both hosts have these sizes, wherever they are */
static const uint64_t outbound_size[RCAR_PCIE_OUTBOUND] = {
    1 * MiB, 2 * MiB, 128 * MiB, 128 * MiB,
};

static uint32_t reg(RcarPcieState *s, hwaddr offset)
{
    return RCAR_REGS(s)->values[offset / 4];
}

static void set_reg(RcarPcieState *s, hwaddr offset, uint32_t value)
{
    RCAR_REGS(s)->values[offset / 4] = value;
}

static void update_irq(RcarPcieState *s)
{
    uint32_t intx = s->intx & (reg(s, PCIEINTXR) >> INTX_ENABLE_SHIFT);
    uint32_t msi = reg(s, PCIEMSIFR) & reg(s, PCIEMSIIER);

    qemu_set_irq(s->irq, intx || msi);
}

static void intx_changed(void *opaque, int line, int level)
{
    RcarPcieState *s = opaque;

    s->intx = deposit32(s->intx, line, 1, !!level);
    update_irq(s);
}

static bool link_is_up(RcarPcieState *s)
{
    return (reg(s, PCIETCTLR) & CFINIT) &&
           rcar_pcie_bridge_has_device(&s->bridge);
}

/* What PCIECAR addresses, or NULL after having said that nothing is there */
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
        dev, FIELD_EX32(reg(s, PCIECAR), PCIECAR, REG), pci_config_size(dev), 4);
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

static uint64_t reg_pair(RcarPcieState *s, hwaddr low, hwaddr high)
{
    return reg(s, low) | (uint64_t)reg(s, high) << 32;
}

/* A 64-bit window takes the next one's registers for its upper halves */
static void update_inbound(RcarPcieState *s)
{
    bool is_upper_half = false;

    for (int n = 0; n < RCAR_PCIE_INBOUND; n++) {
        MemoryRegion *window = &s->inbound[n];
        uint32_t flags = reg(s, PCIELAMR(n));
        bool wide = (flags & LAM_64BIT) && n + 1 < RCAR_PCIE_INBOUND;
        uint64_t mask = (flags & LAM_MASK) | ~LAM_MASK;
        bool enabled = (flags & LAR_ENABLE) && !is_upper_half;

        memory_region_set_enabled(window, enabled);
        if (enabled) {
            uint64_t pci = wide ? reg_pair(s, PCIEPRAR(n), PCIEPRAR(n + 1))
                                : reg(s, PCIEPRAR(n));
            uint64_t local = wide ? reg_pair(s, PCIELAR(n), PCIELAR(n + 1))
                                  : reg(s, PCIELAR(n));

            memory_region_set_size(window, mask + 1);
            memory_region_set_address(window, pci & ~mask);
            memory_region_set_alias_offset(window, local & ~mask);
        }
        is_upper_half = enabled && wide;
    }
}

static void update_outbound(RcarPcieState *s)
{
    for (int n = 0; n < RCAR_PCIE_OUTBOUND; n++) {
        uint32_t control = reg(s, PCIEPTCTLR(n));
        bool io = control & IO_SPACE;
        MemoryRegion *window = io ? &s->outbound[n].io : &s->outbound[n].mem;
        MemoryRegion *other = io ? &s->outbound[n].mem : &s->outbound[n].io;
        uint64_t mask = reg(s, PCIEPAMR(n)) | 0x7f;

        memory_region_set_enabled(other, false);
        memory_region_set_enabled(window, control & PAR_ENABLE);
        memory_region_set_size(window, MIN(mask + 1, outbound_size[n]));
        memory_region_set_alias_offset(
            window, reg_pair(s, PCIEPALR(n), PCIEPAUR(n)) & ~mask);
    }
}

static void update_msi(RcarPcieState *s)
{
    uint64_t addr = reg_pair(s, PCIEMSIALR, PCIEMSIAUR);

    memory_region_set_enabled(&s->msi, addr & MSIFE);
    memory_region_set_address(&s->msi, addr & ~(uint64_t)3);
}

static void update_windows(RcarPcieState *s)
{
    memory_region_transaction_begin();
    update_inbound(s);
    update_outbound(s);
    update_msi(s);
    memory_region_transaction_commit();
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

/* Done at once, and so the request never reads back */
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
        update_irq(s);
        return value;
    case PCIEMSIALR:
    case PCIEMSIAUR:
    case PCIEPRAR(0) ... PCIEPTCTLR(RCAR_PCIE_OUTBOUND - 1):
        set_reg(s, offset, value);
        update_windows(s);
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

static uint64_t msi_read(void *opaque, hwaddr offset, unsigned size)
{
    qemu_log_mask(LOG_GUEST_ERROR, "rcar-pcie: a device reads a message\n");
    return UINT64_MAX;
}

static void msi_write(void *opaque, hwaddr offset, uint64_t value,
                      unsigned size)
{
    RcarPcieState *s = opaque;

    s->msis++;
    set_reg(s, PCIEMSIFR, reg(s, PCIEMSIFR) | BIT(value & 0x1f));
    update_irq(s);
}

static const MemoryRegionOps msi_ops = {
    .read = msi_read,
    .write = msi_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
};

static uint64_t closed_read(void *opaque, hwaddr offset, unsigned size)
{
    rcar_regs_guest_error(opaque, "read through a closed window", offset);
    return UINT64_MAX;
}

static void closed_write(void *opaque, hwaddr offset, uint64_t value,
                         unsigned size)
{
    rcar_regs_guest_error(opaque, "write through a closed window", offset);
}

static const MemoryRegionOps closed_ops = {
    .read = closed_read,
    .write = closed_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
};

static void rcar_pcie_reset_hold(Object *obj, ResetType type)
{
    RcarPcieState *s = RCAR_PCIE(obj);

    RCAR_PCIE_GET_CLASS(obj)->parent_phases.hold(obj, type);
    update_windows(s);
    update_irq(s);
}

void rcar_pcie_set_dma_as(RcarPcieState *s, AddressSpace *as)
{
    assert(!qdev_is_realized(DEVICE(s)));
    s->dma_as = as;
}

static void create_outbound(RcarPcieState *s, int n)
{
    RcarPcieOutbound *o = &s->outbound[n];
    uint64_t size = outbound_size[n];

    memory_region_init_io(&o->cpu, OBJECT(s), &closed_ops, s, "pcie-outbound",
                          size);
    memory_region_init_alias(&o->mem, OBJECT(s), "pcie-outbound-mem",
                             &s->bridge.mem, 0, size);
    memory_region_init_alias(&o->io, OBJECT(s), "pcie-outbound-io",
                             &s->bridge.io, 0, size);
    memory_region_add_subregion_overlap(&o->cpu, 0, &o->mem, 1);
    memory_region_add_subregion_overlap(&o->cpu, 0, &o->io, 1);
    sysbus_init_mmio(SYS_BUS_DEVICE(s), &o->cpu);
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
    for (int i = 0; i < RCAR_PCIE_OUTBOUND; i++) {
        create_outbound(s, i);
    }
    for (int i = 0; i < RCAR_PCIE_INBOUND; i++) {
        memory_region_init_alias(&s->inbound[i], OBJECT(s), "pcie-inbound",
                                 s->dma_as->root, 0, 16);
        memory_region_add_subregion_overlap(&s->bridge.dma, 0, &s->inbound[i],
                                            0);
    }
    memory_region_init_io(&s->msi, OBJECT(s), &msi_ops, s, "pcie-msi", 4);
    memory_region_add_subregion_overlap(&s->bridge.dma, 0, &s->msi, 1);
    update_windows(s);
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

static void rcar_pcie_class_init(ObjectClass *klass, void *data)
{
    RcarRegsClass *rc = RCAR_REGS_CLASS(klass);

    rc->regs = pcie_regs;
    rc->num_regs = ARRAY_SIZE(pcie_regs);
    rc->size = 0x80000;
    rc->read = pcie_read;
    rc->write = pcie_write;
    DEVICE_CLASS(klass)->realize = rcar_pcie_realize;
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
