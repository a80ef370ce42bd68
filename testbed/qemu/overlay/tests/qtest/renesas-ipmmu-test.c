/*
 * QTest of the Renesas IPMMU: registers, faults, reset
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "renesas-ipmmu.h"

static void assert_registers(Test *t, const char *path, const char *expected)
{
    g_autofree char *registers = qom_get_str(t->qts, path, "registers");

    g_assert_cmpstr(registers, ==, expected);
}

/*
 * All registers of an instance that is root (r) or has micro-TLBs (u): the
 * offset, the bits that keep what is written, the name. In address order.
 */
typedef struct RegisterCase {
    const char *platform;
    const char *who;
    unsigned offset;
    uint32_t kept;
    const char *name;
} RegisterCase;

static const RegisterCase register_cases[] = {
    { "gen2", "ru", 0x000, 0x5, "IMCTR(0)" },
    { "gen2", "ru", 0x008, 0x80003f1f, "IMTTBCR(0)" },
    { "gen2", "ru", 0x00c, 0x7, "IMBUSCR(0)" },
    { "gen2", "ru", 0x010, 0xfffff000, "IMTTLBR0(0)" },
    { "gen2", "ru", 0x014, 0xff, "IMTTUBR0(0)" },
    { "gen2", "ru", 0x020, 0, "IMSTR(0)" },
    { "gen2", "ru", 0x028, 0xffffffff, "IMMAIR0(0)" },
    { "gen2", "ru", 0x300, 0xf1, "IMUCTR(0)" },
    { "gen2", "ru", 0x308, 0xffff, "IMUASID(0)" },
    { "gen2", "ru", 0x4f0, 0xf1, "IMUCTR(31)" },
    { "gen2", "ru", 0x4f8, 0xffff, "IMUASID(31)" },

    { "gen3", "r", 0x000, 0x20000005, "IMCTR(0)" },
    { "gen3", "r", 0x048, 0xc00000df, "IMTTBCR(1)" },
    { "gen3", "r", 0x090, 0xfffff000, "IMTTLBR0(2)" },
    { "gen3", "r", 0x0d4, 0xff, "IMTTUBR0(3)" },
    { "gen3", "r", 0x168, 0xffffffff, "IMMAIR0(5)" },
    { "gen3", "r", 0x1a0, 0, "IMSTR(6)" },
    { "gen3", "r", 0x1c0, 0x20000005, "IMCTR(7)" },
    { "gen3", "r", 0x500, 0xffffffff, "IMSCTLR" },
    { "gen3", "r", 0x504, 0xffffffff, "IMSAUXCTLR" },
    { "gen3", "u", 0x000, 0x5, "IMCTR(0)" },
    { "gen3", "u", 0x1c0, 0x5, "IMCTR(7)" },
    { "gen3", "u", 0x300, 0xf1, "IMUCTR(0)" },
    { "gen3", "u", 0x4f8, 0xffff, "IMUASID(31)" },
    { "gen3", "u", 0x500, 0xffffffff, "IMSCTLR" },
    { "gen3", "u", 0x504, 0xffffffff, "IMSAUXCTLR" },
    { "gen3", "u", 0x600, 0xf1, "IMUCTR(32)" },
    { "gen3", "u", 0x6f8, 0xffff, "IMUASID(47)" },

    { "gen4", "r", 0x01500, 0xffffffff, "IMSCTLR" },
    { "gen4", "r", 0x01504, 0xffffffff, "IMSAUXCTLR" },
    { "gen4", "r", 0x10000, 0x20000005, "IMCTR(0)" },
    { "gen4", "r", 0x11048, 0xc00000df, "IMTTBCR(1)" },
    { "gen4", "r", 0x171d0, 0xfffff000, "IMTTLBR0(7)" },
    { "gen4", "r", 0x18814, 0xff, "IMTTUBR0(8)" },
    { "gen4", "r", 0x1f9e8, 0xffffffff, "IMMAIR0(15)" },
    { "gen4", "u", 0x01500, 0xffffffff, "IMSCTLR" },
    { "gen4", "u", 0x01504, 0xffffffff, "IMSAUXCTLR" },
    { "gen4", "u", 0x03300, 0x1f1, "IMUCTR(0)" },
    { "gen4", "u", 0x034f8, 0xffff, "IMUASID(31)" },
    { "gen4", "u", 0x03600, 0x1f1, "IMUCTR(32)" },
    { "gen4", "u", 0x037f8, 0xffff, "IMUASID(63)" },
    { "gen4", "u", 0x18800, 0x5, "IMCTR(8)" },
    { "gen4", "u", 0x1f9c0, 0x5, "IMCTR(15)" },
};

static bool case_applies(const RegisterCase *c, const Platform *p, bool root)
{
    const char *layout = p->root_path[9] == 'i' ? "gen3" : p->name;

    return !strcmp(c->platform, layout) && strchr(c->who, root ? 'r' : 'u');
}

static void check_registers(Test *t, uint64_t base, const char *path,
                            bool root)
{
    g_autoptr(GString) expected = g_string_new(NULL);

    assert_registers(t, path, "");
    for (unsigned i = 0; i < ARRAY_SIZE(register_cases); i++) {
        const RegisterCase *c = &register_cases[i];

        if (!case_applies(c, t->p, root)) {
            continue;
        }
        g_assert_cmphex(qtest_readl(t->qts, base + c->offset), ==, 0);
        qtest_writel(t->qts, base + c->offset, 0xffffffff);
        g_assert_cmphex(qtest_readl(t->qts, base + c->offset), ==, c->kept);
        if (c->kept) {
            g_string_append_printf(expected, "%s=0x%x\n", c->name, c->kept);
        }
    }
    assert_registers(t, path, expected->str);
}

static void test_registers(const void *platform)
{
    const Platform *p = platform;
    uint32_t old_errors;
    Test t;

    test_start(&t, p);
    check_registers(&t, p->root, p->root_path, true);
    if (p->split) {
        check_registers(&t, p->cache[1], p->cache_path[1], false);
        assert_registers(&t, p->cache_path[0], "");
    } else {
        /* The alias shows the same registers, to read and to write */
        g_assert_cmphex(qtest_readl(t.qts, p->root + GEN2_ALIAS + 0x10), ==,
                        0xfffff000);
        qtest_writel(t.qts, p->root + GEN2_ALIAS + 0x10, 0x12345000);
        g_assert_cmphex(qtest_readl(t.qts, p->root + 0x10), ==, 0x12345000);
    }

    /* The micro-TLBs have been enabled with all ones, onto a missing context */
    old_errors = qom_get_uint(t.qts, p->cache_path[1], "guest-errors");
    g_assert_cmpuint(old_errors, ==, 2);
    qtest_system_reset(t.qts);
    assert_registers(&t, p->root_path, "");
    assert_registers(&t, p->cache_path[1], "");
    assert_count(t.qts, p->cache_path[1], "guest-errors", old_errors);
    qtest_quit(t.qts);
}

/* Offsets without a register */
static const RegisterCase absent_cases[] = {
    { "gen2", "ru", 0x034 }, { "gen2", "ru", 0x040 }, { "gen2", "ru", 0x500 },
    { "gen2", "ru", 0x600 }, { "gen2", "ru", 0x834 }, { "gen2", "ru", 0xd00 },
    { "gen3", "r", 0x004 }, { "gen3", "r", 0x04c }, { "gen3", "r", 0x200 },
    { "gen3", "r", 0x300 }, { "gen3", "r", 0x508 }, { "gen3", "r", 0x600 },
    { "gen3", "r", 0x800 }, { "gen3", "r", 0xffc },
    { "gen3", "u", 0x008 }, { "gen3", "u", 0x050 }, { "gen3", "u", 0x060 },
    { "gen3", "u", 0x070 }, { "gen3", "u", 0x200 }, { "gen3", "u", 0x304 },
    { "gen3", "u", 0x700 }, { "gen3", "u", 0x840 },
    { "gen4", "r", 0x00000 }, { "gen4", "r", 0x00500 },
    { "gen4", "r", 0x03300 }, { "gen4", "r", 0x10040 },
    { "gen4", "r", 0x18200 }, { "gen4", "r", 0x1fa00 },
    { "gen4", "u", 0x00300 }, { "gen4", "u", 0x00000 },
    { "gen4", "u", 0x10010 },
    { "gen4", "u", 0x03500 }, { "gen4", "u", 0x03800 },
};

static unsigned check_absent(Test *t, uint64_t base, const char *path,
                             bool root)
{
    unsigned errors = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(absent_cases); i++) {
        if (case_applies(&absent_cases[i], t->p, root)) {
            qtest_writel(t->qts, base + absent_cases[i].offset, 0xffffffff);
            g_assert_cmphex(qtest_readl(t->qts, base + absent_cases[i].offset),
                            ==, 0);
            errors += 2;
            assert_count(t->qts, path, "guest-errors", errors);
        }
    }
    assert_registers(t, path, "");
    return errors;
}

static void test_guest_errors(const void *platform)
{
    const Platform *p = platform;
    uint64_t imctr, errors;
    Test t;

    test_start(&t, p);
    errors = check_absent(&t, p->root, p->root_path, true);
    g_assert_cmpuint(errors, >, 0);
    if (p->split) {
        g_assert_cmpuint(check_absent(&t, p->cache[0], p->cache_path[0],
                                      false), >, 0);
    }

    /* Only words are understood, and the fault's address is not for writing */
    imctr = p->root + ctx_offset(p, p->ctx) + IMCTR;
    qtest_writeb(t.qts, imctr, 1);
    qtest_writew(t.qts, imctr, 1);
    qtest_readw(t.qts, imctr);
    qtest_writeq(t.qts, imctr, 1);
    g_assert_cmphex(qtest_readl(t.qts, imctr), ==, 0);
    ctx_writel(&t, p->root, p->ctx, IMELAR, 0x1000);
    g_assert_cmphex(ctx_readl(&t, p->root, p->ctx, IMELAR), ==, 0);
    assert_count(t.qts, p->root_path, "guest-errors", errors + 5);

    qtest_system_reset(t.qts);
    assert_count(t.qts, p->root_path, "guest-errors", errors + 5);
    qtest_quit(t.qts);
}

static void test_fault_latch(const void *platform)
{
    const Platform *p = platform;
    Test t;

    start_copying(&t, p);
    watch_irqs(t.qts, p->root_path);
    g_assert_false(copies(&t, IOVA_SRC, 0x1000));
    assert_fault(&t, p->ctx, IMSTR_TF, 0x1000);
    g_assert_true(qtest_get_irq(t.qts, 0));
    assert_count(t.qts, p->root_path, "faults", 1);

    /* The first stays; bits that are written 1 stay */
    g_assert_false(copies(&t, 0x2000, IOVA_DST));
    assert_fault(&t, p->ctx, IMSTR_TF, 0x1000);
    assert_count(t.qts, p->root_path, "faults", 1);
    ctx_writel(&t, p->root, p->ctx, IMSTR, 0xffffffff);
    assert_fault(&t, p->ctx, IMSTR_TF, 0x1000);
    g_assert_true(qtest_get_irq(t.qts, 0));

    clear_fault(&t, p->ctx);
    assert_fault(&t, p->ctx, 0, 0);
    g_assert_false(qtest_get_irq(t.qts, 0));

    /* The interrupt is a level that INTEN gates */
    write_root_imctr(&t, p->ctx, IMCTR_MMUEN);
    g_assert_false(copies(&t, 0x2000, IOVA_DST));
    assert_fault(&t, p->ctx, IMSTR_TF, 0x2000);
    g_assert_false(qtest_get_irq(t.qts, 0));
    write_root_imctr(&t, p->ctx, IMCTR_MMUEN | IMCTR_INTEN);
    g_assert_true(qtest_get_irq(t.qts, 0));
    assert_count(t.qts, p->root_path, "faults", 2);

    qtest_system_reset(t.qts);
    g_assert_false(qtest_get_irq(t.qts, 0));
    assert_count(t.qts, p->root_path, "faults", 2);
    test_finish(&t);
}

/* Enables a micro-TLB onto a context that is off */
static void test_context_off(const void *platform)
{
    const Platform *p = platform;
    Test t;

    start_copying(&t, p);
    g_assert_cmphex(source_seen(&t, 0, 0), ==, SRC);

    write_root_imctr(&t, p->ctx, IMCTR_INTEN);
    g_assert_false(copies(&t, IOVA_SRC, IOVA_DST));
    assert_fault(&t, p->ctx, IMSTR_ABORT, IOVA_SRC);
    /* Not let through either */
    g_assert_false(copies(&t, SRC, DST));

    clear_fault(&t, p->ctx);
    write_root_imctr(&t, p->ctx, IMCTR_INTEN | IMCTR_MMUEN);
    g_assert_cmphex(source_seen(&t, 0, 0), ==, SRC);

    if (p->split) {
        write_cache_imctr(&t, 0, p->ctx, IMCTR_INTEN);
        g_assert_false(copies(&t, IOVA_SRC, IOVA_DST));
        assert_fault(&t, p->ctx, IMSTR_ABORT, IOVA_SRC);
        clear_fault(&t, p->ctx);
    }
    assert_count(t.qts, p->root_path, "guest-errors", 0);

    /* The first context that the generation does not have */
    attach(&t, 0, 0, p->contexts);
    g_assert_false(copies(&t, SRC, DST));
    for (unsigned ctx = 0; ctx < p->contexts; ctx++) {
        assert_fault(&t, ctx, 0, 0);
    }
    assert_count(t.qts, p->cache_path[0], "guest-errors", 1);
    qtest_quit(t.qts);
}

/* Loses the registers at reset, and the translations in both places */
static void test_reset(const void *platform)
{
    const Platform *p = platform;
    uint64_t ttbr;
    Test t;

    ttbr = start_copying(&t, p);
    g_assert_cmphex(source_seen(&t, 0, 0), ==, SRC);
    map(&t, ttbr, IOVA_SRC, SRC_NEW, 3, D_RW);

    qtest_system_reset(t.qts);
    assert_registers(&t, p->root_path, "");
    assert_registers(&t, p->cache_path[0], "");
    fill(t.qts, SRC, 0x1000, 1);
    g_assert_true(copies(&t, SRC, DST));
    g_assert_true(same(t.qts, SRC, DST, 0x1000));

    /* Set up again, with no FLUSH anywhere */
    ctx_writel(&t, p->root, p->ctx, IMTTLBR0, ttbr);
    ctx_writel(&t, p->root, p->ctx, IMTTBCR, IMTTBCR_EAE | p->sl0_level1);
    write_root_imctr(&t, p->ctx, IMCTR_MMUEN);
    write_cache_imctr(&t, 0, p->ctx, IMCTR_MMUEN);
    set_utlb(&t, 0, 0, p->ctx << 4 | IMUCTR_MMUEN);
    g_assert_cmphex(source_seen(&t, 0, 0), ==, SRC_NEW);
    test_finish(&t);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_platform_tests("registers", test_registers);
    add_platform_tests("guest-errors", test_guest_errors);
    add_platform_tests("fault-latch", test_fault_latch);
    add_platform_tests("context-off", test_context_off);
    add_platform_tests("reset", test_reset);
    return g_test_run();
}
