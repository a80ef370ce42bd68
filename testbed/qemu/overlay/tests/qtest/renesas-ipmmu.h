/*
 * Shared by the qtests of the Renesas IPMMU: platforms, page tables, set-up
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_RENESAS_IPMMU_H
#define TESTS_RENESAS_IPMMU_H

#include "rcar-dma.h"

/* Registers of a context */
#define IMCTR           0x00
#define IMCTR_MMUEN     BIT(0)
#define IMCTR_FLUSH     BIT(1)
#define IMCTR_INTEN     BIT(2)
#define IMCTR_VA64      BIT(29)
#define IMTTBCR         0x08
#define IMTTBCR_EAE     BIT(31)
#define IMTTBCR_PMB     BIT(30)
#define IMBUSCR         0x0c
#define IMTTLBR0        0x10
#define IMTTUBR0        0x14
#define IMSTR           0x20
#define IMSTR_TF        BIT(0)
#define IMSTR_PF        BIT(1)
#define IMSTR_ABORT     BIT(2)
#define IMMAIR0         0x28
#define IMELAR          0x30
#define IMEUAR          0x34

/* Of a micro-TLB, and of the instance */
#define IMUCTR_MMUEN    BIT(0)
#define IMUCTR_FLUSH    BIT(1)
#define IMSCTLR         0x500
#define IMSAUXCTLR      0x504
#define IMSAUXCTLR_S2PTE BIT(3)

/* Two micro-TLB owners with a DMAC each; on Gen2 both are the root */
typedef struct Platform {
    const char *name;
    const char *args;
    const char *root_path;
    const char *cache_path[2];
    const char *dmac_path[2];
    uint64_t root;
    uint64_t cache[2];
    uint64_t dmac[2];
    unsigned first_utlb[2];     /* that of channel 0 */
    unsigned contexts;
    unsigned ctx;               /* the one that most tests use */
    uint64_t ctx_base, ctx_stride, utlb_base, control_base;
    uint32_t sl0_level1;
    bool split;                 /* root and caches are not the same */
} Platform;

#define BENCH(gen, where) \
    .args = "-M ipmmu-bench", \
    .root_path = "/machine/" gen "-root", \
    .dmac_path = { "/machine/" gen "-dmac0", "/machine/" gen "-dmac1" }, \
    .root = (where), \
    .dmac = { (where) + 0x300000, (where) + 0x400000 }
#define BENCH_CACHES(gen, where) \
    .cache_path = { "/machine/" gen "-cache0", "/machine/" gen "-cache1" }, \
    .cache = { (where) + 0x100000, (where) + 0x200000 }

/* Gen2 registers are used where a driver uses them, at the alias */
#define GEN2_ALIAS 0x800

static const Platform platforms[] = {
    {
        .name = "gen2", BENCH("gen2", 0x10000000),
        .cache_path = { "/machine/gen2-root", "/machine/gen2-root" },
        .cache = { 0x10000000, 0x10000000 },
        .first_utlb = { 0, 16 },
        .contexts = 1, .ctx = 0,
        .ctx_base = GEN2_ALIAS, .ctx_stride = 0x40, .utlb_base = GEN2_ALIAS,
        .sl0_level1 = 1 << 4,
    }, {
        .name = "gen3", BENCH("gen3", 0x20000000),
        BENCH_CACHES("gen3", 0x20000000),
        .first_utlb = { 0, 32 },
        .contexts = 8, .ctx = 1,
        .ctx_stride = 0x40,
        .sl0_level1 = 2 << 6, .split = true,
    }, {
        .name = "gen4", BENCH("gen4", 0x30000000),
        BENCH_CACHES("gen4", 0x30000000),
        .first_utlb = { 0, 48 },
        .contexts = 16, .ctx = 9,
        .ctx_base = 0x10000, .ctx_stride = 0x1040, .utlb_base = 0x3000,
        .control_base = 0x1000,
        .sl0_level1 = 2 << 6, .split = true,
    }, {
        .name = "rcar-h3", .args = "-M rcar-h3",
        .root_path = "/machine/ipmmu_mm",
        .cache_path = { "/machine/ipmmu_ds0", "/machine/ipmmu_ds1" },
        .dmac_path = { "/machine/dmac0", "/machine/dmac2" },
        .root = 0xe67b0000,
        .cache = { 0xe6740000, 0xe7740000 },
        .dmac = { 0xe6700000, 0xe7310000 },
        .first_utlb = { 0, 16 },
        .contexts = 8, .ctx = 1,
        .ctx_stride = 0x40,
        .sl0_level1 = 2 << 6, .split = true,
    },
};

/* The addresses of page tables and data */
#define TABLES      (LOW_RAM + 0x100000)
#define SRC         (LOW_RAM + 0x200000)
#define DST         (LOW_RAM + 0x400000)

/* Descriptors */
#define D_BLOCK     1ULL
#define D_TABLE     3ULL
#define D_PAGE      3ULL
#define D_NS        BIT_ULL(5)
#define D_UNPRIV    BIT_ULL(6)
#define D_RDONLY    BIT_ULL(7)
#define D_AF        BIT_ULL(10)
#define D_APTABLE0  BIT_ULL(61)
#define D_APTABLE1  BIT_ULL(62)
#define D_NSTABLE   BIT_ULL(63)
#define D_RW        (D_NS | D_UNPRIV | D_AF)
#define D_ADDR      0xfffffff000ULL

typedef struct Test {
    const Platform *p;
    QTestState *qts;
    uint64_t next_table;
} Test;

static inline uint64_t utlb_offset(const Platform *p, unsigned utlb)
{
    return p->utlb_base + (utlb < 32 ? 0x300 + 16 * utlb
                                     : 0x600 + 16 * (utlb - 32));
}

static inline uint64_t ctx_offset(const Platform *p, unsigned ctx)
{
    return p->ctx_base + ctx * p->ctx_stride + (ctx > 7 ? 0x600 : 0);
}

static inline uint32_t ctx_readl(Test *t, uint64_t ipmmu, unsigned ctx,
                                 unsigned reg)
{
    return qtest_readl(t->qts, ipmmu + ctx_offset(t->p, ctx) + reg);
}

static inline void ctx_writel(Test *t, uint64_t ipmmu, unsigned ctx,
                              unsigned reg, uint32_t value)
{
    qtest_writel(t->qts, ipmmu + ctx_offset(t->p, ctx) + reg, value);
}

/* Writes IMCTR of a context: of the root, or of the cache before DMAC @which */
static inline void write_root_imctr(Test *t, unsigned ctx, uint32_t value)
{
    ctx_writel(t, t->p->root, ctx, IMCTR, value);
}

static inline void write_cache_imctr(Test *t, unsigned which, unsigned ctx,
                                     uint32_t value)
{
    if (t->p->split) {
        ctx_writel(t, t->p->cache[which], ctx, IMCTR, value);
    }
}

static inline void set_utlb(Test *t, unsigned which, unsigned chan,
                            uint32_t imuctr)
{
    uint64_t offset = utlb_offset(t->p, t->p->first_utlb[which] + chan);

    qtest_writel(t->qts, t->p->cache[which] + offset, imuctr);
}

static inline uint64_t new_table(Test *t)
{
    uint64_t table = t->next_table;

    t->next_table += 0x1000;
    qtest_memset(t->qts, table, 0, 0x1000);
    return table;
}

/* Returns the place of @level's descriptor for @iova; makes missing tables */
static inline uint64_t descriptor_at(Test *t, uint64_t root, uint64_t iova,
                                     unsigned level)
{
    uint64_t at = root + (iova >> 30) * 8;

    for (unsigned l = 1; l < level; l++) {
        uint64_t desc = qtest_readq(t->qts, at);

        if (!desc) {
            desc = new_table(t) | D_TABLE | D_NSTABLE;
            qtest_writeq(t->qts, at, desc);
        }
        at = (desc & D_ADDR) + ((iova >> (30 - 9 * l)) & 0x1ff) * 8;
    }
    return at;
}

/* @attr: everything but address and type */
static inline void map(Test *t, uint64_t root, uint64_t iova, uint64_t output,
                       unsigned level, uint64_t attr)
{
    qtest_writeq(t->qts, descriptor_at(t, root, iova, level),
                 output | attr | (level == 3 ? D_PAGE : D_BLOCK));
}

/* Sets up a context as Linux does, enabled in the root and both caches */
static inline void set_context(Test *t, unsigned ctx, uint64_t ttbr)
{
    const Platform *p = t->p;

    ctx_writel(t, p->root, ctx, IMTTLBR0, ttbr);
    ctx_writel(t, p->root, ctx, IMTTUBR0, ttbr >> 32);
    ctx_writel(t, p->root, ctx, IMTTBCR, IMTTBCR_EAE | p->sl0_level1);
    ctx_writel(t, p->root, ctx, IMMAIR0, 0xff440c04);
    write_cache_imctr(t, 0, ctx, 7);
    write_cache_imctr(t, 1, ctx, 7);
    write_root_imctr(t, ctx, IMCTR_MMUEN | IMCTR_FLUSH | IMCTR_INTEN);
}

/* Lets channel @chan of DMAC @which go through context @ctx */
static inline void attach(Test *t, unsigned which, unsigned chan, unsigned ctx)
{
    set_utlb(t, which, chan, ctx << 4 | IMUCTR_FLUSH | IMUCTR_MMUEN);
}

/* Flushes as a driver does: caches first, then the root, then all is done */
static inline void flush_context(Test *t, unsigned ctx)
{
    const uint32_t imctr = IMCTR_MMUEN | IMCTR_FLUSH | IMCTR_INTEN;

    write_cache_imctr(t, 0, ctx, imctr);
    write_cache_imctr(t, 1, ctx, imctr);
    write_root_imctr(t, ctx, imctr);
}

static inline void test_start(Test *t, const void *platform)
{
    t->p = platform;
    t->qts = qtest_init(t->p->args);
    t->next_table = TABLES;
}

/* Begins a test: one context, in use by channel 0 of the first DMAC */
static inline uint64_t test_start_mapped(Test *t, const void *platform)
{
    uint64_t ttbr;

    test_start(t, platform);
    ttbr = new_table(t);
    set_context(t, t->p->ctx, ttbr);
    attach(t, 0, 0, t->p->ctx);
    return ttbr;
}

/* Expects no "guest" error from all that the tests did */
static inline void test_finish(Test *t)
{
    assert_count(t->qts, t->p->root_path, "guest-errors", 0);
    assert_count(t->qts, t->p->cache_path[0], "guest-errors", 0);
    assert_count(t->qts, t->p->cache_path[1], "guest-errors", 0);
    qtest_quit(t->qts);
}

static inline void assert_fault(Test *t, unsigned ctx, uint32_t status,
                                uint64_t iova)
{
    g_assert_cmphex(ctx_readl(t, t->p->root, ctx, IMSTR), ==, status);
    g_assert_cmphex(ctx_readl(t, t->p->root, ctx, IMELAR), ==,
                    (uint32_t)iova);
    if (t->p->split) {
        g_assert_cmphex(ctx_readl(t, t->p->root, ctx, IMEUAR), ==, iova >> 32);
    }
}

static inline void clear_fault(Test *t, unsigned ctx)
{
    ctx_writel(t, t->p->root, ctx, IMSTR, 0);
}

/* Copies a page by channel 0 of the first DMAC; returns whether it arrived */
static inline bool copies(Test *t, uint64_t src, uint64_t dst)
{
    return dma_copies(t->qts, t->p->dmac[0], 0, src, dst, 0x1000);
}

#define IOVA_SRC    0x12345000ULL
#define IOVA_DST    0x92345000ULL
#define SRC_NEW     (SRC + 0x10000)

/* Begins a test, with a page mapped on either side */
static inline uint64_t start_copying(Test *t, const void *platform)
{
    uint64_t ttbr = test_start_mapped(t, platform);

    fill(t->qts, SRC, 0x1000, 1);
    fill(t->qts, SRC_NEW, 0x1000, 2);
    map(t, ttbr, IOVA_SRC, SRC, 3, D_RW);
    map(t, ttbr, IOVA_DST, DST, 3, D_RW);
    return ttbr;
}

/* Copies once more and returns where the source page was taken to be */
static inline uint64_t source_seen(Test *t, unsigned which,
                                   unsigned chan)
{
    qtest_memset(t->qts, DST, 0, 0x1000);
    g_assert_true(dma_copies(t->qts, t->p->dmac[which], chan, IOVA_SRC,
                             IOVA_DST, 0x1000));
    if (same(t->qts, SRC, DST, 0x1000)) {
        return SRC;
    }
    return same(t->qts, SRC_NEW, DST, 0x1000) ? SRC_NEW : 0;
}

/* Makes all instances unkind, as the words say */
static inline void set_unkind(Test *t, const char *words)
{
    qom_set_str(t->qts, t->p->root_path, "unkind", words);
    qom_set_str(t->qts, t->p->cache_path[0], "unkind", words);
    qom_set_str(t->qts, t->p->cache_path[1], "unkind", words);
}

static inline void assert_str(Test *t, const char *path,
                              const char *property, const char *expected)
{
    g_autofree char *value = qom_get_str(t->qts, path, property);

    g_assert_cmpstr(value, ==, expected);
}

static inline void add_platform_tests(const char *name,
                                      void (*fn)(const void *))
{
    for (unsigned i = 0; i < ARRAY_SIZE(platforms); i++) {
        const char *machine = strchr(platforms[i].args, ' ') + 1;
        g_autofree char *path = g_strdup_printf("/renesas-ipmmu/%s/%s",
                                                platforms[i].name, name);

        if (qtest_has_machine(machine)) {
            qtest_add_data_func(path, &platforms[i], fn);
        }
    }
}

#endif
