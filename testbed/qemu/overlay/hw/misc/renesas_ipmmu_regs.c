/*
 * Renesas IPMMU: register map of each generation
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * This file is the only one that knows where a register lives: everything
 * else, the QOM dump included, asks renesas_ipmmu_decode().
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qapi/error.h"
#include "renesas_ipmmu_internal.h"

/* Offsets from the start of a context, of the micro-TLBs, of the controls */
#define CTX_REGS_SIZE       0x40
#define CTX_UPPER           8       /* this context and those after it ... */
#define CTX_UPPER_SKIP      0x600   /* ... lie this much further up */
#define UTLB_LOWER          0x300
#define UTLB_UPPER          0x600   /* of micro-TLB 32 */
#define UTLB_UPPER_FIRST    32
#define UTLB_STRIDE         16
#define UTLB_IMUASID        8
#define CONTROL_IMSCTLR     0x500
#define CONTROL_IMSAUXCTLR  0x504

#define IMTTBCR_LPAE_MASK   (R_IMTTBCR_EAE_MASK | R_IMTTBCR_PMB_MASK | \
                             R_IMTTBCR_SL0_MASK | R_IMTTBCR_TSZ0_MASK)

static const RenesasIPMMULayout layouts[] = {
    {
        .name = "gen2",
        .mmio_size = 0x1000,
        .alias_offset = 0x800,
        .contexts = 1,
        .utlbs = 32,
        .has_imbuscr = true,
        .ctx_stride = 0x40,
        .imctr_root_mask = 0x7,
        .imttbcr_mask = R_IMTTBCR_EAE_MASK | R_IMTTBCR_SH0_MASK |
                        R_IMTTBCR_ORGN0_MASK | R_IMTTBCR_IRGN0_MASK |
                        R_IMTTBCR_SL0_GEN2_MASK | R_IMTTBCR_TSZ0_GEN2_MASK,
        .imuctr_ttsel_mask = 0xf << IMUCTR_TTSEL_SHIFT,
    }, {
        .name = "gen3",
        .mmio_size = 0x1000,
        .contexts = 8,
        .utlbs = 48,
        .has_caches = true,
        .has_control = true,
        .has_imeuar = true,
        .ctx_stride = 0x40,
        .imctr_root_mask = 0x7 | R_IMCTR_VA64_MASK,
        .imttbcr_mask = IMTTBCR_LPAE_MASK,
        .imuctr_ttsel_mask = 0xf << IMUCTR_TTSEL_SHIFT,
    }, {
        .name = "gen4",
        .mmio_size = 0x20000,
        .contexts = 16,
        .utlbs = 64,
        .has_caches = true,
        .has_control = true,
        .has_imeuar = true,
        .ctx_base = 0x10000,
        .ctx_stride = 0x1040,
        .utlb_base = 0x3000,
        .control_base = 0x1000,
        .imctr_root_mask = 0x7 | R_IMCTR_VA64_MASK,
        .imttbcr_mask = IMTTBCR_LPAE_MASK,
        .imuctr_ttsel_mask = 0x1f << IMUCTR_TTSEL_SHIFT,
    },
};

static const struct {
    const char *name;
    unsigned offset;            /* in the context, for context registers */
} regs[IPMMU_NUM_REGS] = {
    [IPMMU_IMCTR]       = { "IMCTR", 0x00 },
    [IPMMU_IMTTBCR]     = { "IMTTBCR", 0x08 },
    [IPMMU_IMBUSCR]     = { "IMBUSCR", 0x0c },
    [IPMMU_IMTTLBR0]    = { "IMTTLBR0", 0x10 },
    [IPMMU_IMTTUBR0]    = { "IMTTUBR0", 0x14 },
    [IPMMU_IMSTR]       = { "IMSTR", 0x20 },
    [IPMMU_IMMAIR0]     = { "IMMAIR0", 0x28 },
    [IPMMU_IMELAR]      = { "IMELAR", 0x30 },
    [IPMMU_IMEUAR]      = { "IMEUAR", 0x34 },
    [IPMMU_IMUCTR]      = { "IMUCTR" },
    [IPMMU_IMUASID]     = { "IMUASID" },
    [IPMMU_IMSCTLR]     = { "IMSCTLR" },
    [IPMMU_IMSAUXCTLR]  = { "IMSAUXCTLR" },
};

const RenesasIPMMULayout *renesas_ipmmu_layout(const char *generation)
{
    for (unsigned i = 0; i < ARRAY_SIZE(layouts); i++) {
        if (!g_strcmp0(generation, layouts[i].name)) {
            return &layouts[i];
        }
    }

    return NULL;
}

/* Where there are caches, the root has no micro-TLB of its own */
unsigned renesas_ipmmu_utlbs(const RenesasIPMMUState *s)
{
    bool owner = !s->layout->has_caches || !renesas_ipmmu_is_root(s);

    return owner ? s->layout->utlbs : 0;
}

/* Returns how many registers of this kind the instance has */
unsigned renesas_ipmmu_reg_count(const RenesasIPMMUState *s,
                                 RenesasIPMMUReg reg)
{
    const RenesasIPMMULayout *l = s->layout;
    bool root = renesas_ipmmu_is_root(s);

    switch (reg) {
    case IPMMU_IMCTR:
        return l->contexts;
    case IPMMU_IMBUSCR:
        return root && l->has_imbuscr ? l->contexts : 0;
    case IPMMU_IMEUAR:
        return root && l->has_imeuar ? l->contexts : 0;
    case IPMMU_IMUCTR:
    case IPMMU_IMUASID:
        return renesas_ipmmu_utlbs(s);
    case IPMMU_IMSCTLR:
    case IPMMU_IMSAUXCTLR:
        return l->has_control;
    default:
        return root ? l->contexts : 0;
    }
}

static bool reg_has_index(RenesasIPMMUReg reg)
{
    return reg < IPMMU_IMSCTLR;
}

static bool decode_context(const RenesasIPMMULayout *l, hwaddr offset,
                           RenesasIPMMURegRef *ref)
{
    for (unsigned ctx = 0; ctx < l->contexts; ctx++) {
        hwaddr start = l->ctx_base + ctx * l->ctx_stride +
                       (ctx >= CTX_UPPER ? CTX_UPPER_SKIP : 0);

        if (offset < start || offset - start >= CTX_REGS_SIZE) {
            continue;
        }
        for (unsigned i = 0; i < IPMMU_CONTEXT_REGS; i++) {
            if (regs[i].offset == offset - start) {
                *ref = (RenesasIPMMURegRef) { i, ctx };
                return true;
            }
        }
    }

    return false;
}

static bool decode_utlb(const RenesasIPMMULayout *l, hwaddr offset,
                        RenesasIPMMURegRef *ref)
{
    hwaddr first = l->utlb_base + UTLB_LOWER;
    unsigned n = 0;

    if (offset >= l->utlb_base + UTLB_UPPER) {
        first = l->utlb_base + UTLB_UPPER;
        n = UTLB_UPPER_FIRST;
    } else if (offset >= first + UTLB_UPPER_FIRST * UTLB_STRIDE) {
        return false;
    }
    if (offset < first) {
        return false;
    }

    offset -= first;
    if (offset % UTLB_STRIDE != 0 && offset % UTLB_STRIDE != UTLB_IMUASID) {
        return false;
    }
    n += offset / UTLB_STRIDE;
    ref->reg = offset % UTLB_STRIDE ? IPMMU_IMUASID : IPMMU_IMUCTR;
    ref->index = n;
    return n < l->utlbs;
}

static bool decode_control(const RenesasIPMMULayout *l, hwaddr offset,
                           RenesasIPMMURegRef *ref)
{
    ref->index = 0;
    if (offset == l->control_base + CONTROL_IMSCTLR) {
        ref->reg = IPMMU_IMSCTLR;
        return true;
    }
    if (offset == l->control_base + CONTROL_IMSAUXCTLR) {
        ref->reg = IPMMU_IMSAUXCTLR;
        return true;
    }

    return false;
}

/* Finds the register of this instance at @offset; returns false if none */
bool renesas_ipmmu_decode(const RenesasIPMMUState *s, hwaddr offset,
                          RenesasIPMMURegRef *ref)
{
    const RenesasIPMMULayout *l = s->layout;

    if (l->alias_offset && offset >= l->alias_offset) {
        offset -= l->alias_offset;
    }

    return (decode_context(l, offset, ref) ||
            decode_control(l, offset, ref) ||
            decode_utlb(l, offset, ref)) &&
           ref->index < renesas_ipmmu_reg_count(s, ref->reg);
}

uint32_t *renesas_ipmmu_reg(RenesasIPMMUState *s, RenesasIPMMURegRef ref)
{
    switch (ref.reg) {
    case IPMMU_IMUCTR:
        return &s->utlb[ref.index].imuctr;
    case IPMMU_IMUASID:
        return &s->utlb[ref.index].imuasid;
    case IPMMU_IMSCTLR:
        return &s->imsctlr;
    case IPMMU_IMSAUXCTLR:
        return &s->imsauxctlr;
    default:
        return &s->ctx[ref.index][ref.reg];
    }
}

/* Returns the bits that a write changes; IMSTR has its own rule */
uint32_t renesas_ipmmu_writable(const RenesasIPMMUState *s,
                                RenesasIPMMUReg reg)
{
    switch (reg) {
    case IPMMU_IMCTR:
        return renesas_ipmmu_is_root(s) ? s->layout->imctr_root_mask : 0x7;
    case IPMMU_IMTTBCR:
        return s->layout->imttbcr_mask;
    case IPMMU_IMBUSCR:
        return R_IMBUSCR_DVM_MASK | R_IMBUSCR_BUSSEL_MASK;
    case IPMMU_IMTTLBR0:
        return 0xfffff000;
    case IPMMU_IMTTUBR0:
        return 0x000000ff;
    case IPMMU_IMSTR:
        return IMSTR_FAULTS_MASK |
               (renesas_ipmmu_unkind(s, UNKIND_CODES)
                ? R_IMSTR_ERRCODE_MASK | R_IMSTR_ERRLVL_MASK : 0);
    case IPMMU_IMMAIR0:
        return 0xffffffff;
    case IPMMU_IMUCTR:
        return s->layout->imuctr_ttsel_mask | R_IMUCTR_MMUEN_MASK |
               R_IMUCTR_FLUSH_MASK;
    case IPMMU_IMUASID:
        return 0x0000ffff;
    case IPMMU_IMSCTLR:
    case IPMMU_IMSAUXCTLR:
        return 0xffffffff;      /* whatever firmware may want to keep there */
    default:
        return 0;               /* IMELAR and IMEUAR can only be read */
    }
}

/* The QOM property "registers" */
char *renesas_ipmmu_dump(RenesasIPMMUState *s)
{
    const RenesasIPMMULayout *l = s->layout;
    hwaddr end = l->alias_offset ? l->alias_offset : l->mmio_size;
    GString *out = g_string_new(NULL);

    for (hwaddr offset = 0; offset < end; offset += 4) {
        RenesasIPMMURegRef ref;
        uint32_t value;

        if (!renesas_ipmmu_decode(s, offset, &ref)) {
            continue;
        }
        value = *renesas_ipmmu_reg(s, ref);
        if (!value) {
            continue;
        }
        g_string_append(out, regs[ref.reg].name);
        if (reg_has_index(ref.reg)) {
            g_string_append_printf(out, "(%u)", ref.index);
        }
        g_string_append_printf(out, "=0x%x\n", value);
    }

    return g_string_free(out, false);
}

/* One element of "discard-writes": "NAME" or "NAME(index)" */
static bool parse_discard_one(const RenesasIPMMUState *s, const char *word,
                              uint64_t discard[IPMMU_NUM_REGS])
{
    for (unsigned reg = 0; reg < IPMMU_NUM_REGS; reg++) {
        unsigned count = renesas_ipmmu_reg_count(s, reg);
        const char *rest;
        unsigned index;

        if (!count || !strstart(word, regs[reg].name, &rest)) {
            continue;
        }
        if (*rest == '\0') {
            discard[reg] = UINT64_MAX;
            return true;
        }
        if (*rest != '(' || !reg_has_index(reg) ||
            qemu_strtoui(rest + 1, &rest, 10, &index) ||
            strcmp(rest, ")") || index >= count) {
            continue;
        }
        discard[reg] |= BIT_ULL(index);
        return true;
    }

    return false;
}

bool renesas_ipmmu_parse_discard(const RenesasIPMMUState *s, const char *list,
                                 uint64_t discard[IPMMU_NUM_REGS],
                                 Error **errp)
{
    g_auto(GStrv) words = g_strsplit(list, ",", -1);

    memset(discard, 0, sizeof(discard[0]) * IPMMU_NUM_REGS);
    for (char **w = words; *w; w++) {
        const char *word = g_strstrip(*w);

        if (*word && !parse_discard_one(s, word, discard)) {
            error_setg(errp, "this IPMMU has no register '%s'", word);
            return false;
        }
    }

    return true;
}
