/*
 * PCI Express host bridge of R-Car: the windows between CPU, memory and bus
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/log.h"
#include "qemu/units.h"
#include "rcar_pcie_internal.h"

/* The windows of both hosts have these sizes, wherever they are */
static const uint64_t outbound_size[RCAR_PCIE_OUTBOUND] = {
    1 * MiB, 2 * MiB, 128 * MiB, 128 * MiB,
};

static uint64_t reg_pair(RcarPcieState *s, hwaddr low, hwaddr high)
{
    return reg(s, low) | (uint64_t)reg(s, high) << 32;
}

/* Opens and closes windows; one of 64 bits has the next one's registers, too */
static void update_inbound(RcarPcieState *s, unsigned osid)
{
    bool is_upper_half = false;

    for (int n = 0; n < RCAR_PCIE_INBOUND; n++) {
        MemoryRegion *window = &s->inbound[osid][n];
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

static void update_msi(RcarPcieState *s, unsigned osid)
{
    uint64_t addr = reg_pair(s, PCIEMSIALR, PCIEMSIAUR);

    memory_region_set_enabled(&s->msi[osid], addr & MSIFE);
    memory_region_set_address(&s->msi[osid], addr & ~(uint64_t)3);
}

void rcar_pcie_update_windows(RcarPcieState *s)
{
    memory_region_transaction_begin();
    for (int i = 0; i < rcar_pcie_bridge_osids(&s->bridge); i++) {
        update_inbound(s, i);
        update_msi(s, i);
    }
    update_outbound(s);
    memory_region_transaction_commit();
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
    rcar_pcie_update_irq(s);
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

static void create_inbound(RcarPcieState *s, int osid)
{
    MemoryRegion *dma = &s->bridge.dma[osid];

    for (int i = 0; i < RCAR_PCIE_INBOUND; i++) {
        MemoryRegion *window = &s->inbound[osid][i];

        memory_region_init_alias(window, OBJECT(s), "pcie-inbound",
                                 s->dma_as[osid]->root, 0, 16);
        memory_region_add_subregion_overlap(dma, 0, window, 0);
    }
    memory_region_init_io(&s->msi[osid], OBJECT(s), &msi_ops, s,
                          "pcie-msi", 4);
    memory_region_add_subregion_overlap(dma, 0, &s->msi[osid], 1);
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

void rcar_pcie_create_windows(RcarPcieState *s)
{
    for (int i = 0; i < RCAR_PCIE_OUTBOUND; i++) {
        create_outbound(s, i);
    }
    for (int i = 0; i < rcar_pcie_bridge_osids(&s->bridge); i++) {
        create_inbound(s, i);
    }
    rcar_pcie_update_windows(s);
}
