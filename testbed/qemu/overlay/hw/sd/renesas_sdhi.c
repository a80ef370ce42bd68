/*
 * Renesas SDHI of R-Car Gen3: SD card and eMMC host with its own DMAC
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What Linux's renesas_sdhi_internal_dmac driver uses. Decisions where that
 * driver is silent:
 *
 * - Other registers do not exist: accesses are counted in "guest-errors", as
 *   are those of a wrong size. A register may be accessed with up to the
 *   8 bytes that it has in the address space.
 * - The data port moves as many bytes as an access has, whatever HOST_MODE.
 * - With its clock stopped or its power off, a card does not answer.
 * - A card that has no data after a command that promised some is a timeout
 *   after 100 ms, whatever SD_OPTION says.
 * - A DMA error stops the DMAC and nothing else; SD_RST ends the transfer.
 * - SOFT_RST resets what the driver writes again after it, and the transfer.
 * - The sampling clock controller keeps what it is told, finds nothing to
 *   correct and all positions good.
 * - There are no SDIO cards, and so no SDIO interrupts.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/log.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "exec/address-spaces.h"
#include "hw/irq.h"
#include "hw/qdev-properties.h"
#include "hw/resettable.h"
#include "migration/vmstate.h"
#include "system/runstate.h"
#include "renesas_sdhi_internal.h"

#define TYPE_RENESAS_SDHI_BUS "renesas-sdhi-bus"

/* Bits 1 and 2 of SDIO_INFO1 are always 1 */
#define SDIO_INFO1_ONES 0x0006
#define OPTION_ONES     0x4000

typedef struct SdhiReg {
    uint16_t offset;
    uint16_t count;             /* of them, 8 bytes apart */
    uint8_t width;              /* in bytes, at least */
    bool soft_reset;            /* by SOFT_RST as well */
    uint32_t writable;
    uint32_t reset;
} SdhiReg;

static const SdhiReg sdhi_regs[] = {
    { SD_CMD, 1, 2, false, 0xffff, 0 },
    { SD_ARG0, 2, 2, false, 0xffff, 0 },
    { SD_STOP, 1, 2, true, 0x0101, 0 },
    { SD_SECCNT, 1, 4, false, 0xffffffff, 0 },
    { SD_RSP(0), 8, 2, false, 0, 0 },
    { SD_INFO1, 2, 2, true, 0, 0 },
    { SD_INFO1_MASK, 1, 2, true, 0xffff, (uint16_t)INFO_MASK_RESET },
    { SD_INFO2_MASK, 1, 2, true, 0xffff, INFO_MASK_RESET >> 16 },
    { SD_CLK_CTRL, 1, 2, true, 0x03ff, 0x0020 },
    { SD_SIZE, 1, 2, false, 0x03ff, 0x0200 },
    { SD_OPTION, 1, 2, true, 0xffff, 0x40ee },
    { SD_BUF0, 1, 2, false, 0, 0 },
    { SDIO_MODE, 1, 2, true, 0x0307, 0 },
    { SDIO_INFO1, 1, 2, true, 0, SDIO_INFO1_ONES },
    { SDIO_INFO1_MASK, 1, 2, true, 0xc007, 0xc007 },
    { CC_EXT_MODE, 1, 2, false, 0xffff, 0x1010 },
    { SOFT_RST, 1, 2, false, 0x0007, 0x0007 },
    { VERSION, 1, 2, false, 0, 0 },
    { HOST_MODE, 1, 2, false, 0x0101, 0 },
    { SDIF_MODE, 1, 2, true, 0x0001, 0 },
    { DM_CM_DTRAN_MODE, 1, 4, false, 0x00030031, 0 },
    { DM_CM_DTRAN_CTRL, 1, 4, false, 0, 0 },
    { DM_CM_RST, 1, 4, false, 0xffffffff, 0xffffffff },
    { DM_CM_INFO1, 1, 4, false, 0, 0 },
    { DM_CM_INFO1_MASK, 1, 4, false, 0xffffffff, 0xffffffff },
    { DM_CM_INFO2, 1, 4, false, 0, 0 },
    { DM_CM_INFO2_MASK, 1, 4, false, 0xffffffff, 0xffffffff },
    { DM_DTRAN_ADDR, 1, 4, false, 0xffffffff, 0 },
    { SCC_DTCNTL, 5, 4, false, 0xffffffff, 0 },     /* up to RVSCNTL */
    { SCC_RVSREQ, 2, 4, false, 0, 0 },              /* RVSREQ, SMPCMP */
    { SCC_TMPPORT2, 1, 4, false, 0xffffffff, 0 },
    { SCC_TMPPORT3, 4, 4, false, 0xffffffff, 0 },   /* up to TMPPORT6 */
    { SCC_TMPPORT7, 1, 4, false, 0, 0 },
};

void renesas_sdhi_guest_error(RenesasSdhiState *s, const char *what,
                              hwaddr offset)
{
    s->guest_errors++;
    qemu_log_mask(LOG_GUEST_ERROR, "%s: %s at 0x%" HWADDR_PRIx "\n",
                  object_get_canonical_path_component(OBJECT(s)), what,
                  offset);
}

static uint32_t info_latched(RenesasSdhiState *s)
{
    return *sdhi_reg(s, SD_INFO1) | *sdhi_reg(s, SD_INFO2) << 16;
}

static uint32_t info(RenesasSdhiState *s)
{
    uint32_t value = info_latched(s);

    if (sdbus_get_inserted(&s->bus)) {
        value |= R_INFO_CARD_MASK;
        if (!sdbus_get_readonly(&s->bus)) {
            value |= R_INFO_WRITABLE_MASK;
        }
    }
    if (sdbus_get_dat_lines(&s->bus) & 1) {
        value |= R_INFO_DAT0_MASK;
    }
    return value | (s->regs.reading || s->regs.writing
                    ? R_INFO_BUSY_MASK : R_INFO_CLOCK_IDLE_MASK);
}

void renesas_sdhi_update_irq(RenesasSdhiState *s)
{
    uint32_t mask = *sdhi_reg(s, SD_INFO1_MASK) |
                    *sdhi_reg(s, SD_INFO2_MASK) << 16;

    qemu_set_irq(s->irq,
        (info_latched(s) & ~mask) ||
        (*sdhi_reg(s, DM_CM_INFO1) & ~*sdhi_reg(s, DM_CM_INFO1_MASK)) ||
        (*sdhi_reg(s, DM_CM_INFO2) & ~*sdhi_reg(s, DM_CM_INFO2_MASK)));
}

void renesas_sdhi_raise(RenesasSdhiState *s, uint32_t info)
{
    *sdhi_reg(s, SD_INFO1) |= (uint16_t)info;
    *sdhi_reg(s, SD_INFO2) |= info >> 16;
    renesas_sdhi_update_irq(s);
}

static const SdhiReg *find_reg(hwaddr offset, unsigned size)
{
    for (size_t i = 0; i < ARRAY_SIZE(sdhi_regs); i++) {
        const SdhiReg *reg = &sdhi_regs[i];

        if (offset >= reg->offset && offset < reg->offset + 8 * reg->count) {
            return offset % 8 == 0 && size >= reg->width ? reg : NULL;
        }
    }
    return NULL;
}

static uint64_t sdhi_read(void *opaque, hwaddr offset, unsigned size)
{
    RenesasSdhiState *s = opaque;

    if (!find_reg(offset, size)) {
        renesas_sdhi_guest_error(s, "read of no register", offset);
        return 0;
    }
    switch (offset) {
    case SD_INFO1:
        return (uint16_t)info(s);
    case SD_INFO2:
        return info(s) >> 16;
    case SD_BUF0:
        return renesas_sdhi_port_read(s, size);
    case SD_OPTION:
        return *sdhi_reg(s, offset) | OPTION_ONES;
    case VERSION:
        return s->version;
    default:
        return *sdhi_reg(s, offset);
    }
}

static void reset_regs(RenesasSdhiState *s, bool soft)
{
    for (size_t i = 0; i < ARRAY_SIZE(sdhi_regs); i++) {
        const SdhiReg *reg = &sdhi_regs[i];

        for (unsigned n = 0; n < reg->count; n++) {
            if (!soft || reg->soft_reset) {
                *sdhi_reg(s, reg->offset + 8 * n) = reg->reset;
            }
        }
    }
    renesas_sdhi_abort(s);
    renesas_sdhi_update_irq(s);
}

static void dma_start(RenesasSdhiState *s)
{
    uint32_t addr = *sdhi_reg(s, DM_DTRAN_ADDR);

    if (addr % 128) {
        renesas_sdhi_guest_error(s, "unaligned address for the DMAC",
                                 DM_DTRAN_ADDR);
    }
    if (!FIELD_EX32(*sdhi_reg(s, DM_CM_DTRAN_MODE), DTRAN_MODE, INCREMENT)) {
        qemu_log_mask(LOG_UNIMP, "renesas-sdhi: DMA to a fixed address\n");
        return;
    }
    s->regs.dma_running = true;
    renesas_sdhi_dma_kick(s);
}

/* Does what a write causes, beyond keeping the value */
static void act_on_write(RenesasSdhiState *s, hwaddr offset, uint32_t value)
{
    switch (offset) {
    case SD_CMD:
        renesas_sdhi_command(s);
        break;
    case SD_STOP:
        if (FIELD_EX32(value, STOP, STP)) {
            renesas_sdhi_stop(s);
        }
        break;
    case SD_INFO1:
    case SD_INFO2:
    case DM_CM_INFO1:
    case DM_CM_INFO2:
        *sdhi_reg(s, offset) &= value;
        break;
    case CC_EXT_MODE:
        renesas_sdhi_dma_kick(s);
        break;
    case SOFT_RST:
        if (!FIELD_EX32(value, SOFT_RST, RUN)) {
            reset_regs(s, true);
        }
        break;
    case DM_CM_DTRAN_CTRL:
        if (FIELD_EX32(value, DTRAN_CTRL, START)) {
            dma_start(s);
        }
        break;
    case DM_CM_RST:
        if (!FIELD_EX32(value, DM_RST, CHANNELS)) {
            s->regs.dma_running = false;
        }
        break;
    }
}

static void sdhi_write(void *opaque, hwaddr offset, uint64_t value,
                       unsigned size)
{
    RenesasSdhiState *s = opaque;
    const SdhiReg *reg = find_reg(offset, size);

    if (!reg) {
        renesas_sdhi_guest_error(s, "write to no register", offset);
        return;
    }
    if (offset == SD_BUF0) {
        renesas_sdhi_port_write(s, value, size);
        return;
    }
    *sdhi_reg(s, offset) = (*sdhi_reg(s, offset) & ~reg->writable) |
                           ((uint32_t)value & reg->writable);
    act_on_write(s, offset, value);
    renesas_sdhi_update_irq(s);
}

/* Accesses of any size reach us, so that the wrong ones are counted */
static const MemoryRegionOps sdhi_ops = {
    .read = sdhi_read,
    .write = sdhi_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
    .impl = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
};

void renesas_sdhi_set_dma_as(RenesasSdhiState *s, AddressSpace *as)
{
    s->dma_as = as;
}

static void sdhi_set_inserted(DeviceState *dev, bool inserted)
{
    RenesasSdhiState *s = RENESAS_SDHI(dev);

    qemu_set_irq(s->inserted, inserted);
    renesas_sdhi_raise(s, inserted ? R_INFO_INSERTED_MASK
                                   : R_INFO_REMOVED_MASK);
}

static void sdhi_set_power(void *opaque, int n, int level)
{
    RenesasSdhiState *s = opaque;

    if (level && !s->powered) {
        bus_cold_reset(BUS(&s->bus));
    }
    s->powered = level;
}

/* Slices that fell due while the machine was stopped have been skipped */
static void sdhi_vm_change(void *opaque, bool running, RunState state)
{
    if (running) {
        renesas_sdhi_dma_kick(opaque);
    }
}

static void sdhi_reset_hold(Object *obj, ResetType type)
{
    RenesasSdhiState *s = RENESAS_SDHI(obj);

    s->regs.dma_running = false;
    reset_regs(s, false);
    qemu_set_irq(s->inserted, sdbus_get_inserted(&s->bus));
}

static void sdhi_realize(DeviceState *dev, Error **errp)
{
    RenesasSdhiState *s = RENESAS_SDHI(dev);

    s->dma_bh = qemu_bh_new_guarded(renesas_sdhi_dma, s,
                                    &dev->mem_reentrancy_guard);
    s->data_timeout = timer_new_ns(QEMU_CLOCK_VIRTUAL,
                                   renesas_sdhi_data_timeout, s);
    s->vm_change = qemu_add_vm_change_state_handler(sdhi_vm_change, s);
}

static void sdhi_unrealize(DeviceState *dev)
{
    RenesasSdhiState *s = RENESAS_SDHI(dev);

    qemu_del_vm_change_state_handler(s->vm_change);
    timer_free(s->data_timeout);
    qemu_bh_delete(s->dma_bh);
}

static void sdhi_init(Object *obj)
{
    RenesasSdhiState *s = RENESAS_SDHI(obj);
    SysBusDevice *sbd = SYS_BUS_DEVICE(obj);

    memory_region_init_io(&s->iomem, obj, &sdhi_ops, s, TYPE_RENESAS_SDHI,
                          RENESAS_SDHI_MMIO_SIZE);
    sysbus_init_mmio(sbd, &s->iomem);
    sysbus_init_irq(sbd, &s->irq);
    qbus_init(&s->bus, sizeof(s->bus), TYPE_RENESAS_SDHI_BUS, DEVICE(obj),
              "sd-bus");
    qdev_init_gpio_out_named(DEVICE(obj), &s->inserted, "inserted", 1);
    qdev_init_gpio_in_named(DEVICE(obj), sdhi_set_power, "power", 1);
    s->powered = true;
    s->dma_as = &address_space_memory;
    object_property_add_uint64_ptr(obj, "guest-errors", &s->guest_errors,
                                   OBJ_PROP_FLAG_READ);
    object_property_add_uint64_ptr(obj, "dma-transfers", &s->dma_transfers,
                                   OBJ_PROP_FLAG_READ);
    object_property_add_uint64_ptr(obj, "dma-blocks", &s->dma_blocks,
                                   OBJ_PROP_FLAG_READ);
    object_property_add_uint64_ptr(obj, "pio-blocks", &s->pio_blocks,
                                   OBJ_PROP_FLAG_READ);
}

static const Property sdhi_properties[] = {
    DEFINE_PROP_UINT16("version", RenesasSdhiState, version,
                       RENESAS_SDHI_VERSION_SDMMC),
};

static const VMStateDescription vmstate_sdhi = {
    .name = TYPE_RENESAS_SDHI,
    .unmigratable = 1,
};

static void sdhi_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    dc->desc = "Renesas SDHI (R-Car Gen3)";
    dc->realize = sdhi_realize;
    dc->unrealize = sdhi_unrealize;
    dc->vmsd = &vmstate_sdhi;
    device_class_set_props(dc, sdhi_properties);
    RESETTABLE_CLASS(klass)->phases.hold = sdhi_reset_hold;
}

static void sdhi_bus_class_init(ObjectClass *klass, void *data)
{
    SD_BUS_CLASS(klass)->set_inserted = sdhi_set_inserted;
}

static const TypeInfo sdhi_types[] = {
    {
        .name = TYPE_RENESAS_SDHI,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(RenesasSdhiState),
        .instance_init = sdhi_init,
        .class_init = sdhi_class_init,
    }, {
        .name = TYPE_RENESAS_SDHI_BUS,
        .parent = TYPE_SD_BUS,
        .class_init = sdhi_bus_class_init,
    },
};

DEFINE_TYPES(sdhi_types)
