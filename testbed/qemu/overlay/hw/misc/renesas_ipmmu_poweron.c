/*
 * Renesas IPMMU: contents of its registers after power-on, if it is unkind
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * "reset" draws each bit that a register has, but for MMUEN and FLUSH. On top
 * of that "firmware" puts what a boot loader leaves.
 */

#include "qemu/osdep.h"
#include "renesas_ipmmu_internal.h"

#define IMSCTLR_DISCACHE_ROOT   0xc0000000
#define IMSCTLR_DISCACHE_CACHE  0xe0000000
#define IMSAUXCTLR_NMERGE40     BIT(24)
#define FIRMWARE_UTLBS          2

/* Set while the power of all goes, so that a reset finds nothing yet */
static bool falling_asleep;

uint32_t renesas_ipmmu_draw(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z >> 32;
}

static uint32_t random_bits(const RenesasIPMMUState *s, RenesasIPMMUReg reg)
{
    switch (reg) {
    case IPMMU_IMCTR:
        return renesas_ipmmu_writable(s, reg) &
               ~(R_IMCTR_MMUEN_MASK | R_IMCTR_FLUSH_MASK);
    case IPMMU_IMUCTR:
        return renesas_ipmmu_writable(s, reg) &
               ~(R_IMUCTR_MMUEN_MASK | R_IMUCTR_FLUSH_MASK);
    case IPMMU_IMELAR:
        return 0xffffffff;
    case IPMMU_IMEUAR:
        return 0x000000ff;
    default:
        return renesas_ipmmu_writable(s, reg);
    }
}

static void randomize(RenesasIPMMUState *s, uint64_t *random)
{
    for (unsigned reg = 0; reg < IPMMU_NUM_REGS; reg++) {
        uint32_t bits = random_bits(s, reg);

        for (unsigned i = 0; i < renesas_ipmmu_reg_count(s, reg); i++) {
            RenesasIPMMURegRef ref = { reg, i };

            *renesas_ipmmu_reg(s, ref) = renesas_ipmmu_draw(random) & bits;
        }
    }
}

/* The one that firmware left on; not the first one, where there are several */
static unsigned firmware_context(const RenesasIPMMUState *root)
{
    uint64_t random = root->unkind_seed;
    unsigned others = root->layout->contexts - 1;

    return others ? 1 + renesas_ipmmu_draw(&random) % others : 0;
}

/* Leaves micro-TLBs on that have no modelled master, while there are such */
static void firmware_utlbs(RenesasIPMMUState *s, unsigned ctx, uint64_t *random)
{
    unsigned utlbs = renesas_ipmmu_utlbs(s);
    unsigned first = utlbs ? renesas_ipmmu_draw(random) % utlbs : 0;
    unsigned done = 0;

    for (unsigned i = 0; i < utlbs && done < FIRMWARE_UTLBS; i++) {
        RenesasIPMMUUtlb *u = &s->utlb[(first + i) % utlbs];

        if (!u->has_as) {
            u->imuctr = ctx << IMUCTR_TTSEL_SHIFT | R_IMUCTR_MMUEN_MASK;
            done++;
        }
    }
    for (; utlbs && done < FIRMWARE_UTLBS; done++) {
        s->utlb[utlbs - 1 - done].imuctr = ctx << IMUCTR_TTSEL_SHIFT |
                                           R_IMUCTR_MMUEN_MASK;
    }
}

static void firmware_leaves(RenesasIPMMUState *s, uint64_t *random)
{
    bool root = renesas_ipmmu_is_root(s);
    unsigned ctx = firmware_context(renesas_ipmmu_root(s));

    if (s->layout->has_control) {
        s->imsctlr &= ~IMSCTLR_DISCACHE_CACHE;
        s->imsctlr |= root ? IMSCTLR_DISCACHE_ROOT : IMSCTLR_DISCACHE_CACHE;
        s->imsauxctlr |= IMSAUXCTLR_NMERGE40;
    }
    s->ctx[ctx][IPMMU_IMCTR] |= R_IMCTR_MMUEN_MASK;
    if (root) {
        /* Context 0 is reserved, so that no driver would look there */
        s->ctx[0][IPMMU_IMCTR] |= R_IMCTR_INTEN_MASK;
        s->ctx[0][IPMMU_IMSTR] |= R_IMSTR_TF_MASK;
    }
    firmware_utlbs(s, ctx, random);
}

/* Registers differ after each reset, firmware always does the same */
void renesas_ipmmu_found_at_reset(RenesasIPMMUState *s)
{
    const char *name = object_get_canonical_path_component(OBJECT(s));
    uint64_t random = s->unkind_seed ^ (uint64_t)g_str_hash(name) << 32;
    uint64_t firmware;

    if (falling_asleep || (s->loses_power && s->unpowered)) {
        return;
    }
    firmware = random;
    random += s->resets++;
    if (renesas_ipmmu_unkind(s, UNKIND_RESET)) {
        randomize(s, &random);
    }
    if (renesas_ipmmu_unkind(s, UNKIND_FIRMWARE) && !s->loses_power) {
        firmware_leaves(s, &firmware);
    }
}

/*
 * Switches the power area of @s. If it @loses, its registers are lost with it,
 * it cannot interrupt, and firmware, which runs at boot, never sees it on.
 */
void renesas_ipmmu_set_power(RenesasIPMMUState *s, bool on, bool loses)
{
    s->unpowered = !on;
    s->loses_power = loses;
    if (loses) {
        device_cold_reset(DEVICE(s));
    }
    renesas_ipmmu_update_irq(s);
}

void renesas_ipmmu_set_falling_asleep(bool yes)
{
    falling_asleep = yes;
}
