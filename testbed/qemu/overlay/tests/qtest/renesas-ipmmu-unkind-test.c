/*
 * QTest of the Renesas IPMMU: unkind about translations and time
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "renesas-ipmmu.h"

#define US              1000
#define IMCTR_ON        (IMCTR_MMUEN | IMCTR_INTEN)
#define IMCTR_ON_FLUSH  (IMCTR_ON | IMCTR_FLUSH)
#define IOVA_OTHER      0x12346000ULL

static void test_posted(const void *platform)
{
    const Platform *p = platform;
    g_autofree char *before = NULL;
    uint64_t asid = p->cache[0] + utlb_offset(p, 0) + 8;
    Test t;

    start_copying(&t, p);
    set_unkind(&t, "posted");
    before = qom_get_str(t.qts, p->cache_path[0], "registers");

    /* It comes of age ... */
    set_utlb(&t, 0, 0, 0);
    qtest_clock_step(t.qts, 1000 * US - 1);
    g_assert_cmphex(source_seen(&t, 0, 0), ==, SRC);
    assert_str(&t, p->cache_path[0], "registers", before);
    qtest_clock_step(t.qts, 1);
    g_assert_true(copies(&t, SRC, DST));

    /* ... or is read after, wherever, but in the same instance; in order */
    set_utlb(&t, 0, 0, p->ctx << 4);
    set_utlb(&t, 0, 0, p->ctx << 4 | IMUCTR_MMUEN);
    if (p->split) {
        ctx_readl(&t, p->root, p->ctx, IMCTR);
    }
    g_assert_true(copies(&t, SRC, DST));
    g_assert_cmphex(qtest_readl(t.qts, asid), ==, 0);
    g_assert_cmphex(source_seen(&t, 0, 0), ==, SRC);

    /* With the word goes the delay; reset drops what is under way */
    set_utlb(&t, 0, 0, 0);
    set_unkind(&t, "");
    g_assert_true(copies(&t, SRC, DST));
    set_unkind(&t, "posted");
    qtest_writel(t.qts, asid, 1);
    qtest_system_reset(t.qts);
    qtest_clock_step(t.qts, 1000 * US);
    assert_str(&t, p->cache_path[0], "registers", "");
    test_finish(&t);
}

static void test_slow_flush(const void *platform)
{
    const Platform *p = platform;
    uint64_t ttbr;
    Test t;

    ttbr = start_copying(&t, p);
    set_unkind(&t, "slow-flush");
    g_assert_cmphex(source_seen(&t, 0, 0), ==, SRC);
    map(&t, ttbr, IOVA_SRC, SRC_NEW, 3, D_RW);
    map(&t, ttbr, IOVA_OTHER, SRC, 3, D_RW);

    write_root_imctr(&t, p->ctx, IMCTR_ON_FLUSH);
    g_assert_cmphex(ctx_readl(&t, p->root, p->ctx, IMCTR), ==, IMCTR_ON_FLUSH);
    qtest_clock_step(t.qts, 20 * US - 1);
    g_assert_cmphex(ctx_readl(&t, p->root, p->ctx, IMCTR), ==, IMCTR_ON_FLUSH);
    /* Still to be had from the root's TLB; and this one is made meanwhile */
    attach(&t, 0, 1, p->ctx);
    g_assert_cmphex(source_seen(&t, 0, 1), ==, SRC);
    g_assert_true(copies(&t, IOVA_OTHER, IOVA_DST));
    map(&t, ttbr, IOVA_OTHER, 0, 3, 0);
    /* Absorbed: this one would take longer */
    write_root_imctr(&t, p->ctx, IMCTR_ON_FLUSH);
    qtest_clock_step(t.qts, 1);
    g_assert_cmphex(ctx_readl(&t, p->root, p->ctx, IMCTR), ==, IMCTR_ON);

    attach(&t, 0, 0, p->ctx);
    g_assert_cmphex(source_seen(&t, 0, 0), ==, SRC_NEW);
    g_assert_true(copies(&t, IOVA_OTHER, IOVA_DST));
    /* A micro-TLB of the root itself is part of its flush */
    g_assert_cmphex(source_seen(&t, 0, 1), ==, p->split ? SRC : SRC_NEW);

    /* Once more with the context going off, and stuck beyond its time */
    qom_set_bool(t.qts, p->root_path, "flush-stuck", true);
    write_root_imctr(&t, p->ctx, IMCTR_FLUSH);
    qtest_clock_step(t.qts, 20 * US);
    g_assert_cmphex(ctx_readl(&t, p->root, p->ctx, IMCTR), ==, IMCTR_FLUSH);
    qom_set_bool(t.qts, p->root_path, "flush-stuck", false);
    g_assert_cmphex(ctx_readl(&t, p->root, p->ctx, IMCTR), ==, 0);
    write_root_imctr(&t, p->ctx, IMCTR_ON);
    attach(&t, 0, 0, p->ctx);
    g_assert_false(copies(&t, IOVA_OTHER, IOVA_DST));
    test_finish(&t);
}

static void test_fetch(const void *platform)
{
    const Platform *p = platform;
    uint64_t ttbr, count;
    Test t;

    ttbr = start_copying(&t, p);
    set_unkind(&t, "fetch");
    g_assert_cmphex(source_seen(&t, 0, 0), ==, SRC);
    count = qom_get_uint(t.qts, p->cache_path[0], "translations");

    /* Fetched right after the flush, from memory as it was then */
    flush_context(&t, p->ctx);
    map(&t, ttbr, IOVA_SRC, SRC_NEW, 3, D_RW);
    assert_count(t.qts, p->cache_path[0], "translations", count);
    g_assert_cmphex(source_seen(&t, 0, 0), ==, SRC);

    /* The root before the cache: nothing stale is left */
    write_root_imctr(&t, p->ctx, IMCTR_ON_FLUSH);
    write_cache_imctr(&t, 0, p->ctx, IMCTR_ON_FLUSH);
    g_assert_cmphex(source_seen(&t, 0, 0), ==, SRC_NEW);
    if (p->split) {
        /* The other way round it fetches the root's stale entry */
        map(&t, ttbr, IOVA_SRC, SRC, 3, D_RW);
        write_cache_imctr(&t, 0, p->ctx, IMCTR_ON_FLUSH);
        write_root_imctr(&t, p->ctx, IMCTR_ON_FLUSH);
        g_assert_cmphex(source_seen(&t, 0, 0), ==, SRC_NEW);
    }

    /* A fetch that fails leaves neither a fault nor an entry */
    qtest_writeq(t.qts, descriptor_at(&t, ttbr, IOVA_SRC, 3), 0);
    write_root_imctr(&t, p->ctx, IMCTR_ON_FLUSH);
    write_cache_imctr(&t, 0, p->ctx, IMCTR_ON_FLUSH);
    assert_fault(&t, p->ctx, 0, 0);
    map(&t, ttbr, IOVA_SRC, SRC, 3, D_RW);
    g_assert_cmphex(source_seen(&t, 0, 0), ==, SRC);
    test_finish(&t);
}

/* Leaves no entry of the source; it is to be had again if anything asks */
static void forget_source(Test *t, uint64_t ttbr)
{
    qtest_writeq(t->qts, descriptor_at(t, ttbr, IOVA_SRC, 3), 0);
    write_root_imctr(t, t->p->ctx, IMCTR_ON_FLUSH);
    write_cache_imctr(t, 0, t->p->ctx, IMCTR_ON_FLUSH);
    qtest_clock_step(t->qts, 1000 * US);
    map(t, ttbr, IOVA_SRC, SRC_NEW, 3, D_RW);
}

static void test_posted_fetch(const void *platform)
{
    const Platform *p = platform;
    const uint64_t written[] = {
        p->cache[0] + utlb_offset(p, p->first_utlb[0]) + 8,
        p->root + ctx_offset(p, p->ctx) + IMMAIR0,
    };
    uint64_t ttbr;
    Test t;

    ttbr = start_copying(&t, p);
    set_unkind(&t, "posted+fetch");
    g_assert_cmphex(source_seen(&t, 0, 0), ==, SRC);

    /* Nothing asks: the walk is that of the copy */
    forget_source(&t, ttbr);
    map(&t, ttbr, IOVA_SRC, SRC, 3, D_RW);
    g_assert_cmphex(source_seen(&t, 0, 0), ==, SRC);

    /* A write is an access when it is made, not only when it arrives */
    for (unsigned i = 0; i < ARRAY_SIZE(written); i++) {
        forget_source(&t, ttbr);
        qtest_writel(t.qts, written[i], 0);
        map(&t, ttbr, IOVA_SRC, SRC, 3, D_RW);
        g_assert_cmphex(source_seen(&t, 0, 0), ==, SRC_NEW);
    }
    test_finish(&t);
}

static void test_negative(const void *platform)
{
    const Platform *p = platform;
    uint64_t ttbr;
    Test t;

    ttbr = start_copying(&t, p);
    set_unkind(&t, "negative");
    g_assert_false(copies(&t, IOVA_OTHER, IOVA_DST));
    clear_fault(&t, p->ctx);
    map(&t, ttbr, IOVA_OTHER, SRC, 3, D_RW);
    g_assert_false(copies(&t, IOVA_OTHER, IOVA_DST));
    assert_fault(&t, p->ctx, IMSTR_TF, IOVA_OTHER);
    clear_fault(&t, p->ctx);

    /* The root has kept it, too */
    attach(&t, 0, 0, p->ctx);
    g_assert_false(copies(&t, IOVA_OTHER, IOVA_DST));
    if (p->split) {
        write_root_imctr(&t, p->ctx, IMCTR_ON_FLUSH);
        g_assert_false(copies(&t, IOVA_OTHER, IOVA_DST));
    }
    flush_context(&t, p->ctx);
    g_assert_true(copies(&t, IOVA_OTHER, IOVA_DST));
    test_finish(&t);
}

static void test_fetch_negative(const void *platform)
{
    const Platform *p = platform;
    uint64_t ttbr;
    Test t;

    ttbr = start_copying(&t, p);
    attach(&t, 0, 1, p->ctx);
    set_unkind(&t, "fetch+negative");
    g_assert_cmphex(source_seen(&t, 0, 0), ==, SRC);
    g_assert_cmphex(source_seen(&t, 0, 1), ==, SRC);

    /* Kept as a failure by one micro-TLB alone; the root has forgotten it */
    qtest_writeq(t.qts, descriptor_at(&t, ttbr, IOVA_SRC, 3), 0);
    write_root_imctr(&t, p->ctx, IMCTR_ON_FLUSH);
    write_cache_imctr(&t, 0, p->ctx, IMCTR_ON_FLUSH);
    g_assert_false(copies(&t, IOVA_SRC, IOVA_DST));
    clear_fault(&t, p->ctx);
    if (p->split) {
        write_root_imctr(&t, p->ctx, IMCTR_ON_FLUSH);
        map(&t, ttbr, IOVA_SRC, SRC, 3, D_RW);
        ctx_readl(&t, p->root, p->ctx, IMCTR);
        map(&t, ttbr, IOVA_SRC, SRC_NEW, 3, D_RW);
        g_assert_cmphex(source_seen(&t, 0, 1), ==, SRC);
    }
    g_assert_false(copies(&t, IOVA_SRC, IOVA_DST));
    test_finish(&t);
}

static void test_latched_base(const void *platform)
{
    const Platform *p = platform;
    uint64_t other;
    Test t;

    start_copying(&t, p);
    other = new_table(&t);
    map(&t, other, IOVA_SRC, SRC_NEW, 3, D_RW);
    map(&t, other, IOVA_DST, DST, 3, D_RW);

    set_unkind(&t, "latched-base");
    ctx_writel(&t, p->root, p->ctx, IMTTLBR0, other);
    g_assert_cmphex(ctx_readl(&t, p->root, p->ctx, IMTTLBR0), ==, other);
    flush_context(&t, p->ctx);
    g_assert_cmphex(source_seen(&t, 0, 0), ==, SRC);
    write_root_imctr(&t, p->ctx, IMCTR_INTEN);
    flush_context(&t, p->ctx);
    g_assert_cmphex(source_seen(&t, 0, 0), ==, SRC_NEW);

    /* Written while off */
    write_root_imctr(&t, p->ctx, 0);
    ctx_writel(&t, p->root, p->ctx, IMTTBCR, 0);
    flush_context(&t, p->ctx);
    g_assert_false(copies(&t, IOVA_SRC, IOVA_DST));
    test_finish(&t);
}

static void test_utlb0(const void *platform)
{
    const Platform *p = platform;
    uint64_t ttbr;
    Test t;

    ttbr = start_copying(&t, p);
    attach(&t, 0, 1, p->ctx);
    set_unkind(&t, "utlb0");
    g_assert_cmphex(source_seen(&t, 0, 0), ==, SRC);
    g_assert_cmphex(source_seen(&t, 0, 1), ==, SRC);
    map(&t, ttbr, IOVA_SRC, SRC_NEW, 3, D_RW);
    flush_context(&t, p->ctx);
    g_assert_cmphex(source_seen(&t, 0, 1), ==, SRC_NEW);
    g_assert_cmphex(source_seen(&t, 0, 0), ==, SRC);
    attach(&t, 0, 0, p->ctx);
    g_assert_cmphex(source_seen(&t, 0, 0), ==, SRC_NEW);
    test_finish(&t);
}

static void test_off_passes(const void *platform)
{
    const Platform *p = platform;
    Test t;

    start_copying(&t, p);
    set_unkind(&t, "off-passes");
    g_assert_false(copies(&t, SRC, DST));
    clear_fault(&t, p->ctx);
    if (p->split) {
        write_cache_imctr(&t, 0, p->ctx, 0);
        g_assert_true(copies(&t, SRC, DST));
        write_cache_imctr(&t, 0, p->ctx, IMCTR_ON);
        g_assert_false(copies(&t, SRC, DST));
        clear_fault(&t, p->ctx);
    }
    write_root_imctr(&t, p->ctx, 0);
    g_assert_true(copies(&t, SRC, DST));
    assert_fault(&t, p->ctx, 0, 0);
    test_finish(&t);
}

/* Cleans the descriptor's line, as the CPU does */
static void clean(Test *t, uint64_t ttbr, uint64_t iova, unsigned level)
{
    qom_set_uint(t->qts, t->p->root_path, "clean",
                 descriptor_at(t, ttbr, iova, level));
}

static void test_incoherent(const void *platform)
{
    const Platform *p = platform;
    g_autofree char *args = g_strdup_printf("%s,ipmmu-unkind=incoherent",
                                            p->args);
    Platform incoherent = *p;
    QDict *error;
    uint64_t ttbr;
    Test t;

    incoherent.args = args;
    ttbr = start_copying(&t, &incoherent);
    if (!p->split) {
        g_assert_cmphex(source_seen(&t, 0, 0), ==, SRC);
        test_finish(&t);
        return;
    }
    g_assert_false(copies(&t, IOVA_SRC, IOVA_DST));
    assert_fault(&t, p->ctx, IMSTR_TF, IOVA_SRC);
    for (unsigned level = 1; level <= 3; level++) {
        clean(&t, ttbr, IOVA_SRC, level);
        clean(&t, ttbr, IOVA_DST, level);
    }
    g_assert_cmphex(source_seen(&t, 0, 0), ==, SRC);

    map(&t, ttbr, IOVA_SRC, SRC_NEW, 3, D_RW);
    flush_context(&t, p->ctx);
    g_assert_cmphex(source_seen(&t, 0, 0), ==, SRC);
    clean(&t, ttbr, IOVA_SRC, 3);
    flush_context(&t, p->ctx);
    g_assert_cmphex(source_seen(&t, 0, 0), ==, SRC_NEW);
    test_finish(&t);

    /* Not later: what was cleaned before is not known */
    test_start(&t, p);
    error = qtest_qmp_assert_failure_ref(t.qts,
        "{ 'execute': 'qom-set', 'arguments': { 'path': %s, "
        "'property': 'unkind', 'value': 'all' } }", p->root_path);
    g_assert_nonnull(strstr(qdict_get_str(error, "desc"), "'incoherent'"));
    qobject_unref(error);
    test_finish(&t);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_platform_tests("unkind/posted", test_posted);
    add_platform_tests("unkind/slow-flush", test_slow_flush);
    add_platform_tests("unkind/fetch", test_fetch);
    add_platform_tests("unkind/posted+fetch", test_posted_fetch);
    add_platform_tests("unkind/negative", test_negative);
    add_platform_tests("unkind/fetch+negative", test_fetch_negative);
    add_platform_tests("unkind/latched-base", test_latched_base);
    add_platform_tests("unkind/utlb0", test_utlb0);
    add_platform_tests("unkind/off-passes", test_off_passes);
    add_platform_tests("unkind/incoherent", test_incoherent);
    return g_test_run();
}
