/*
 * R-Car SYS-DMAC (Direct Memory Access Controller for System)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What Linux's rcar-dmac driver uses of the Gen2 and Gen3 controller: register
 * mode, and descriptor mode with the descriptors in memory, once or for ever.
 * Decisions where that driver is silent:
 *
 * - Every register is 0 after reset. Offsets without a register (DMASEC, the
 *   descriptor memory of the DMAC itself, ...) and accesses of another size
 *   than the register's are counted in "guest-errors"; the former do nothing,
 *   the latter are bus errors.
 * - A transaction that fails - refused by the IPMMU, or with nothing at its
 *   address - and an address that is not a multiple of the transfer unit set
 *   CHCR.CAE and stop the channel until CAE is cleared. SAR and DAR are left at
 *   the start of the page or the unit that failed.
 * - DMAOR.AE, and the error interrupt, is whether any channel has CAE. Other
 *   channels go on.
 * - Clearing CHCR.DE pauses, setting it again goes on where the channel was.
 *   Writing TCR, or CHCRB.DRST, makes it begin anew.
 */

#include "qemu/osdep.h"
#include "qemu/log.h"
#include "qemu/main-loop.h"
#include "exec/address-spaces.h"
#include "hw/irq.h"
#include "hw/resettable.h"
#include "migration/vmstate.h"
#include "system/runstate.h"
#include "rcar_dmac_internal.h"

#define MMIO_SIZE       0x10000

/* Common registers */
#define DMAISTA         0x20
#define DMAOR           0x60
#define DMACHCLR        0x80

/* Channel registers */
#define CHAN_BASE       0x8000
#define CHAN_STRIDE     0x80
#define DMASAR          0x00
#define DMADAR          0x04
#define DMATCR          0x08
#define DMACHCR         0x0c
#define DMAFIXSAR       0x10
#define DMAFIXDAR       0x14
#define DMATCRB         0x18
#define DMACHCRB        0x1c
#define DMARS           0x40
#define DMADPBASE       0x50
#define DMADPCR         0x54
#define DMAFIXDPBASE    0x60

#define DMAOR_WRITABLE  (R_DMAOR_PRI_MASK | R_DMAOR_DME_MASK)
#define CHCR_WRITABLE   0xfe7cff1f      /* all bits that have a name */
#define CHCRB_WRITABLE  0xff0001ff      /* DCNT, DTS, SLM, PRI */
#define DPBASE_WRITABLE 0xfffffff1
#define DPCR_WRITABLE   0xff000000
#define FIX_WRITABLE    0x000000ff

static bool channel_interrupt(const RcarDMACChannel *ch)
{
    uint32_t chcr = ch->regs.chcr;

    return ((chcr & R_CHCR_TE_MASK) && (chcr & R_CHCR_IE_MASK)) ||
           ((chcr & R_CHCR_DSE_MASK) && (chcr & R_CHCR_DSIE_MASK)) ||
           ((chcr & R_CHCR_CAE_MASK) && (chcr & R_CHCR_CAIE_MASK));
}

static bool address_error_pending(const RcarDMACState *s)
{
    for (unsigned i = 0; i < RCAR_DMAC_CHANNELS; i++) {
        if (s->chan[i].regs.chcr & R_CHCR_CAE_MASK) {
            return true;
        }
    }

    return false;
}

void rcar_dmac_update_irq(RcarDMACChannel *ch)
{
    qemu_set_irq(ch->irq, channel_interrupt(ch));
    qemu_set_irq(ch->dmac->error_irq, address_error_pending(ch->dmac));
}

static void guest_error(RcarDMACState *s, const char *what, hwaddr offset)
{
    s->guest_errors++;
    qemu_log_mask(LOG_GUEST_ERROR, "%s: %s at offset 0x%" HWADDR_PRIx "\n",
                  object_get_canonical_path_component(OBJECT(s)), what,
                  offset);
}

static void clear_channel(RcarDMACChannel *ch)
{
    qemu_bh_cancel(ch->bh);
    memset(&ch->regs, 0, sizeof(ch->regs));
    rcar_dmac_update_irq(ch);
}

static void write_chcr(RcarDMACChannel *ch, uint32_t value)
{
    uint32_t flags = ch->regs.chcr & value & CHCR_FLAGS;

    ch->regs.chcr = (value & CHCR_WRITABLE & ~CHCR_FLAGS) | flags;
    rcar_dmac_update_irq(ch);
    rcar_dmac_kick(ch);
}

static void write_chcrb(RcarDMACChannel *ch, uint32_t value)
{
    uint32_t dptr = ch->regs.chcrb & R_CHCRB_DPTR_MASK;

    if (FIELD_EX32(value, CHCRB, DRST)) {
        dptr = 0;
        ch->regs.stage_running = false;
    }
    ch->regs.chcrb = (value & CHCRB_WRITABLE) | dptr;
}

static bool chan_read(RcarDMACChannel *ch, hwaddr reg, uint64_t *value)
{
    RcarDMACRegs *r = &ch->regs;

    switch (reg) {
    case DMASAR:
        *value = r->sar;
        return true;
    case DMADAR:
        *value = r->dar;
        return true;
    case DMATCR:
    case DMATCRB:
        /* TCRB lags behind TCR by what is in flight: here that is nothing */
        *value = r->tcr;
        return true;
    case DMACHCR:
        *value = r->chcr;
        return true;
    case DMAFIXSAR:
        *value = r->fixsar;
        return true;
    case DMAFIXDAR:
        *value = r->fixdar;
        return true;
    case DMACHCRB:
        *value = r->chcrb;
        return true;
    case DMARS:
        *value = r->rs;
        return true;
    case DMADPBASE:
        *value = r->dpbase;
        return true;
    case DMADPCR:
        *value = r->dpcr;
        return true;
    case DMAFIXDPBASE:
        *value = r->fixdpbase;
        return true;
    default:
        return false;
    }
}

static bool chan_write(RcarDMACChannel *ch, hwaddr reg, uint32_t value)
{
    RcarDMACRegs *r = &ch->regs;

    switch (reg) {
    case DMASAR:
        r->sar = value;
        return true;
    case DMADAR:
        r->dar = value;
        return true;
    case DMATCR:
        r->tcr = value & DMATCR_MASK;
        r->stage_running = false;
        return true;
    case DMACHCR:
        write_chcr(ch, value);
        return true;
    case DMAFIXSAR:
        r->fixsar = value & FIX_WRITABLE;
        return true;
    case DMAFIXDAR:
        r->fixdar = value & FIX_WRITABLE;
        return true;
    case DMACHCRB:
        write_chcrb(ch, value);
        return true;
    case DMARS:
        r->rs = value;
        return true;
    case DMADPBASE:
        r->dpbase = value & DPBASE_WRITABLE;
        return true;
    case DMADPCR:
        r->dpcr = value & DPCR_WRITABLE;
        return true;
    case DMAFIXDPBASE:
        r->fixdpbase = value & FIX_WRITABLE;
        return true;
    default:
        return false;
    }
}

/* The channel that @offset is in, with *@reg the offset in its registers */
static RcarDMACChannel *decode_channel(RcarDMACState *s, hwaddr offset,
                                       hwaddr *reg)
{
    if (offset < CHAN_BASE ||
        offset >= CHAN_BASE + RCAR_DMAC_CHANNELS * CHAN_STRIDE) {
        return NULL;
    }

    *reg = offset % CHAN_STRIDE;
    return &s->chan[(offset - CHAN_BASE) / CHAN_STRIDE];
}

static uint64_t rcar_dmac_read(void *opaque, hwaddr offset, unsigned size)
{
    RcarDMACState *s = opaque;
    hwaddr reg;
    RcarDMACChannel *ch = decode_channel(s, offset, &reg);
    uint64_t value = 0;

    if (ch && chan_read(ch, reg, &value)) {
        return value;
    }

    switch (offset) {
    case DMAISTA:
        for (unsigned i = 0; i < RCAR_DMAC_CHANNELS; i++) {
            value |= (uint64_t)channel_interrupt(&s->chan[i]) << i;
        }
        return value;
    case DMAOR:
        return s->dmaor | (address_error_pending(s) ? R_DMAOR_AE_MASK : 0);
    default:
        guest_error(s, "read of no register", offset);
        return 0;
    }
}

static void rcar_dmac_write(void *opaque, hwaddr offset, uint64_t value,
                            unsigned size)
{
    RcarDMACState *s = opaque;
    hwaddr reg;
    RcarDMACChannel *ch = decode_channel(s, offset, &reg);

    if (ch && chan_write(ch, reg, value)) {
        return;
    }

    switch (offset) {
    case DMAOR:
        s->dmaor = value & DMAOR_WRITABLE;
        for (unsigned i = 0; i < RCAR_DMAC_CHANNELS; i++) {
            rcar_dmac_kick(&s->chan[i]);
        }
        break;
    case DMACHCLR:
        for (unsigned i = 0; i < RCAR_DMAC_CHANNELS; i++) {
            if (extract64(value, i, 1)) {
                clear_channel(&s->chan[i]);
            }
        }
        break;
    default:
        guest_error(s, "write to no register", offset);
        break;
    }
}

/* DMAOR and DMARS are of 16 bits, the others of 32 */
static bool rcar_dmac_accepts(void *opaque, hwaddr offset, unsigned size,
                              bool is_write, MemTxAttrs attrs)
{
    hwaddr reg;
    bool half = offset == DMAOR ||
                (decode_channel(opaque, offset, &reg) && reg == DMARS);

    if (size != (half ? 2 : 4)) {
        guest_error(opaque, "access of a wrong size", offset);
        return false;
    }

    return true;
}

static const MemoryRegionOps rcar_dmac_ops = {
    .read = rcar_dmac_read,
    .write = rcar_dmac_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid.min_access_size = 1,
    .valid.max_access_size = 8,
    .valid.accepts = rcar_dmac_accepts,
    .impl.min_access_size = 2,
    .impl.max_access_size = 4,
};

/* Slices that fell due while the machine was stopped have been skipped */
static void rcar_dmac_vm_change(void *opaque, bool running, RunState state)
{
    RcarDMACState *s = opaque;

    for (unsigned i = 0; running && i < RCAR_DMAC_CHANNELS; i++) {
        rcar_dmac_kick(&s->chan[i]);
    }
}

void rcar_dmac_set_channel_as(RcarDMACState *s, unsigned chan,
                              AddressSpace *as)
{
    assert(chan < RCAR_DMAC_CHANNELS);
    s->chan[chan].as = as;
}

static void rcar_dmac_reset_hold(Object *obj, ResetType type)
{
    RcarDMACState *s = RCAR_DMAC(obj);

    for (unsigned i = 0; i < RCAR_DMAC_CHANNELS; i++) {
        RcarDMACChannel *ch = &s->chan[i];

        if (rcar_dmac_can_run(ch) || channel_interrupt(ch)) {
            s->cut_short++;
        }
        clear_channel(ch);
    }
    s->dmaor = 0;
}

static void rcar_dmac_realize(DeviceState *dev, Error **errp)
{
    RcarDMACState *s = RCAR_DMAC(dev);

    for (unsigned i = 0; i < RCAR_DMAC_CHANNELS; i++) {
        s->chan[i].bh = qemu_bh_new_guarded(rcar_dmac_transfer, &s->chan[i],
                                            &dev->mem_reentrancy_guard);
    }
    s->vm_change = qemu_add_vm_change_state_handler(rcar_dmac_vm_change, s);
}

static void rcar_dmac_unrealize(DeviceState *dev)
{
    RcarDMACState *s = RCAR_DMAC(dev);

    qemu_del_vm_change_state_handler(s->vm_change);
    for (unsigned i = 0; i < RCAR_DMAC_CHANNELS; i++) {
        qemu_bh_delete(s->chan[i].bh);
    }
}

static void rcar_dmac_init(Object *obj)
{
    RcarDMACState *s = RCAR_DMAC(obj);
    SysBusDevice *sbd = SYS_BUS_DEVICE(obj);

    memory_region_init_io(&s->iomem, obj, &rcar_dmac_ops, s, TYPE_RCAR_DMAC,
                          MMIO_SIZE);
    sysbus_init_mmio(sbd, &s->iomem);
    sysbus_init_irq(sbd, &s->error_irq);
    qdev_init_gpio_in_named(DEVICE(obj), rcar_dmac_request, "request",
                            RCAR_DMAC_REQUESTS);
    for (unsigned i = 0; i < RCAR_DMAC_CHANNELS; i++) {
        s->chan[i].dmac = s;
        s->chan[i].as = &address_space_memory;
        sysbus_init_irq(sbd, &s->chan[i].irq);
    }
    object_property_add_uint64_ptr(obj, "guest-errors", &s->guest_errors,
                                   OBJ_PROP_FLAG_READ);
    object_property_add_uint64_ptr(obj, "cut-short", &s->cut_short,
                                   OBJ_PROP_FLAG_READ);
}

static const VMStateDescription vmstate_rcar_dmac = {
    .name = TYPE_RCAR_DMAC,
    .unmigratable = 1,
};

static void rcar_dmac_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    ResettableClass *rc = RESETTABLE_CLASS(klass);

    dc->desc = "R-Car SYS-DMAC";
    dc->realize = rcar_dmac_realize;
    dc->unrealize = rcar_dmac_unrealize;
    dc->vmsd = &vmstate_rcar_dmac;
    rc->phases.hold = rcar_dmac_reset_hold;
}

static const TypeInfo rcar_dmac_types[] = {
    {
        .name = TYPE_RCAR_DMAC,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(RcarDMACState),
        .instance_init = rcar_dmac_init,
        .class_init = rcar_dmac_class_init,
    },
};

DEFINE_TYPES(rcar_dmac_types)
