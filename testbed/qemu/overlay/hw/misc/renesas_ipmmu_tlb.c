/*
 * Renesas IPMMU: cached translations, faults
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A root has one TLB, each micro-TLB one of its own. Both keep what a walk has
 * found, page or whole block, until a flush reaches *them*: nothing here looks
 * at the page table again while an entry matches. Entries carry the context
 * they were made for, so a micro-TLB that is switched to another context does
 * not use them, but finds them again, stale or not, when switched back without
 * a flush. Faults are kept only if it is unkind with "negative".
 */

#include "qemu/osdep.h"
#include "qemu/log.h"
#include "qemu/main-loop.h"
#include "exec/address-spaces.h"
#include "renesas_ipmmu_internal.h"

#define TYPE_RENESAS_IPMMU_MEMORY_REGION "renesas-ipmmu-memory-region"

/* A TLB that outgrows this is emptied, as hardware evicts when it must */
#define TLB_MAX_ENTRIES 65536

typedef struct TlbEntry {
    uint64_t key;
    RenesasIPMMUMapping mapping;
} TlbEntry;

/* Page number, then size and context: unique for addresses of 40 bits */
static uint64_t tlb_key(unsigned ctx, unsigned shift, hwaddr iova)
{
    return (iova >> shift) | (uint64_t)shift << 40 | (uint64_t)ctx << 48;
}

static unsigned tlb_key_context(uint64_t key)
{
    return extract64(key, 48, 8);
}

GHashTable *renesas_ipmmu_tlb_new(void)
{
    /* The key is inside the value, which the table owns */
    return g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
}

void renesas_ipmmu_tlb_flush(GHashTable *tlb)
{
    g_hash_table_remove_all(tlb);
}

static gboolean tlb_entry_in_context(gpointer key, gpointer value,
                                     gpointer ctx)
{
    return tlb_key_context(*(uint64_t *)key) == GPOINTER_TO_UINT(ctx);
}

void renesas_ipmmu_tlb_flush_context(GHashTable *tlb, unsigned ctx)
{
    g_hash_table_foreach_remove(tlb, tlb_entry_in_context,
                                GUINT_TO_POINTER(ctx));
}

/* Marks the entries of a context that a flush which takes time will drop ... */
void renesas_ipmmu_tlb_mark_context(GHashTable *tlb, unsigned ctx)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, tlb);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        TlbEntry *e = value;

        e->mapping.marked |= tlb_key_context(e->key) == ctx;
    }
}

static gboolean tlb_entry_marked(gpointer key, gpointer value, gpointer ctx)
{
    return tlb_entry_in_context(key, value, ctx) &&
           ((TlbEntry *)value)->mapping.marked;
}

/* ... and drops them at its end */
void renesas_ipmmu_tlb_flush_marked(GHashTable *tlb, unsigned ctx)
{
    g_hash_table_foreach_remove(tlb, tlb_entry_marked, GUINT_TO_POINTER(ctx));
}

static const RenesasIPMMUMapping *tlb_lookup(GHashTable *tlb, unsigned ctx,
                                             hwaddr iova)
{
    static const unsigned shifts[] = { 12, 21, 30 };

    for (unsigned i = 0; i < ARRAY_SIZE(shifts); i++) {
        uint64_t key = tlb_key(ctx, shifts[i], iova);
        TlbEntry *e = g_hash_table_lookup(tlb, &key);

        if (e) {
            return &e->mapping;
        }
    }

    return NULL;
}

static void tlb_insert(GHashTable *tlb, unsigned ctx, hwaddr iova,
                       const RenesasIPMMUMapping *mapping)
{
    TlbEntry *e = g_new(TlbEntry, 1);

    if (g_hash_table_size(tlb) >= TLB_MAX_ENTRIES) {
        renesas_ipmmu_tlb_flush(tlb);
    }

    e->key = tlb_key(ctx, mapping->shift, iova);
    e->mapping = *mapping;
    g_hash_table_replace(tlb, &e->key, e);
}

/*
 * Latches status and address of the first fault: later ones are dropped until
 * the guest has cleared IMSTR.
 */
static void latch_fault(RenesasIPMMUState *root, unsigned ctx, hwaddr iova,
                        uint32_t status)
{
    uint32_t *regs = root->ctx[ctx];

    assert(bql_locked());
    qemu_log_mask(CPU_LOG_MMU, "%s: context %u: fault at 0x%" HWADDR_PRIx
                  ", status 0x%x%s\n",
                  object_get_canonical_path_component(OBJECT(root)),
                  ctx, iova, status,
                  regs[IPMMU_IMSTR] ? " (dropped: one is pending)" : "");

    if (regs[IPMMU_IMSTR]) {
        return;
    }

    regs[IPMMU_IMSTR] = status;
    regs[IPMMU_IMELAR] = extract64(iova, 0, 32);
    if (root->layout->has_imeuar) {
        regs[IPMMU_IMEUAR] = extract64(iova, 32, 32);
    }
    root->faults++;
    renesas_ipmmu_update_irq(root);
}

/*
 * Looks in the micro-TLB first, then in the root's TLB, then in the page table.
 * A failure is kept, if at all, when a master @asked for it.
 */
static uint32_t find_mapping(RenesasIPMMUUtlb *u, unsigned ctx, hwaddr iova,
                             bool asked, RenesasIPMMUMapping *mapping)
{
    RenesasIPMMUState *root = renesas_ipmmu_root(u->ipmmu);
    const RenesasIPMMUMapping *hit = tlb_lookup(u->tlb, ctx, iova);

    if (hit) {
        *mapping = *hit;
        return hit->status;
    }

    hit = tlb_lookup(root->tlb, ctx, iova);
    if (hit) {
        *mapping = *hit;
        /* A flush under way is the root's own, and of its micro-TLBs */
        mapping->marked &= u->ipmmu == root;
    } else {
        uint32_t status = renesas_ipmmu_walk(root, ctx, iova, mapping);

        if (!status) {
            root->leaves |= 1ULL << mapping->shift;
        } else {
            *mapping = (RenesasIPMMUMapping) {
                .shift = 12,
                .status = renesas_ipmmu_fault_status(root, status),
            };
        }
        if (!status ||
            (asked && renesas_ipmmu_unkind(root, UNKIND_NEGATIVE))) {
            tlb_insert(root->tlb, ctx, iova, mapping);
        }
    }

    if (!mapping->status ||
        (asked && renesas_ipmmu_unkind(u->ipmmu, UNKIND_NEGATIVE))) {
        tlb_insert(u->tlb, ctx, iova, mapping);
    }
    return mapping->status;
}

static bool context_enabled(const RenesasIPMMUState *s, unsigned ctx)
{
    return FIELD_EX32(s->ctx[ctx][IPMMU_IMCTR], IMCTR, MMUEN);
}

static bool utlb_enabled(const RenesasIPMMUUtlb *u)
{
    return FIELD_EX32(u->imuctr, IMUCTR, MMUEN);
}

static unsigned utlb_context(const RenesasIPMMUUtlb *u)
{
    return (u->imuctr & u->ipmmu->layout->imuctr_ttsel_mask) >>
           IMUCTR_TTSEL_SHIFT;
}

static bool walks(const RenesasIPMMUUtlb *u, unsigned ctx)
{
    return context_enabled(renesas_ipmmu_root(u->ipmmu), ctx) &&
           context_enabled(u->ipmmu, ctx);
}

/* Nothing passes, whether the micro-TLB is on or off */
static bool secure_only(const RenesasIPMMUState *s)
{
    return renesas_ipmmu_unkind(s, UNKIND_RESET) &&
           FIELD_EX32(s->imsctlr, IMSCTLR, USE_SECGRP);
}

/*
 * Looks up without an access of a master. What a walk has not found
 * for one micro-TLB is not there for others: @failed keeps some of that, until
 * something may have changed.
 */
void renesas_ipmmu_fetch(RenesasIPMMUUtlb *u, hwaddr iova, uint64_t *failed)
{
    unsigned ctx = utlb_context(u);
    uint64_t key = tlb_key(ctx, 12, iova);
    uint64_t *slot = &failed[key * 0x9e3779b97f4a7c15 >> 56];
    RenesasIPMMUMapping mapping;

    QEMU_BUILD_BUG_ON(RENESAS_IPMMU_FAILED != BIT(64 - 56));
    if (*slot != key && utlb_enabled(u) && ctx < u->ipmmu->layout->contexts &&
        walks(u, ctx) && find_mapping(u, ctx, iova, false, &mapping) &&
        !tlb_lookup(u->tlb, ctx, iova)) {
        *slot = key;
    }
}

static uint32_t not_permitted(const RenesasIPMMUMapping *mapping)
{
    uint32_t status = FIELD_DP32(R_IMSTR_PF_MASK, IMSTR, ERRCODE,
                                 IMSTR_ERRCODE_PERMISSION);

    return FIELD_DP32(status, IMSTR, ERRLVL, 3 - (mapping->shift - 12) / 9);
}

/*
 * Called by the bus for each access of a master. IOMMU_NONE is a question of
 * QEMU's own, not an access: it is neither counted nor a fault.
 */
static IOMMUTLBEntry translate(RenesasIPMMUUtlb *u, hwaddr iova,
                               IOMMUAccessFlags flag)
{
    RenesasIPMMUState *s = u->ipmmu;
    RenesasIPMMUState *root = renesas_ipmmu_root(s);
    RenesasIPMMUMapping mapping = { };
    uint32_t status;
    unsigned ctx;
    IOMMUTLBEntry entry = {
        .target_as = &address_space_memory,
        .iova = iova,
        .translated_addr = iova,
        .addr_mask = ~(hwaddr)0,
        .perm = IOMMU_RW,
    };

    if (secure_only(s) || secure_only(root)) {
        entry.addr_mask = MAKE_64BIT_MASK(0, 12);
        entry.perm = IOMMU_NONE;
        return entry;
    }
    if (!utlb_enabled(u)) {
        return entry;
    }
    ctx = utlb_context(u);
    if (ctx < s->layout->contexts && !walks(u, ctx) &&
        renesas_ipmmu_unkind(s, UNKIND_OFF_PASSES)) {
        return entry;
    }

    entry.addr_mask = MAKE_64BIT_MASK(0, 12);
    entry.perm = IOMMU_NONE;

    if (ctx >= s->layout->contexts) {
        /* No such context, so nowhere to latch the fault either */
        return entry;
    }

    renesas_ipmmu_catch_up(root);
    if (!walks(u, ctx)) {
        status = R_IMSTR_ABORT_MASK;
    } else {
        status = find_mapping(u, ctx, iova, flag != IOMMU_NONE, &mapping);
        if (!status && (flag & ~mapping.perm)) {
            status = renesas_ipmmu_fault_status(root, not_permitted(&mapping));
        }
    }

    if (status) {
        if (flag != IOMMU_NONE) {
            latch_fault(root, ctx, iova, status);
        }
        return entry;
    }

    if (flag != IOMMU_NONE) {
        s->translations++;
        renesas_ipmmu_remember(u, iova);
    }
    entry.addr_mask = MAKE_64BIT_MASK(0, mapping.shift);
    entry.iova = iova & ~entry.addr_mask;
    entry.translated_addr = mapping.output;
    entry.perm = mapping.perm;
    return entry;
}

static IOMMUTLBEntry memory_region_translate(IOMMUMemoryRegion *iommu,
                                             hwaddr addr,
                                             IOMMUAccessFlags flag,
                                             int iommu_idx)
{
    return translate(container_of(iommu, RenesasIPMMUUtlb, iommu), addr, flag);
}

/*
 * Makes an address space when it is first asked for: a SoC has hundreds of
 * micro-TLBs, and each makes every change of the memory map slower.
 */
AddressSpace *renesas_ipmmu_utlb_as(RenesasIPMMUState *s, unsigned utlb)
{
    RenesasIPMMUUtlb *u;

    assert(qdev_is_realized(DEVICE(s)));
    if (utlb >= renesas_ipmmu_utlbs(s)) {
        return NULL;
    }

    u = &s->utlb[utlb];
    if (!u->has_as) {
        g_autofree char *name =
            g_strdup_printf("%s-utlb%u",
                            object_get_canonical_path_component(OBJECT(s)),
                            utlb);

        memory_region_init_iommu(&u->iommu, sizeof(u->iommu),
                                 TYPE_RENESAS_IPMMU_MEMORY_REGION, OBJECT(s),
                                 name, 1ULL << IPMMU_ADDR_BITS);
        address_space_init(&u->as, MEMORY_REGION(&u->iommu), name);
        u->has_as = true;
    }

    return &u->as;
}

static void memory_region_class_init(ObjectClass *klass, void *data)
{
    IOMMU_MEMORY_REGION_CLASS(klass)->translate = memory_region_translate;
}

static const TypeInfo memory_region_types[] = {
    {
        .name = TYPE_RENESAS_IPMMU_MEMORY_REGION,
        .parent = TYPE_IOMMU_MEMORY_REGION,
        .class_init = memory_region_class_init,
    },
};

DEFINE_TYPES(memory_region_types)
