/*
 * R-Car SYS-DMAC: moving data
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A transfer is a stage (what SAR, DAR and TCR describe) or, in descriptor
 * mode, a sequence of stages that are loaded from memory. It runs in slices,
 * each a bottom half. Virtual time passes between two of them, so that the
 * guest's CPUs get QEMU's lock during a transfer that has no end.
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/log.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "qemu/units.h"
#include "system/dma.h"
#include "system/runstate.h"
#include "rcar_dmac_internal.h"

/* The most that one bottom half moves */
#define SLICE_BYTES     (64 * KiB)
/* The time from a slice to the next one: 320 MB/s at most */
#define SLICE_NS        (200 * SCALE_US)
/* The most that one access moves; it never crosses a page of either side */
#define CHUNK_BYTES     (4 * KiB)

/* A descriptor in memory; a fourth word is unused */
typedef struct Descriptor {
    uint32_t sar;
    uint32_t dar;
    uint32_t tcr;
    uint32_t reserved;
} Descriptor;

static hwaddr full_address(uint32_t high, uint32_t low)
{
    return (hwaddr)high << 32 | low;
}

/* log2 of the transfer unit, or -1 for encodings that do not exist */
static int unit_shift(uint32_t chcr)
{
    static const int8_t shifts[] = { 0, 1, 2, 4, 5, 6, -1, 3 };
    unsigned high = FIELD_EX32(chcr, CHCR, TS_HIGH);

    if (high > 1) {
        return -1;
    }

    return shifts[high << 2 | FIELD_EX32(chcr, CHCR, TS_LOW)];
}

/*
 * Returns whether the channel has a reason to move data now. A memory to memory
 * transfer always has; one for a peripheral (RS = DMARS) has while the
 * peripheral that DMARS names asks.
 */
static bool requested(const RcarDMACChannel *ch)
{
    switch (FIELD_EX32(ch->regs.chcr, CHCR, RS)) {
    case CHCR_RS_AUTO:
        return true;
    case CHCR_RS_DMARS:
        return ch->regs.rs < RCAR_DMAC_REQUESTS &&
               test_bit(ch->regs.rs, ch->dmac->requests);
    default:
        return false;
    }
}

bool rcar_dmac_can_run(const RcarDMACChannel *ch)
{
    uint32_t chcr = ch->regs.chcr;

    return (ch->dmac->dmaor & R_DMAOR_DME_MASK) && (chcr & R_CHCR_DE_MASK) &&
           !(chcr & (R_CHCR_TE_MASK | R_CHCR_CAE_MASK)) && requested(ch);
}

/* Called when the channel may have become ready */
void rcar_dmac_kick(RcarDMACChannel *ch)
{
    if (rcar_dmac_can_run(ch)) {
        qemu_bh_schedule(ch->bh);
    }
}

/* The input of a peripheral */
void rcar_dmac_request(void *opaque, int mid_rid, int level)
{
    RcarDMACState *s = opaque;

    if (!!level == test_bit(mid_rid, s->requests)) {
        return;
    }
    change_bit(mid_rid, s->requests);
    for (unsigned i = 0; i < RCAR_DMAC_CHANNELS; i++) {
        if (s->chan[i].regs.rs == mid_rid) {
            rcar_dmac_kick(&s->chan[i]);
        }
    }
}

static void address_error(RcarDMACChannel *ch, const char *what, hwaddr addr)
{
    qemu_log_mask(CPU_LOG_MMU, "%s: channel %d: address error, %s 0x%"
                  HWADDR_PRIx "\n",
                  object_get_canonical_path_component(OBJECT(ch->dmac)),
                  (int)(ch - ch->dmac->chan), what, addr);

    /* DE stays, but nothing moves while CAE is set */
    ch->regs.chcr |= R_CHCR_CAE_MASK;
    rcar_dmac_update_irq(ch);
}

static bool load_descriptor(RcarDMACChannel *ch)
{
    RcarDMACRegs *r = &ch->regs;
    unsigned index = FIELD_EX32(r->chcrb, CHCRB, DPTR);
    unsigned last = FIELD_EX32(r->chcrb, CHCRB, DCNT);
    hwaddr addr = full_address(r->fixdpbase, r->dpbase & ~0xfU) +
                  index * sizeof(Descriptor);
    Descriptor d;

    if (!FIELD_EX32(r->dpbase, DPBASE, SEL)) {
        qemu_log_mask(LOG_UNIMP, "rcar-dmac: descriptors in the DMAC's own "
                      "memory\n");
        address_error(ch, "descriptor", addr);
        return false;
    }
    if (dma_memory_read(ch->as, addr, &d, sizeof(d),
                        MEMTXATTRS_UNSPECIFIED) != MEMTX_OK) {
        address_error(ch, "descriptor", addr);
        return false;
    }

    if (r->chcr & R_CHCR_RPT_SAR_MASK) {
        r->sar = le32_to_cpu(d.sar);
    }
    if (r->chcr & R_CHCR_RPT_DAR_MASK) {
        r->dar = le32_to_cpu(d.dar);
    }
    if (r->chcr & R_CHCR_RPT_TCR_MASK) {
        r->tcr = le32_to_cpu(d.tcr) & DMATCR_MASK;
    }

    /* DPTR names the descriptor after the one that is running */
    r->chcrb = FIELD_DP32(r->chcrb, CHCRB, DPTR,
                          index >= last ? 0 : index + 1);
    return true;
}

static bool start_stage(RcarDMACChannel *ch)
{
    RcarDMACRegs *r = &ch->regs;

    if (FIELD_EX32(r->chcr, CHCR, DPM) != CHCR_DPM_OFF &&
        !load_descriptor(ch)) {
        return false;
    }

    /* TCR counts from 1 to 2^24, with the latter written as 0 */
    r->remaining = r->tcr ? r->tcr : DMATCR_MASK + 1;
    r->stage_running = true;
    return true;
}

static void end_stage(RcarDMACChannel *ch)
{
    RcarDMACRegs *r = &ch->regs;
    unsigned dptr = FIELD_EX32(r->chcrb, CHCRB, DPTR);
    unsigned dpm = FIELD_EX32(r->chcr, CHCR, DPM);

    r->stage_running = false;

    if (dpm != CHCR_DPM_OFF && dptr == FIELD_EX32(r->dpcr, DPCR, DIPT)) {
        r->chcr |= R_CHCR_DSE_MASK;
    }
    if (dpm == CHCR_DPM_OFF || (dpm == CHCR_DPM_ONCE && dptr == 0)) {
        r->chcr |= R_CHCR_TE_MASK;
    }
    rcar_dmac_update_irq(ch);
}

static hwaddr to_page_end(hwaddr addr)
{
    return CHUNK_BYTES - addr % CHUNK_BYTES;
}

/*
 * Returns how much may be read as a whole before it is written as a whole,
 * without a difference to unit by unit that anybody could tell.
 */
static size_t chunk_size(const RcarDMACRegs *r, unsigned shift)
{
    size_t unit = 1 << shift;
    size_t len = (size_t)MIN(r->remaining, CHUNK_BYTES >> shift) << shift;
    hwaddr src = full_address(r->fixsar, r->sar);
    hwaddr dst = full_address(r->fixdar, r->dar);

    /* A peripheral is asked again for each unit */
    if (FIELD_EX32(r->chcr, CHCR, RS) != CHCR_RS_AUTO ||
        FIELD_EX32(r->chcr, CHCR, SM) != CHCR_MODE_INC ||
        FIELD_EX32(r->chcr, CHCR, DM) != CHCR_MODE_INC) {
        return unit;
    }

    len = MIN(len, MIN(to_page_end(src), to_page_end(dst)));
    if (dst > src && dst - src < len) {
        return unit;
    }

    return len;
}

/* An address does not carry into the register that holds its upper part */
static uint32_t advance(uint32_t addr, unsigned mode, uint32_t len)
{
    switch (mode) {
    case CHCR_MODE_INC:
        return addr + len;
    case CHCR_MODE_DEC:
        return addr - len;
    default:
        return addr;
    }
}

/* Returns how many bytes were moved; 0 after an error */
static size_t move_chunk(RcarDMACChannel *ch, unsigned shift)
{
    RcarDMACRegs *r = &ch->regs;
    hwaddr src = full_address(r->fixsar, r->sar);
    hwaddr dst = full_address(r->fixdar, r->dar);
    uint8_t buf[CHUNK_BYTES];
    size_t len;

    if ((r->sar | r->dar) & ((1 << shift) - 1)) {
        address_error(ch, "unaligned source or destination",
                      r->sar & ((1 << shift) - 1) ? src : dst);
        return 0;
    }

    len = chunk_size(r, shift);
    if (dma_memory_read(ch->as, src, buf, len,
                        MEMTXATTRS_UNSPECIFIED) != MEMTX_OK) {
        address_error(ch, "source", src);
        return 0;
    }
    if (dma_memory_write(ch->as, dst, buf, len,
                         MEMTXATTRS_UNSPECIFIED) != MEMTX_OK) {
        address_error(ch, "destination", dst);
        return 0;
    }

    /*
     * A guest may have mapped a register of this channel as the destination;
     * such a write is refused by the bottom half's guard, so r is unchanged.
     */
    r->sar = advance(r->sar, FIELD_EX32(r->chcr, CHCR, SM), len);
    r->dar = advance(r->dar, FIELD_EX32(r->chcr, CHCR, DM), len);
    r->remaining -= len >> shift;
    r->tcr = r->remaining & DMATCR_MASK;
    return len;
}

/* The bottom half */
void rcar_dmac_transfer(void *opaque)
{
    RcarDMACChannel *ch = opaque;
    int shift = unit_shift(ch->regs.chcr);
    size_t moved = 0;

    if (!runstate_is_running() || !rcar_dmac_can_run(ch)) {
        return;
    }
    if (shift < 0 || FIELD_EX32(ch->regs.chcr, CHCR, DPM) == CHCR_DPM_REPEAT) {
        qemu_log_mask(LOG_UNIMP, "rcar-dmac: CHCR 0x%08x\n", ch->regs.chcr);
        return;
    }

    while (moved < SLICE_BYTES && rcar_dmac_can_run(ch)) {
        size_t len;

        if (!ch->regs.stage_running && !start_stage(ch)) {
            return;
        }
        len = move_chunk(ch, shift);
        if (!len) {
            return;
        }
        moved += len;
        if (!ch->regs.remaining) {
            end_stage(ch);
        }
    }

    timer_mod_ns(ch->next_slice,
                 qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL) + SLICE_NS);
}

void rcar_dmac_next_slice(void *opaque)
{
    rcar_dmac_kick(opaque);
}
