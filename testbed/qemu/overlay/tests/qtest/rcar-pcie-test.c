/*
 * QTests for the PCI Express host bridge of R-Car
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qemu/units.h"
#include "rcar-pcie.h"

static void test_link(void)
{
    QTestState *qts = start_empty("-M rcar-h3");

    g_assert_cmphex(get(qts, PHYSR), ==, 1);
    put(qts, TCTLR, CFINIT);
    g_assert_cmphex(get(qts, TSTR), ==, 0);
    finish(qts);

    qts = start_empty("-M rcar-h3 -device " EDU_ARGS);
    g_assert_cmphex(get(qts, TSTR), ==, 0);
    put(qts, TCTLR, CFINIT);
    g_assert_cmphex(get(qts, TSTR), ==, 1);
    g_assert_cmphex(get(qts, MACSR), ==, 1 << 20 | 1 << 16);
    put(qts, MACCTLR, BIT(24));
    g_assert_cmphex(get(qts, MACCTLR), ==, 0);
    g_assert_cmphex(get(qts, MACSR), ==, 1 << 20 | 2 << 16 | BIT(7) | BIT(4));
    put(qts, MACSR, BIT(7) | BIT(4));
    g_assert_cmphex(get(qts, MACSR), ==, 1 << 20 | 2 << 16);

    qtest_system_reset(qts);
    g_assert_cmphex(get(qts, TSTR), ==, 0);
    finish(qts);
}

static void test_configuration(void)
{
    QTestState *qts = start_empty("-M rcar-h3 -device " EDU_ARGS);

    g_assert_cmphex(get(qts, CONF + ID), ==, ROOT_PORT_ID);
    g_assert_cmphex(get(qts, CONF + 0x70) & 0xff, ==, 0x10);

    /* Nothing answers before the link is up */
    g_assert_cmphex(conf_get(qts, 0, ID), ==, 0xffffffff);
    g_assert_cmphex(get(qts, ERRFR), ==, UNSUPPORTED);
    put(qts, ERRFR, UNSUPPORTED);
    g_assert_cmphex(get(qts, ERRFR), ==, 0);

    bring_up(qts);
    g_assert_cmphex(conf_get(qts, 0, ID), ==, EDU_ID);
    conf_put(qts, 0, BAR0, 0xffffffff);
    g_assert_cmphex(conf_get(qts, 0, BAR0), ==, 0xfff00000);
    g_assert_cmphex(get(qts, ERRFR), ==, 0);

    g_assert_cmphex(conf_get(qts, 1, ID), ==, 0xffffffff);
    g_assert_cmphex(get(qts, ERRFR), ==, UNSUPPORTED);
    put(qts, ERRFR, UNSUPPORTED);
    put(qts, CAR, 1 << 24);
    put(qts, CCTLR, 0);
    g_assert_cmphex(get(qts, CDR), ==, 0xffffffff);
    g_assert_cmphex(get(qts, ERRFR), ==, UNSUPPORTED);
    finish(qts);
}

static void test_outbound(void)
{
    QTestState *qts = start();

    g_assert_cmphex(qtest_readl(qts, WINDOW2), ==, 0x010000ed);

    /* The same device through another window, at another address */
    put(qts, PAMR(1), 0x000fff80);
    put(qts, PALR(1), EDU);
    put(qts, PTCTLR(1), PAR_ENABLE);
    g_assert_cmphex(qtest_readl(qts, WINDOW1), ==, 0x010000ed);
    g_assert_cmphex(qtest_readl(qts, WINDOW2 + 0x7fffffc), ==,
                    0xffffffff);
    assert_count(qts, PATH, "guest-errors", 0);

    /* The window is smaller than its place; and then it is closed */
    qtest_readl(qts, WINDOW1 + 0x100000);
    assert_count(qts, PATH, "guest-errors", 1);
    put(qts, PTCTLR(1), 0);
    g_assert_cmphex(qtest_readl(qts, WINDOW1), ==, 0xffffffff);
    assert_count(qts, PATH, "guest-errors", 2);
    qtest_system_reset(qts);
    qtest_readl(qts, WINDOW2);
    assert_count(qts, PATH, "guest-errors", 3);
    qtest_quit(qts);
}

static void test_inbound(void)
{
    QTestState *qts = start();

    fill(qts, SRC, COUNT, 1);
    qtest_memset(qts, DST, 0, COUNT);

    /* No window, no access */
    edu_copy(qts, 0, SRC, DST);
    g_assert_false(same(qts, SRC, DST, COUNT));

    open_inbound(qts, 0, 0, 0, 4 * GiB);
    edu_copy(qts, 0, SRC, DST);
    g_assert_true(same(qts, SRC, DST, COUNT));

    /* Elsewhere on the bus, and above 4 GiB in memory */
    qtest_memset(qts, DST, 0, COUNT);
    fill(qts, HIGH_RAM + 0x1000, COUNT, 2);
    open_inbound(qts, 2, 0x8000000000, HIGH_RAM, 1 * MiB);
    edu_copy(qts, 0, 0x8000001000, DST);
    g_assert_true(same(qts, HIGH_RAM + 0x1000, DST, COUNT));

    /* Outside of any window */
    fill(qts, HIGH_RAM + 0x100000, COUNT, 3);
    edu_copy(qts, 0, 0x8000100000, DST);
    g_assert_false(same(qts, HIGH_RAM + 0x100000, DST, COUNT));

    qtest_system_reset(qts);
    bring_up(qts);
    enable_edu(qts, 0);
    qtest_memset(qts, DST, 0, COUNT);
    edu_copy(qts, 0, SRC, DST);
    g_assert_false(same(qts, SRC, DST, COUNT));
    finish(qts);
}

static unsigned find_msi(QTestState *qts)
{
    unsigned at = conf_get(qts, 0, CAP_POINTER) & 0xff;

    while ((conf_get(qts, 0, at) & 0xff) != 5) {
        at = (conf_get(qts, 0, at) >> 8) & 0xff;
        g_assert_cmphex(at, !=, 0);
    }
    return at;
}

static void test_msi(void)
{
    QTestState *qts = start();
    unsigned msi = find_msi(qts);

    conf_put(qts, 0, msi + 4, MSI_ADDRESS);
    conf_put(qts, 0, msi + 8, 0);
    conf_put(qts, 0, msi + 12, 9);
    conf_put(qts, 0, msi, 1 << 16);

    /* Not taken before the host is told where messages go */
    qtest_writel(qts, EDU + EDU_RAISE, 1);
    g_assert_cmphex(get(qts, MSIFR), ==, 0);

    put(qts, MSIAUR, 0);
    put(qts, MSIALR, MSI_ADDRESS | 1);
    qtest_writel(qts, EDU + EDU_RAISE, 1);
    g_assert_cmphex(get(qts, MSIFR), ==, BIT(9));
    g_assert_false(qtest_get_irq(qts, 0));
    put(qts, MSIIER, BIT(9));
    g_assert_true(qtest_get_irq(qts, 0));
    put(qts, MSIFR, BIT(8));
    g_assert_true(qtest_get_irq(qts, 0));
    put(qts, MSIFR, BIT(9));
    g_assert_false(qtest_get_irq(qts, 0));
    assert_count(qts, PATH, "msis", 1);

    /* An open window behind it is not in the way */
    open_inbound(qts, 0, 0, 0, 4 * GiB);
    qtest_writel(qts, EDU + EDU_RAISE, 1);
    g_assert_true(qtest_get_irq(qts, 0));
    qtest_system_reset(qts);
    g_assert_false(qtest_get_irq(qts, 0));
    g_assert_cmphex(get(qts, MSIFR), ==, 0);
    finish(qts);
}

static void test_intx(void)
{
    QTestState *qts = start();

    qtest_writel(qts, EDU + EDU_RAISE, 1);
    g_assert_cmphex(get(qts, INTXR), ==, 1);
    g_assert_false(qtest_get_irq(qts, 0));
    put(qts, INTXR, INTXR_ENABLE);
    g_assert_true(qtest_get_irq(qts, 0));
    qtest_writel(qts, EDU + EDU_LOWER, 1);
    g_assert_cmphex(get(qts, INTXR), ==, INTXR_ENABLE);
    g_assert_false(qtest_get_irq(qts, 0));
    finish(qts);
}

/* Sets up context 1, with SRC and DST at their IOVAs, behind micro-TLB 0 */
static void translate(Test *t)
{
    uint64_t ttbr = new_table(t);

    set_context(t, 1, ttbr);
    qtest_writel(t->qts, IPMMU_HC + ctx_offset(t->p, 1) + IMCTR, 7);
    qtest_writel(t->qts, IPMMU_HC + utlb_offset(t->p, 0),
                 1 << 4 | IMUCTR_MMUEN);
    map(t, ttbr, IOVA_SRC, SRC, 3, D_RW);
    map(t, ttbr, IOVA_DST, DST, 3, D_RW);
}

/* Puts all functions of the card, but no message, behind one micro-TLB */
static void test_translated(void)
{
    QTestState *qts = start_empty(
        "-M rcar-h3 -device " EDU_ARGS ",addr=0.0,multifunction=on "
        "-device " EDU_ARGS ",addr=0.1,multifunction=on");
    Test t = { .p = &platforms[ARRAY_SIZE(platforms) - 1], .qts = qts,
               .next_table = TABLES };

    bring_up(qts);
    open_inbound(qts, 0, 0, 0, 4 * GiB);
    translate(&t);
    for (unsigned function = 0; function < 2; function++) {
        enable_edu(qts, function);
        fill(qts, SRC, COUNT, function);
        edu_copy(qts, function, IOVA_SRC, IOVA_DST);
        g_assert_true(same(qts, SRC, DST, COUNT));
    }
    assert_count(qts, "/machine/ipmmu_mm", "faults", 0);
    g_assert_cmpuint(qom_get_uint(qts, "/machine/ipmmu_hc", "translations"),
                     >=, 4);

    edu_transfer(qts, 1, SRC, EDU_BUFFER, EDU_FROM_BUS);
    assert_fault(&t, 1, IMSTR_TF, SRC);
    finish(qts);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (qtest_has_machine("rcar-h3")) {
        qtest_add_func("/rcar-pcie/link", test_link);
        qtest_add_func("/rcar-pcie/configuration", test_configuration);
        qtest_add_func("/rcar-pcie/outbound", test_outbound);
        qtest_add_func("/rcar-pcie/inbound", test_inbound);
        qtest_add_func("/rcar-pcie/msi", test_msi);
        qtest_add_func("/rcar-pcie/intx", test_intx);
        qtest_add_func("/rcar-pcie/translated", test_translated);
    }
    return g_test_run();
}
