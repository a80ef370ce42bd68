/*
 * Renesas IPMMU (IP Memory Management Unit) of R-Car Gen2, Gen3 and Gen4
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * QEMU interface:
 *  + sysbus MMIO region 0: the registers
 *  + sysbus IRQ 0: fault, level (used by a root instance only)
 *  + string property "generation": "gen2", "gen3" or "gen4"
 *  + link property "root": the instance that owns the contexts; unset on the
 *    root itself
 *  + renesas_ipmmu_utlb_as(): what a bus master behind a micro-TLB sees
 *  + QOM "registers" (string, ro): the non-zero registers, NAME=0xVALUE lines
 *  + QOM "discard-writes" (string): registers that ignore the guest's writes
 *  + QOM "flush-stuck" (bool): IMCTR.FLUSH neither completes nor clears
 *  + QOM "floating" (string): what reads return instead of registers
 *  + QOM "storm" (uint64): so many more times a fault is back as soon as the
 *    guest has acknowledged it; counts down, on the root, kept over resets
 *  + QOM "leaves" (uint64): the sizes of pages and blocks that walks ended at,
 *    a bit each, on the root, until something else is written
 *  + QOM "unkind" (string): words joined by '+', or "all"; see IPMMU-MODEL.md
 *  + QOM "unkind-seed" (uint64): what its chance depends on
 *  + QOM "clean" (uint64, wo): for tests, cleans the line of RAM there
 *  + QOM "guest-errors", "faults", "translations" (uint64, ro): counted since
 *    QEMU started, not affected by reset
 */

#ifndef HW_MISC_RENESAS_IPMMU_H
#define HW_MISC_RENESAS_IPMMU_H

#include "exec/memory.h"
#include "hw/sysbus.h"
#include "qemu/notify.h"
#include "qemu/queue.h"
#include "qom/object.h"

#define TYPE_RENESAS_IPMMU "renesas-ipmmu"
OBJECT_DECLARE_SIMPLE_TYPE(RenesasIPMMUState, RENESAS_IPMMU)

#define RENESAS_IPMMU_MAX_CONTEXTS  16
#define RENESAS_IPMMU_MAX_UTLBS     64
#define RENESAS_IPMMU_LATELY        64

typedef struct RenesasIPMMULayout RenesasIPMMULayout;
typedef struct RenesasIPMMUPosted RenesasIPMMUPosted;

/* Every register that some generation has; see renesas_ipmmu_regs.c */
typedef enum RenesasIPMMUReg {
    /* One per context */
    IPMMU_IMCTR,
    IPMMU_IMTTBCR,
    IPMMU_IMBUSCR,
    IPMMU_IMTTLBR0,
    IPMMU_IMTTUBR0,
    IPMMU_IMSTR,
    IPMMU_IMMAIR0,
    IPMMU_IMELAR,
    IPMMU_IMEUAR,
    IPMMU_CONTEXT_REGS,

    /* One per micro-TLB */
    IPMMU_IMUCTR = IPMMU_CONTEXT_REGS,
    IPMMU_IMUASID,

    /* One per instance */
    IPMMU_IMSCTLR,
    IPMMU_IMSAUXCTLR,
    IPMMU_NUM_REGS,
} RenesasIPMMUReg;

typedef struct RenesasIPMMUUtlb {
    IOMMUMemoryRegion iommu;
    AddressSpace as;
    RenesasIPMMUState *ipmmu;
    bool has_as;

    uint32_t imuctr;
    uint32_t imuasid;
    GHashTable *tlb;

    /* Pages that it translated lately, for "fetch"; a flush keeps them */
    hwaddr lately[RENESAS_IPMMU_LATELY];
    unsigned num_lately;
    unsigned next_lately;
} RenesasIPMMUUtlb;

struct RenesasIPMMUState {
    SysBusDevice parent_obj;

    MemoryRegion iomem;
    qemu_irq irq;

    /* Properties */
    char *generation;
    RenesasIPMMUState *root;
    char *discard_writes;
    bool flush_stuck;
    unsigned floating;          /* index of what reads return */
    uint64_t floating_random;
    uint64_t storm;
    uint32_t unkind;            /* one bit per word */
    uint64_t unkind_seed;

    const RenesasIPMMULayout *layout;
    QLIST_HEAD(, RenesasIPMMUState) caches;     /* of a root */
    QLIST_ENTRY(RenesasIPMMUState) next_cache;

    /* Its power area is off; its registers are lost then */
    bool unpowered;
    bool loses_power;

    NotifierList accessed;      /* of the root */

    /* Lost at reset */
    uint32_t ctx[RENESAS_IPMMU_MAX_CONTEXTS][IPMMU_CONTEXT_REGS];
    uint32_t imsctlr;
    uint32_t imsauxctlr;
    RenesasIPMMUUtlb utlb[RENESAS_IPMMU_MAX_UTLBS];
    GHashTable *tlb;

    /* The same, if unkind: what a walk sees, flushes and writes under way */
    uint32_t base[RENESAS_IPMMU_MAX_CONTEXTS][IPMMU_CONTEXT_REGS];
    uint32_t flushing;          /* one bit per context */
    int64_t flush_ends[RENESAS_IPMMU_MAX_CONTEXTS];
    QSIMPLEQ_HEAD(, RenesasIPMMUPosted) posted;
    QEMUTimer *posted_timer;

    /* Bit n of [reg]: writes to register n of that kind are dropped */
    uint64_t discard[IPMMU_NUM_REGS];

    /* Never reset */
    uint64_t guest_errors;
    uint64_t faults;
    uint64_t translations;
    uint64_t leaves;
    uint64_t resets;
};

/*
 * The address space of the bus master port that is wired to micro-TLB @utlb,
 * or NULL if @s has no such micro-TLB. Valid once @s is realized.
 */
AddressSpace *renesas_ipmmu_utlb_as(RenesasIPMMUState *s, unsigned utlb);

/* The power area of @s was switched; @loses: what it holds depends on that */
void renesas_ipmmu_set_power(RenesasIPMMUState *s, bool on, bool loses);

/* Around the reset of a machine that falls asleep, whose IPMMUs are off then */
void renesas_ipmmu_set_falling_asleep(bool yes);

/*
 * Calls @notifier before and after each access of the guest to a register
 * of an instance that has the same root as @s, or is it.
 */
void renesas_ipmmu_add_access_notifier(RenesasIPMMUState *s,
                                       Notifier *notifier);

#endif
