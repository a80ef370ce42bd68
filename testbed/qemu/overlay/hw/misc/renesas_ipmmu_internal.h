/*
 * Renesas IPMMU: shared by the parts of the model
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_MISC_RENESAS_IPMMU_INTERNAL_H
#define HW_MISC_RENESAS_IPMMU_INTERNAL_H

#include "hw/misc/renesas_ipmmu.h"
#include "hw/registerfields.h"

FIELD(IMCTR, MMUEN, 0, 1)
FIELD(IMCTR, FLUSH, 1, 1)
FIELD(IMCTR, INTEN, 2, 1)
FIELD(IMCTR, VA64, 29, 1)           /* Gen3 and later, root only */

FIELD(IMTTBCR, TSZ0_GEN2, 0, 4)
FIELD(IMTTBCR, SL0_GEN2, 4, 1)
FIELD(IMTTBCR, TSZ0, 0, 5)
FIELD(IMTTBCR, SL0, 6, 2)
FIELD(IMTTBCR, IRGN0, 8, 2)         /* Gen2 only, as are ORGN0 and SH0 */
FIELD(IMTTBCR, ORGN0, 10, 2)
FIELD(IMTTBCR, SH0, 12, 2)
FIELD(IMTTBCR, PMB, 30, 1)          /* Gen3 and later */
FIELD(IMTTBCR, EAE, 31, 1)

FIELD(IMBUSCR, BUSSEL, 0, 2)
FIELD(IMBUSCR, DVM, 2, 1)

FIELD(IMSTR, TF, 0, 1)
FIELD(IMSTR, PF, 1, 1)
FIELD(IMSTR, ABORT, 2, 1)
FIELD(IMSTR, MHIT, 4, 1)
FIELD(IMSTR, ERRCODE, 8, 3)         /* it and ERRLVL: if unkind with "codes" */
FIELD(IMSTR, ERRLVL, 12, 2)
#define IMSTR_FAULTS_MASK   (R_IMSTR_TF_MASK | R_IMSTR_PF_MASK | \
                             R_IMSTR_ABORT_MASK | R_IMSTR_MHIT_MASK)
#define IMSTR_ERRCODE_FORMAT        1
#define IMSTR_ERRCODE_PERMISSION    4
#define IMSTR_ERRCODE_SECURE        5
/* With IMSTR.TF of a walk: the descriptor was 0. Never in a register. */
#define WALK_ZERO           BIT(31)

FIELD(IMUCTR, MMUEN, 0, 1)
FIELD(IMUCTR, FLUSH, 1, 1)
#define IMUCTR_TTSEL_SHIFT 4

FIELD(IMSCTLR, USE_SECGRP, 28, 1)
FIELD(IMSAUXCTLR, S2PTE, 3, 1)

/* Bus masters and page tables address 40 bits */
#define IPMMU_ADDR_BITS 40

/* Where each generation has its registers, and how they are encoded */
struct RenesasIPMMULayout {
    const char *name;
    hwaddr mmio_size;
    hwaddr alias_offset;        /* second view of the same registers, or 0 */
    unsigned contexts;
    unsigned utlbs;
    bool has_caches;            /* micro-TLBs live in instances of their own */
    bool has_control;           /* IMSCTLR, IMSAUXCTLR */
    bool has_imbuscr;
    bool has_imeuar;
    hwaddr ctx_base;
    hwaddr ctx_stride;
    hwaddr utlb_base;
    hwaddr control_base;
    uint32_t imctr_root_mask;
    uint32_t imttbcr_mask;
    uint32_t imuctr_ttsel_mask;
};

typedef struct RenesasIPMMURegRef {
    RenesasIPMMUReg reg;
    unsigned index;             /* context or micro-TLB, otherwise 0 */
} RenesasIPMMURegRef;

/* One translation, as the walk finds it and the TLBs keep it */
typedef struct RenesasIPMMUMapping {
    hwaddr output;              /* of the first byte of the page or block */
    unsigned shift;             /* log2 of its size */
    IOMMUAccessFlags perm;
    uint32_t status;            /* of a walk that failed, otherwise 0 */
    bool marked;                /* dropped when the flush under way ends */
} RenesasIPMMUMapping;

/* Bits of RenesasIPMMUState.unkind, named in renesas_ipmmu_unkind.c */
typedef enum RenesasIPMMUWord {
    UNKIND_POSTED,
    UNKIND_SLOW_FLUSH,
    UNKIND_FETCH,
    UNKIND_NEGATIVE,
    UNKIND_LATCHED_BASE,
    UNKIND_UTLB0,
    UNKIND_RESET,
    UNKIND_FIRMWARE,
    UNKIND_CODES,
    UNKIND_OFF_PASSES,
    UNKIND_STRICT_REGISTERS,
    UNKIND_INCOHERENT,
} RenesasIPMMUWord;

static inline bool renesas_ipmmu_unkind(const RenesasIPMMUState *s,
                                        RenesasIPMMUWord word)
{
    return s->unkind & BIT(word);
}

static inline bool renesas_ipmmu_is_root(const RenesasIPMMUState *s)
{
    return !s->root;
}

static inline RenesasIPMMUState *renesas_ipmmu_root(RenesasIPMMUState *s)
{
    return s->root ? s->root : s;
}

/* renesas_ipmmu_regs.c */
const RenesasIPMMULayout *renesas_ipmmu_layout(const char *generation);
unsigned renesas_ipmmu_utlbs(const RenesasIPMMUState *s);
unsigned renesas_ipmmu_reg_count(const RenesasIPMMUState *s,
                                 RenesasIPMMUReg reg);
bool renesas_ipmmu_decode(const RenesasIPMMUState *s, hwaddr offset,
                          RenesasIPMMURegRef *ref);
uint32_t *renesas_ipmmu_reg(RenesasIPMMUState *s, RenesasIPMMURegRef ref);
uint32_t renesas_ipmmu_writable(const RenesasIPMMUState *s,
                                RenesasIPMMUReg reg);
char *renesas_ipmmu_dump(RenesasIPMMUState *s);
bool renesas_ipmmu_parse_discard(const RenesasIPMMUState *s, const char *list,
                                 uint64_t discard[IPMMU_NUM_REGS],
                                 Error **errp);

/* renesas_ipmmu_walk.c */
uint32_t renesas_ipmmu_walk(const RenesasIPMMUState *root, unsigned ctx,
                            hwaddr iova, RenesasIPMMUMapping *mapping);

/* renesas_ipmmu_tlb.c */
GHashTable *renesas_ipmmu_tlb_new(void);
void renesas_ipmmu_tlb_flush(GHashTable *tlb);
void renesas_ipmmu_tlb_flush_context(GHashTable *tlb, unsigned ctx);
void renesas_ipmmu_tlb_mark_context(GHashTable *tlb, unsigned ctx);
void renesas_ipmmu_tlb_flush_marked(GHashTable *tlb, unsigned ctx);
/* Failed walks that are kept while fetching */
#define RENESAS_IPMMU_FAILED    256
void renesas_ipmmu_fetch(RenesasIPMMUUtlb *u, hwaddr iova, uint64_t *failed);

/* renesas_ipmmu_unkind.c */
void renesas_ipmmu_unkind_class_init(ObjectClass *klass);
void renesas_ipmmu_unkind_init(RenesasIPMMUState *s);
void renesas_ipmmu_unkind_reset(RenesasIPMMUState *s);
bool renesas_ipmmu_post(RenesasIPMMUState *s, hwaddr offset, uint32_t value);
bool renesas_ipmmu_posted_arrive(RenesasIPMMUState *s);
bool renesas_ipmmu_flush_starts(RenesasIPMMUState *s, unsigned ctx);
bool renesas_ipmmu_flush_goes_on(const RenesasIPMMUState *s, unsigned ctx);
void renesas_ipmmu_catch_up(RenesasIPMMUState *s);
void renesas_ipmmu_remember(RenesasIPMMUUtlb *u, hwaddr iova);
void renesas_ipmmu_fetch_all(RenesasIPMMUState *s);
void renesas_ipmmu_latch_base(RenesasIPMMUState *s, unsigned ctx,
                              bool switched);
unsigned renesas_ipmmu_first_flushed(const RenesasIPMMUState *s);
uint32_t renesas_ipmmu_fault_status(const RenesasIPMMUState *root,
                                    uint32_t status);
const char *renesas_ipmmu_strict(const RenesasIPMMUState *s,
                                 RenesasIPMMURegRef ref, uint32_t value);

/* renesas_ipmmu_incoherent.c */
void renesas_ipmmu_incoherent_watch(void);
bool renesas_ipmmu_incoherent_watches(void);
bool renesas_ipmmu_incoherent_read(hwaddr addr, uint64_t *desc);
void renesas_ipmmu_incoherent_clean(Object *obj, Visitor *v, const char *name,
                                    void *opaque, Error **errp);

/* renesas_ipmmu_poweron.c */
uint32_t renesas_ipmmu_draw(uint64_t *state);
void renesas_ipmmu_found_at_reset(RenesasIPMMUState *s);

/* renesas_ipmmu_qom.c */
void renesas_ipmmu_qom_class_init(ObjectClass *klass);
void renesas_ipmmu_qom_init(RenesasIPMMUState *s);
uint32_t renesas_ipmmu_floats(RenesasIPMMUState *s, uint32_t value);

/* renesas_ipmmu.c */
void renesas_ipmmu_update_irq(RenesasIPMMUState *root);
void renesas_ipmmu_complete_flush(RenesasIPMMUState *s, unsigned ctx);
void renesas_ipmmu_write_now(RenesasIPMMUState *s, hwaddr offset,
                             uint32_t value);

#endif
