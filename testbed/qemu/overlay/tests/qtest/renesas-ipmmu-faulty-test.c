/*
 * QTest of the Renesas IPMMU: the ways to make it misbehave
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "renesas-ipmmu.h"

static void test_flush_stuck(const void *platform)
{
    const Platform *p = platform;
    uint64_t ttbr;
    Test t;

    ttbr = start_copying(&t, p);
    g_assert_cmphex(source_seen(&t, 0, 0), ==, SRC);
    map(&t, ttbr, IOVA_SRC, SRC_NEW, 3, D_RW);

    qom_set_bool(t.qts, p->root_path, "flush-stuck", true);
    flush_context(&t, p->ctx);
    g_assert_cmphex(ctx_readl(&t, p->root, p->ctx, IMCTR), ==, 7);
    write_root_imctr(&t, p->ctx, 5);
    g_assert_cmphex(ctx_readl(&t, p->root, p->ctx, IMCTR), ==, 7);
    g_assert_cmphex(source_seen(&t, 0, 0), ==, SRC);

    qom_set_bool(t.qts, p->root_path, "flush-stuck", false);
    g_assert_cmphex(ctx_readl(&t, p->root, p->ctx, IMCTR), ==, 5);
    attach(&t, 0, 0, p->ctx);
    g_assert_cmphex(source_seen(&t, 0, 0), ==, SRC_NEW);

    qom_set_bool(t.qts, p->root_path, "flush-stuck", true);
    flush_context(&t, p->ctx);
    qtest_system_reset(t.qts);
    g_assert_cmphex(ctx_readl(&t, p->root, p->ctx, IMCTR), ==, 0);
    write_root_imctr(&t, p->ctx, 2);
    g_assert_cmphex(ctx_readl(&t, p->root, p->ctx, IMCTR), ==, 2);
    test_finish(&t);
}

/* Reads from an undriven bus; writes have their effect */
static void test_floating(const void *platform)
{
    const Platform *p = platform;
    uint64_t ttbr;
    uint32_t first;
    Test t;

    ttbr = start_copying(&t, p);
    qom_set_str(t.qts, p->root_path, "floating", "ones");
    g_assert_cmphex(ctx_readl(&t, p->root, p->ctx, IMCTR), ==, 0xffffffff);
    qom_set_str(t.qts, p->root_path, "floating", "zeros");
    g_assert_cmphex(ctx_readl(&t, p->root, p->ctx, IMCTR), ==, 0);
    qom_set_str(t.qts, p->root_path, "floating", "random");
    first = ctx_readl(&t, p->root, p->ctx, IMTTBCR);
    g_assert_cmphex(ctx_readl(&t, p->root, p->ctx, IMTTBCR), !=, first);

    map(&t, ttbr, IOVA_SRC, SRC_NEW, 3, D_RW);
    flush_context(&t, p->ctx);
    qom_set_str(t.qts, p->root_path, "floating", "");
    g_assert_cmphex(ctx_readl(&t, p->root, p->ctx, IMCTR) & 1, ==, 1);
    g_assert_cmphex(source_seen(&t, 0, 0), ==, SRC_NEW);
    test_finish(&t);
}

/* Brings an acknowledged fault back, so many times, and then no more */
static void test_storm(const void *platform)
{
    const Platform *p = platform;
    uint64_t faults;
    Test t;

    start_copying(&t, p);
    watch_irqs(t.qts, p->root_path);
    qom_set_uint(t.qts, p->root_path, "storm", 3);
    g_assert_false(copies(&t, 0x2000, IOVA_DST));
    faults = qom_get_uint(t.qts, p->root_path, "faults");
    for (unsigned left = 3; left > 0; left--) {
        assert_fault(&t, p->ctx, IMSTR_TF, 0x2000);
        assert_count(t.qts, p->root_path, "storm", left);
        ctx_writel(&t, p->root, p->ctx, IMSTR, 0);
        assert_count(t.qts, p->root_path, "faults", ++faults);
        g_assert_true(qtest_get_irq(t.qts, 0));
    }
    assert_fault(&t, p->ctx, IMSTR_TF, 0x2000);
    assert_count(t.qts, p->root_path, "storm", 0);
    clear_fault(&t, p->ctx);
    assert_fault(&t, p->ctx, 0, 0);
    g_assert_false(qtest_get_irq(t.qts, 0));
    assert_count(t.qts, p->root_path, "faults", faults);

    /* A context that is off does not fault by itself */
    qom_set_uint(t.qts, p->root_path, "storm", 3);
    g_assert_false(copies(&t, 0x2000, IOVA_DST));
    write_root_imctr(&t, p->ctx, 0);
    clear_fault(&t, p->ctx);
    assert_count(t.qts, p->root_path, "storm", 3);
    test_finish(&t);
}

static void test_discard_writes(const void *platform)
{
    const Platform *p = platform;
    g_autofree char *one = g_strdup_printf(" IMTTLBR0 ,IMMAIR0(%u)", p->ctx);
    g_autofree char *readback = NULL;
    static const char *bad[] = {
        "IMNONSENSE", "IMTTLBR", "IMTTLBR0(", "IMTTLBR0(x)", "IMTTLBR0(16)",
        "IMSCTLR(0)",
    };
    Test t;

    test_start(&t, p);
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        QDict *rsp = qtest_qmp_assert_failure_ref(t.qts,
            "{ 'execute': 'qom-set', 'arguments': { 'path': %s, "
            "'property': 'discard-writes', 'value': %s } }",
            p->root_path, bad[i]);
        qobject_unref(rsp);
    }

    qom_set_str(t.qts, p->root_path, "discard-writes", one);
    readback = qom_get_str(t.qts, p->root_path, "discard-writes");
    g_assert_cmpstr(readback, ==, one);
    /* It is the hardware that is broken: reset does not mend it */
    qtest_system_reset(t.qts);
    for (unsigned ctx = 0; ctx < p->contexts; ctx++) {
        ctx_writel(&t, p->root, ctx, IMTTLBR0, 0x48000000);
        ctx_writel(&t, p->root, ctx, IMTTUBR0, 1);
        ctx_writel(&t, p->root, ctx, IMMAIR0, 2);
        g_assert_cmphex(ctx_readl(&t, p->root, ctx, IMTTLBR0), ==, 0);
        g_assert_cmphex(ctx_readl(&t, p->root, ctx, IMTTUBR0), ==, 1);
        g_assert_cmphex(ctx_readl(&t, p->root, ctx, IMMAIR0), ==,
                        ctx == p->ctx ? 0 : 2);
    }

    /* A discarded write has no effect at all: IMUCTR does not flush */
    qom_set_str(t.qts, p->cache_path[0], "discard-writes", "IMUCTR(0)");
    attach(&t, 0, 0, p->ctx);
    fill(t.qts, SRC, 0x1000, 4);
    g_assert_true(copies(&t, SRC, DST));
    qom_set_str(t.qts, p->cache_path[0], "discard-writes", "");
    attach(&t, 0, 0, p->ctx);
    g_assert_false(copies(&t, SRC, DST));
    test_finish(&t);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_platform_tests("flush-stuck", test_flush_stuck);
    add_platform_tests("floating", test_floating);
    add_platform_tests("storm", test_storm);
    add_platform_tests("discard-writes", test_discard_writes);
    return g_test_run();
}
