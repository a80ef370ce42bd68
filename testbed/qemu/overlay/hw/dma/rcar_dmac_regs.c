/*
 * R-Car SYS-DMAC: the registers, as the guest reads and writes them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/log.h"
#include "rcar_dmac_internal.h"

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
#define DMADPBASE       0x50
#define DMADPCR         0x54
#define DMAFIXDPBASE    0x60

#define DMAOR_WRITABLE  (R_DMAOR_PRI_MASK | R_DMAOR_DME_MASK)
#define CHCR_WRITABLE   0xfe7cff1f      /* all bits that have a name */
#define CHCRB_WRITABLE  0xff0001ff      /* DCNT, DTS, SLM, PRI */
#define DPBASE_WRITABLE 0xfffffff1
#define DPCR_WRITABLE   0xff000000
#define FIX_WRITABLE    0x000000ff

void rcar_dmac_guest_error(RcarDMACState *s, const char *what, hwaddr offset)
{
    s->guest_errors++;
    qemu_log_mask(LOG_GUEST_ERROR, "%s: %s at offset 0x%" HWADDR_PRIx "\n",
                  object_get_canonical_path_component(OBJECT(s)), what,
                  offset);
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

bool rcar_dmac_chan_read(RcarDMACChannel *ch, hwaddr reg, uint64_t *value)
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

bool rcar_dmac_chan_write(RcarDMACChannel *ch, hwaddr reg, uint32_t value)
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

/* Returns the channel that @offset is in; *@reg: the offset in its registers */
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

    if (ch && rcar_dmac_chan_read(ch, reg, &value)) {
        return value;
    }

    switch (offset) {
    case DMAISTA:
        for (unsigned i = 0; i < RCAR_DMAC_CHANNELS; i++) {
            value |= (uint64_t)rcar_dmac_channel_interrupt(&s->chan[i]) << i;
        }
        return value;
    case DMAOR:
        return s->dmaor | (rcar_dmac_address_error(s) ? R_DMAOR_AE_MASK : 0);
    default:
        rcar_dmac_guest_error(s, "read of no register", offset);
        return 0;
    }
}

static void rcar_dmac_write(void *opaque, hwaddr offset, uint64_t value,
                            unsigned size)
{
    RcarDMACState *s = opaque;
    hwaddr reg;
    RcarDMACChannel *ch = decode_channel(s, offset, &reg);

    if (ch && rcar_dmac_chan_write(ch, reg, value)) {
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
        /* Where it is not, this is no register: the channels have their own */
        if (s->gen4) {
            rcar_dmac_guest_error(s, "write to no register", offset);
            break;
        }
        for (unsigned i = 0; i < RCAR_DMAC_CHANNELS; i++) {
            if (extract64(value, i, 1)) {
                rcar_dmac_clear_channel(&s->chan[i]);
            }
        }
        break;
    default:
        rcar_dmac_guest_error(s, "write to no register", offset);
        break;
    }
}

/* Checks the size: DMAOR and DMARS are of 16 bits, the others of 32 */
static bool rcar_dmac_accepts(void *opaque, hwaddr offset, unsigned size,
                              bool is_write, MemTxAttrs attrs)
{
    hwaddr reg;
    bool half = offset == DMAOR ||
                (decode_channel(opaque, offset, &reg) && reg == DMARS);

    if (size != (half ? 2 : 4)) {
        rcar_dmac_guest_error(opaque, "access of a wrong size", offset);
        return false;
    }

    return true;
}

const MemoryRegionOps rcar_dmac_ops = {
    .read = rcar_dmac_read,
    .write = rcar_dmac_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid.min_access_size = 1,
    .valid.max_access_size = 8,
    .valid.accepts = rcar_dmac_accepts,
    .impl.min_access_size = 2,
    .impl.max_access_size = 4,
};
