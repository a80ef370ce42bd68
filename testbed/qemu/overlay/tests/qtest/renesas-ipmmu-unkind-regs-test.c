/*
 * QTest of the Renesas IPMMU: unkind about registers, and the words themselves
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "renesas-ipmmu.h"

#define USE_SECGRP      BIT(28)
#define NMERGE40        BIT(24)
#define IOVA_OTHER      0x12346000ULL

static void test_words(const void *platform)
{
    const Platform *p = platform;
    g_autofree char *args = g_strdup_printf("%s,ipmmu-unkind=codes+posted",
                                            p->args);
    Test t;
    QDict *error;

    t.p = p;
    t.qts = qtest_init(args);
    assert_str(&t, p->root_path, "unkind", "posted+codes");
    assert_str(&t, p->cache_path[1], "unkind", "posted+codes");

    error = qtest_qmp_assert_failure_ref(t.qts,
        "{ 'execute': 'qom-set', 'arguments': { 'path': %s, "
        "'property': 'unkind', 'value': 'fetch+nonsense' } }", p->root_path);
    g_assert_nonnull(strstr(qdict_get_str(error, "desc"), "'nonsense'"));
    qobject_unref(error);
    assert_str(&t, p->root_path, "unkind", "posted+codes");

    set_unkind(&t, "");
    assert_str(&t, p->root_path, "unkind", "");
    test_finish(&t);
    g_free(args);

    args = g_strdup_printf("%s,ipmmu-unkind=all", p->args);
    t.qts = qtest_init(args);
    assert_str(&t, p->root_path, "unkind",
               "posted+slow-flush+fetch+negative+latched-base+utlb0+reset+"
               "firmware+codes+off-passes+strict-registers+incoherent");
    set_unkind(&t, "");
    set_unkind(&t, "all");
    qtest_quit(t.qts);
}

static uint32_t imctr(Test *t, uint64_t ipmmu, unsigned ctx)
{
    return ctx_readl(t, ipmmu, ctx, IMCTR);
}

static void test_reset(const void *platform)
{
    const Platform *p = platform;
    g_autofree char *first = NULL;
    g_autofree char *second = NULL;
    uint64_t imsctlr[] = { p->root + p->control_base + IMSCTLR,
                           p->cache[0] + p->control_base + IMSCTLR };
    Test t;

    for (unsigned run = 0; run < 2; run++) {
        g_autofree char *before = first;

        test_start(&t, p);
        set_unkind(&t, "reset");
        qtest_system_reset(t.qts);
        first = qom_get_str(t.qts, p->cache_path[0], "registers");
        if (run == 0) {
            qtest_quit(t.qts);
        } else {
            g_assert_cmpstr(first, ==, before);
        }
    }
    g_assert_cmpstr(first, !=, "");
    qtest_system_reset(t.qts);
    second = qom_get_str(t.qts, p->cache_path[0], "registers");
    g_assert_cmpstr(first, !=, second);

    for (unsigned ctx = 0; ctx < p->contexts; ctx++) {
        g_assert_cmphex(imctr(&t, p->root, ctx) & 3, ==, 0);
        g_assert_cmphex(imctr(&t, p->cache[0], ctx) & 3, ==, 0);
    }
    g_assert_cmphex(qtest_readl(t.qts, p->cache[0] + utlb_offset(p, 0)) & 3,
                    ==, 0);
    for (unsigned i = 0; p->split && i < ARRAY_SIZE(imsctlr); i++) {
        qtest_writel(t.qts, imsctlr[0], 0);
        qtest_writel(t.qts, imsctlr[1], 0);
        g_assert_true(copies(&t, SRC, DST));
        qtest_writel(t.qts, imsctlr[i], USE_SECGRP);
        g_assert_false(copies(&t, SRC, DST));
    }
    test_finish(&t);
}

static unsigned utlbs_on(Test *t, uint64_t ipmmu, unsigned ctx)
{
    unsigned on = 0;

    for (unsigned i = 0; i < 48 - 16 * !t->p->split; i++) {
        uint32_t imuctr = qtest_readl(t->qts, ipmmu + utlb_offset(t->p, i));

        if (imuctr) {
            g_assert_cmphex(imuctr, ==, ctx << 4 | IMUCTR_MMUEN);
            on++;
        }
    }
    return on;
}

static void test_firmware(const void *platform)
{
    const Platform *p = platform;
    unsigned on = 0;
    Test t;

    test_start(&t, p);
    watch_irqs(t.qts, p->root_path);
    set_unkind(&t, "firmware");
    qtest_system_reset(t.qts);
    g_assert_true(qtest_get_irq(t.qts, 0));
    g_assert_cmphex(ctx_readl(&t, p->root, 0, IMSTR), ==, IMSTR_TF);
    g_assert_cmphex(imctr(&t, p->root, 0) & IMCTR_INTEN, ==, IMCTR_INTEN);

    for (unsigned ctx = 0; ctx < p->contexts; ctx++) {
        if (!(imctr(&t, p->root, ctx) & IMCTR_MMUEN)) {
            continue;
        }
        g_assert_cmpuint(on++, ==, 0);
        g_assert_cmphex(imctr(&t, p->cache[0], ctx) & IMCTR_MMUEN, ==, 1);
        g_assert_true(!p->split || ctx > 0);
        g_assert_cmpuint(utlbs_on(&t, p->cache[1], ctx), <=, 2);
        if (!strcmp(p->name, "gen3") || !strcmp(p->name, "rcar-h3")) {
            g_assert_cmpuint(utlbs_on(&t, p->cache[0], ctx), ==, 2);
        }
    }
    g_assert_cmpuint(on, ==, 1);

    if (p->split) {
        g_assert_cmphex(qtest_readl(t.qts, p->root + p->control_base +
                                    IMSCTLR), ==, 0xc0000000);
        g_assert_cmphex(qtest_readl(t.qts, p->cache[0] + p->control_base +
                                    IMSCTLR), ==, 0xe0000000);
        g_assert_cmphex(qtest_readl(t.qts, p->root + p->control_base +
                                    IMSAUXCTLR), ==, NMERGE40);
        g_assert_true(copies(&t, SRC, DST));
    }
    test_finish(&t);
}

static void assert_refused(Test *t, uint64_t src, uint64_t dst,
                           uint32_t status, uint64_t iova)
{
    g_assert_false(copies(t, src, dst));
    assert_fault(t, t->p->ctx, status, iova);
    clear_fault(t, t->p->ctx);
    assert_fault(t, t->p->ctx, 0, 0);
}

static void test_codes(const void *platform)
{
    const Platform *p = platform;
    uint64_t ttbr, at;
    Test t;

    ttbr = start_copying(&t, p);
    set_unkind(&t, "codes");

    /* Nothing there, at each level */
    assert_refused(&t, 0x40000000, IOVA_DST, 0x1502, 0x40000000);
    assert_refused(&t, 0x00001000, IOVA_DST, 0x2502, 0x00001000);
    assert_refused(&t, IOVA_OTHER, IOVA_DST, 0x3502, IOVA_OTHER);

    at = descriptor_at(&t, ttbr, IOVA_OTHER, 3);
    qtest_writeq(t.qts, at, SRC);
    assert_refused(&t, IOVA_OTHER, IOVA_DST, 0x3101, IOVA_OTHER);
    map(&t, ttbr, IOVA_OTHER, SRC, 3, D_RW & ~D_NS);
    assert_refused(&t, IOVA_OTHER, IOVA_DST, 0x3502, IOVA_OTHER);
    map(&t, ttbr, IOVA_OTHER, SRC, 3, D_RW | D_RDONLY);
    assert_refused(&t, IOVA_SRC, IOVA_OTHER, 0x3402, IOVA_OTHER);
    test_finish(&t);
}

static void test_strict_registers(const void *platform)
{
    const uint64_t vc0_utlb0 = 0xfe6b0300;      /* its area is off */
    const Platform *p = platform;
    Test t;

    test_start(&t, p);
    ctx_writel(&t, p->root, p->ctx, IMTTLBR0, 0x48000001);
    assert_count(t.qts, p->root_path, "guest-errors", 0);
    set_unkind(&t, "strict-registers");
    ctx_writel(&t, p->root, p->ctx, IMTTLBR0, 0x48000000);
    assert_count(t.qts, p->root_path, "guest-errors", 0);
    ctx_writel(&t, p->root, p->ctx, IMTTLBR0, 0x48000001);
    assert_count(t.qts, p->root_path, "guest-errors", 1);
    g_assert_cmphex(ctx_readl(&t, p->root, p->ctx, IMTTLBR0), ==, 0x48000000);

    if (!strcmp(p->name, "rcar-h3")) {
        qtest_writel(t.qts, vc0_utlb0, 0);
        assert_count(t.qts, "/machine/ipmmu_vc0", "guest-errors", 0);
        qom_set_str(t.qts, "/machine/ipmmu_vc0", "unkind", "strict-registers");
        qtest_readl(t.qts, vc0_utlb0);
        assert_count(t.qts, "/machine/ipmmu_vc0", "guest-errors", 0);
        qtest_writel(t.qts, vc0_utlb0, 0);
        assert_count(t.qts, "/machine/ipmmu_vc0", "guest-errors", 1);
    }
    qtest_quit(t.qts);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_platform_tests("unkind/words", test_words);
    add_platform_tests("unkind/reset", test_reset);
    add_platform_tests("unkind/firmware", test_firmware);
    add_platform_tests("unkind/codes", test_codes);
    add_platform_tests("unkind/strict-registers", test_strict_registers);
    return g_test_run();
}
