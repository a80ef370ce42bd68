/*
 * QTest of the R-Car SYS-DMAC: transfers by descriptors in memory
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "rcar-dmac.h"

/* Makes four descriptors that copy pages of SRC to DST in another order */
static const unsigned shuffle[] = { 2, 0, 3, 1 };

static void write_descriptors(QTestState *qts, uint64_t at, uint64_t src,
                              uint64_t dst)
{
    for (unsigned i = 0; i < ARRAY_SIZE(shuffle); i++) {
        qtest_writel(qts, at + 16 * i, src + 0x1000 * i);
        qtest_writel(qts, at + 16 * i + 4, dst + 0x1000 * shuffle[i]);
        qtest_writel(qts, at + 16 * i + 8, 0x400 - i);
        qtest_writel(qts, at + 16 * i + 12, 0xdeadbeef);
    }
}

static void start_descriptors(QTestState *qts, unsigned chan, uint64_t at,
                              uint64_t src, uint64_t dst, uint32_t chcr)
{
    qtest_writel(qts, DMAC + DMACHCLR, BIT(chan));
    chan_writel(qts, DMAC, chan, DMAFIXSAR, src >> 32);
    chan_writel(qts, DMAC, chan, DMAFIXDAR, dst >> 32);
    chan_writel(qts, DMAC, chan, DMAFIXDPBASE, at >> 32);
    chan_writel(qts, DMAC, chan, DMADPBASE, (uint32_t)at | 1);
    chan_writel(qts, DMAC, chan, DMACHCRB,
                (ARRAY_SIZE(shuffle) - 1) << 24 | BIT(15));
    chan_writel(qts, DMAC, chan, DMADPCR, 1 << 24);
    chan_writel(qts, DMAC, chan, DMACHCR, chcr | CHCR_RS_AUTO | CHCR_SM_INC |
                CHCR_DM_INC | CHCR_TS_4 | CHCR_RPT | CHCR_DPB | CHCR_CAIE |
                CHCR_DE);
}

static void assert_shuffled(QTestState *qts, uint64_t src, uint64_t dst)
{
    for (unsigned i = 0; i < ARRAY_SIZE(shuffle); i++) {
        g_assert_true(same(qts, src + 0x1000 * i, dst + 0x1000 * shuffle[i],
                           0x1000 - 4 * i));
    }
}

static void test_descriptors(void)
{
    const uint64_t src = HIGH_RAM, dst = HIGH_RAM + 0x100000;
    const uint64_t at = HIGH_RAM + 0x200000;
    QTestState *qts = start();

    watch_irqs(qts, DMAC_PATH);
    fill(qts, src, 0x4000, 8);
    write_descriptors(qts, at, src, dst);
    start_descriptors(qts, 9, at, src, dst, CHCR_DPM_ONCE | CHCR_IE);
    g_assert_cmphex(dma_wait(qts, DMAC, 9) & (CHCR_TE | CHCR_CAE), ==,
                    CHCR_TE);
    assert_shuffled(qts, src, dst);
    g_assert_true(qtest_get_irq(qts, IRQ_CHAN(9)));
    /* Past the last descriptor is the first one; stage 1 was announced */
    g_assert_cmphex(chan_readl(qts, DMAC, 9, DMACHCRB) & 0xff0000, ==, 0);
    g_assert_cmphex(chan_readl(qts, DMAC, 9, DMACHCR) & CHCR_DSE, ==, CHCR_DSE);

    /* Descriptors at no address */
    start_descriptors(qts, 9, NOWHERE, src, dst, CHCR_DPM_ONCE | CHCR_IE);
    g_assert_cmphex(dma_wait(qts, DMAC, 9) & CHCR_CAE, ==, CHCR_CAE);
    finish(qts);
}

static void test_descriptors_cyclic(void)
{
    QTestState *qts = start();
    gint64 end = deadline();
    uint32_t chcr;

    watch_irqs(qts, DMAC_PATH);
    fill(qts, SRC, 0x4000, 9);
    write_descriptors(qts, DESCRIPTORS, SRC, DST);
    start_descriptors(qts, 4, DESCRIPTORS, SRC, DST, CHCR_DPM_INF | CHCR_DSIE);

    /* It goes round and round, and tells of the stage that DIPT names */
    for (unsigned i = 0; i < 10; i++) {
        while (!qtest_get_irq(qts, IRQ_CHAN(4))) {
            chcr = chan_readl(qts, DMAC, 4, DMACHCR);
            g_assert_cmphex(chcr & (CHCR_TE | CHCR_CAE), ==, 0);
            assert_in_time(end);
        }
        chcr = chan_readl(qts, DMAC, 4, DMACHCR);
        g_assert_cmphex(chcr & CHCR_DSE, ==, CHCR_DSE);
        chan_writel(qts, DMAC, 4, DMACHCR, chcr & ~CHCR_DSE);
    }
    assert_shuffled(qts, SRC, DST);

    /* Also without a write to its registers */
    qtest_memset(qts, DST, 0, 0x4000);
    qtest_clock_step(qts, 200 * 1000);
    while (!qtest_readb(qts, DST)) {
        assert_in_time(end);
    }
    assert_shuffled(qts, SRC, DST);

    chan_writel(qts, DMAC, 4, DMACHCR, 0);
    g_assert_false(qtest_get_irq(qts, IRQ_CHAN(4)));
    /* A transfer in register mode is not confused by what was going on */
    g_assert_true(dma_copies(qts, DMAC, 4, SRC, DST + 0x10000, 0x4000));
    g_assert_true(same(qts, SRC, DST + 0x10000, 0x4000));
    finish(qts);
}

/* Resets during a transfer that has no end; a stopped machine moves nothing */
static void test_reset_and_stop(void)
{
    QTestState *qts = start();
    gint64 end = deadline();

    fill(qts, SRC, 0x4000, 7);
    write_descriptors(qts, DESCRIPTORS, SRC, DST);
    start_descriptors(qts, 0, DESCRIPTORS, SRC, DST, CHCR_DPM_INF);
    while (!(chan_readl(qts, DMAC, 0, DMACHCR) & CHCR_DSE)) {
        assert_in_time(end);
    }
    qtest_system_reset(qts);
    assert_count(qts, DMAC_PATH, "cut-short", 1);
    g_assert_cmphex(chan_readl(qts, DMAC, 0, DMACHCR), ==, 0);
    g_assert_cmphex(chan_readl(qts, DMAC, 0, DMASAR), ==, 0);
    qtest_memset(qts, DST, 0, 0x4000);
    qtest_clock_step(qts, 10 * 1000 * 1000);
    assert_idle_after(qts, 0, 20);
    g_assert_cmphex(qtest_readl(qts, DST), ==, 0);

    qtest_qmp_assert_success(qts, "{ 'execute': 'stop' }");
    dma_setup(qts, DMAC, 0, SRC, DST, 0x400);
    chan_writel(qts, DMAC, 0, DMACHCR, CHCR_MEMCPY | CHCR_DE);
    assert_idle_after(qts, 0, 20);
    qtest_qmp_assert_success(qts, "{ 'execute': 'cont' }");
    g_assert_cmphex(dma_wait(qts, DMAC, 0) & CHCR_TE, ==, CHCR_TE);
    g_assert_true(same(qts, SRC, DST, 0x1000));

    /* Its interrupt is unanswered at the first reset, and gone at the second */
    qtest_system_reset(qts);
    assert_count(qts, DMAC_PATH, "cut-short", 2);
    qtest_system_reset(qts);
    assert_count(qts, DMAC_PATH, "cut-short", 2);
    finish(qts);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/rcar-dmac/reset-and-stop", test_reset_and_stop);
    qtest_add_func("/rcar-dmac/descriptors", test_descriptors);
    qtest_add_func("/rcar-dmac/descriptors-cyclic", test_descriptors_cyclic);
    return g_test_run();
}
