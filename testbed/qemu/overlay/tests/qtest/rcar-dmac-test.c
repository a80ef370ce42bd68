/*
 * QTest of the R-Car SYS-DMAC
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "rcar-dmac.h"

static void test_registers(void)
{
    static const struct {
        unsigned reg;
        uint32_t kept;
    } regs[] = {
        { DMASAR, 0xffffffff }, { DMADAR, 0xffffffff }, { DMATCR, 0x00ffffff },
        { DMAFIXSAR, 0xff }, { DMAFIXDAR, 0xff }, { DMAFIXDPBASE, 0xff },
        { DMADPBASE, 0xfffffff1 }, { DMADPCR, 0xff000000 },
        { DMACHCRB, 0xff0001ff },
    };
    QTestState *qts = qtest_init("-M ipmmu-bench");

    g_assert_cmphex(qtest_readw(qts, DMAC + DMAOR), ==, 0);
    qtest_writew(qts, DMAC + DMAOR, 0xffff);
    g_assert_cmphex(qtest_readw(qts, DMAC + DMAOR), ==, 0x301);

    for (unsigned chan = 0; chan < 16; chan += 15) {
        for (unsigned i = 0; i < ARRAY_SIZE(regs); i++) {
            g_assert_cmphex(chan_readl(qts, DMAC, chan, regs[i].reg), ==, 0);
            chan_writel(qts, DMAC, chan, regs[i].reg, 0xffffffff);
            g_assert_cmphex(chan_readl(qts, DMAC, chan, regs[i].reg), ==,
                            regs[i].kept);
        }
        qtest_writew(qts, DMAC + DMACHAN(chan) + DMARS, 0x1234);
        g_assert_cmphex(qtest_readw(qts, DMAC + DMACHAN(chan) + DMARS), ==,
                        0x1234);
        /* Flags cannot be set by the guest */
        chan_writel(qts, DMAC, chan, DMACHCR, 0xfffffffe);
        g_assert_cmphex(chan_readl(qts, DMAC, chan, DMACHCR), ==, 0x7e74ff1c);
    }

    /* DMACHCLR clears the channels that it names, and only those */
    qtest_writel(qts, DMAC + DMACHCLR, BIT(15));
    g_assert_cmphex(chan_readl(qts, DMAC, 15, DMASAR), ==, 0);
    g_assert_cmphex(chan_readl(qts, DMAC, 15, DMACHCR), ==, 0);
    g_assert_cmphex(chan_readl(qts, DMAC, 0, DMASAR), ==, 0xffffffff);

    qtest_system_reset(qts);
    g_assert_cmphex(qtest_readw(qts, DMAC + DMAOR), ==, 0);
    g_assert_cmphex(chan_readl(qts, DMAC, 0, DMASAR), ==, 0);
    finish(qts);
}

static void test_guest_errors(void)
{
    QTestState *qts = start();

    g_assert_cmphex(qtest_readl(qts, DMAC + 0x30), ==, 0);
    qtest_writel(qts, DMAC + DMACHAN(15) + 0x7c, 1);
    qtest_writel(qts, DMAC + DMACHAN(16), 1);
    assert_count(qts, DMAC_PATH, "guest-errors", 3);

    qtest_readl(qts, DMAC + DMAOR);
    qtest_readl(qts, DMAC + DMACHAN(0) + DMARS);
    qtest_readw(qts, DMAC + DMACHAN(0) + DMASAR);
    qtest_writeb(qts, DMAC + DMACHAN(0) + DMACHCR, 1);
    assert_count(qts, DMAC_PATH, "guest-errors", 7);
    g_assert_cmphex(chan_readl(qts, DMAC, 0, DMACHCR), ==, 0);

    qtest_system_reset(qts);
    assert_count(qts, DMAC_PATH, "guest-errors", 7);
    qtest_quit(qts);
}

static void test_units(void)
{
    static const struct {
        uint32_t ts;
        unsigned size;
    } units[] = {
        { 0, 1 }, { 1 << 3, 2 }, { 2 << 3, 4 }, { 3 << 3, 16 },
        { 1 << 20, 32 }, { 1 << 20 | 1 << 3, 64 }, { 1 << 20 | 3 << 3, 8 },
    };
    QTestState *qts = start();

    for (unsigned i = 0; i < ARRAY_SIZE(units); i++) {
        unsigned size = units[i].size;
        uint64_t src = SRC + 3 * size;
        uint64_t dst = DST + 5 * size;
        size_t len = 200 * size;

        fill(qts, src - 64, len + 128, i);
        qtest_memset(qts, dst - 64, 0xa5, len + 128);
        dma_setup(qts, DMAC, i, src, dst, 200);
        chan_writel(qts, DMAC, i, DMACHCR, CHCR_RS_AUTO | CHCR_SM_INC |
                    CHCR_DM_INC | units[i].ts | CHCR_DE);
        g_assert_cmphex(dma_wait(qts, DMAC, i) & (CHCR_TE | CHCR_CAE), ==,
                        CHCR_TE);

        g_assert_true(same(qts, src, dst, len));
        g_assert_cmphex(qtest_readb(qts, dst - 1), ==, 0xa5);
        g_assert_cmphex(qtest_readb(qts, dst + len), ==, 0xa5);
        g_assert_cmphex(chan_readl(qts, DMAC, i, DMASAR), ==, src + len);
        g_assert_cmphex(chan_readl(qts, DMAC, i, DMADAR), ==, dst + len);
        g_assert_cmphex(chan_readl(qts, DMAC, i, DMATCR), ==, 0);
        g_assert_cmphex(chan_readl(qts, DMAC, i, DMATCRB), ==, 0);
    }
    finish(qts);
}

/* Fixed, decrementing and overlapping addresses; no carry out of 32 bits */
static void test_addressing(void)
{
    QTestState *qts = start();
    uint32_t i;

    fill(qts, SRC, 0x100, 1);
    dma_setup(qts, DMAC, 0, SRC, DST, 16);
    chan_writel(qts, DMAC, 0, DMACHCR,
                CHCR_RS_AUTO | CHCR_DM_INC | CHCR_TS_4 | CHCR_DE);
    dma_wait(qts, DMAC, 0);
    for (i = 0; i < 16; i++) {
        g_assert_cmphex(qtest_readl(qts, DST + 4 * i), ==,
                        qtest_readl(qts, SRC));
    }

    dma_setup(qts, DMAC, 0, SRC + 60, DST + 0x1000, 16);
    chan_writel(qts, DMAC, 0, DMACHCR, CHCR_RS_AUTO | CHCR_DM_INC |
                CHCR_SM_DEC | CHCR_TS_4 | CHCR_DE);
    dma_wait(qts, DMAC, 0);
    for (i = 0; i < 16; i++) {
        g_assert_cmphex(qtest_readl(qts, DST + 0x1000 + 4 * i), ==,
                        qtest_readl(qts, SRC + 60 - 4 * i));
    }

    /* Unit after unit: the first word is carried through the whole range */
    g_assert_true(dma_copies(qts, DMAC, 0, SRC, SRC + 4, 64));
    for (i = 1; i <= 16; i++) {
        g_assert_cmphex(qtest_readl(qts, SRC + 4 * i), ==,
                        qtest_readl(qts, SRC));
    }

    /* Addresses of 40 bits */
    fill(qts, HIGH_RAM, 0x3000, 2);
    g_assert_true(dma_copies(qts, DMAC, 0, HIGH_RAM, HIGH_RAM + 0x8000,
                             0x3000));
    g_assert_true(same(qts, HIGH_RAM, HIGH_RAM + 0x8000, 0x3000));

    /* An address that is no multiple of the unit */
    g_assert_cmphex(dma_copy(qts, DMAC, 0, SRC + 2, DST, 64) &
                    (CHCR_TE | CHCR_CAE), ==, CHCR_CAE);
    finish(qts);
}

/* TCR = 0 is 2^24, more than a slice: the slices must join up */
static void test_longest(void)
{
    QTestState *qts = start();

    fill(qts, SRC, 16 << 20, 3);
    dma_setup(qts, DMAC, 7, SRC, DST, 0);
    chan_writel(qts, DMAC, 7, DMACHCR,
                CHCR_RS_AUTO | CHCR_SM_INC | CHCR_DM_INC | CHCR_TS_1 | CHCR_DE);
    g_assert_cmphex(dma_wait_long(qts, DMAC, 7) & CHCR_TE, ==, CHCR_TE);
    g_assert_true(same(qts, SRC, DST, 16 << 20));
    finish(qts);
}

static void test_interrupts(void)
{
    QTestState *qts = start();

    watch_irqs(qts, DMAC_PATH);
    g_assert_cmphex(dma_copy(qts, DMAC, 3, SRC, DST, 64), ==,
                    CHCR_MEMCPY | CHCR_DE | CHCR_TE);
    g_assert_true(qtest_get_irq(qts, IRQ_CHAN(3)));
    g_assert_false(qtest_get_irq(qts, IRQ_CHAN(2)));
    g_assert_false(qtest_get_irq(qts, IRQ_ERROR));
    g_assert_cmphex(qtest_readl(qts, DMAC + DMAISTA), ==, BIT(3));

    /* Writing 1 to TE changes nothing, writing 0 clears it */
    chan_writel(qts, DMAC, 3, DMACHCR, CHCR_MEMCPY | CHCR_TE);
    g_assert_true(qtest_get_irq(qts, IRQ_CHAN(3)));
    chan_writel(qts, DMAC, 3, DMACHCR, CHCR_MEMCPY);
    g_assert_false(qtest_get_irq(qts, IRQ_CHAN(3)));
    g_assert_cmphex(qtest_readl(qts, DMAC + DMAISTA), ==, 0);

    /* Without IE: TE, but no interrupt */
    dma_setup(qts, DMAC, 3, SRC, DST, 16);
    chan_writel(qts, DMAC, 3, DMACHCR, (CHCR_MEMCPY & ~CHCR_IE) | CHCR_DE);
    g_assert_cmphex(dma_wait(qts, DMAC, 3) & CHCR_TE, ==, CHCR_TE);
    g_assert_false(qtest_get_irq(qts, IRQ_CHAN(3)));
    finish(qts);
}

/* An error stops its channel, and is cleared by DMACHCLR of that channel */
static void test_address_error(void)
{
    QTestState *qts = start();

    watch_irqs(qts, DMAC_PATH);
    fill(qts, SRC, 0x1000, 4);
    g_assert_cmphex(dma_copy(qts, DMAC, 1, SRC, NOWHERE, 64) &
                    (CHCR_TE | CHCR_CAE), ==, CHCR_CAE);
    g_assert_true(qtest_get_irq(qts, IRQ_CHAN(1)));
    g_assert_true(qtest_get_irq(qts, IRQ_ERROR));
    g_assert_cmphex(qtest_readw(qts, DMAC + DMAOR), ==, DMAOR_DME | DMAOR_AE);
    g_assert_cmphex(chan_readl(qts, DMAC, 1, DMATCR), ==, 16);
    g_assert_cmphex(chan_readl(qts, DMAC, 1, DMASAR), ==, SRC);

    /* It does not go on while CAE is set, even if it could now */
    chan_writel(qts, DMAC, 1, DMAFIXDAR, 0);
    chan_writel(qts, DMAC, 1, DMADAR, DST);
    chan_writel(qts, DMAC, 1, DMACHCR, CHCR_MEMCPY | CHCR_CAE | CHCR_DE);
    for (unsigned i = 0; i < 20; i++) {
        g_assert_cmphex(chan_readl(qts, DMAC, 1, DMACHCR) & CHCR_TE, ==, 0);
    }

    g_assert_true(dma_copies(qts, DMAC, 2, SRC, DST, 0x1000));
    g_assert_true(same(qts, SRC, DST, 0x1000));

    qtest_writel(qts, DMAC + DMACHCLR, BIT(1));
    g_assert_false(qtest_get_irq(qts, IRQ_CHAN(1)));
    g_assert_false(qtest_get_irq(qts, IRQ_ERROR));
    g_assert_cmphex(qtest_readw(qts, DMAC + DMAOR), ==, DMAOR_DME);
    g_assert_true(dma_copies(qts, DMAC, 1, SRC, DST + 0x1000, 0x1000));

    /* The source side is looked at too */
    g_assert_cmphex(dma_copy(qts, DMAC, 1, LOW_RAM - 4096, DST, 64) &
                    CHCR_CAE, ==, CHCR_CAE);
    finish(qts);
}

static void test_enables(void)
{
    QTestState *qts = start();

    fill(qts, SRC, 0x1000, 5);

    /* DMAOR.DME */
    dma_setup(qts, DMAC, 0, SRC, DST, 0x400);
    qtest_writew(qts, DMAC + DMAOR, 0);
    chan_writel(qts, DMAC, 0, DMACHCR, CHCR_MEMCPY | CHCR_DE);
    assert_idle_after(qts, 0, 20);
    qtest_writew(qts, DMAC + DMAOR, DMAOR_DME);
    g_assert_cmphex(dma_wait(qts, DMAC, 0) & CHCR_TE, ==, CHCR_TE);
    g_assert_true(same(qts, SRC, DST, 0x1000));

    /* A transfer for a peripheral waits for it */
    dma_setup(qts, DMAC, 0, SRC, DST, 0x400);
    chan_writel(qts, DMAC, 0, DMACHCR,
                (CHCR_MEMCPY & ~CHCR_RS_AUTO) | CHCR_RS_DMARS | CHCR_DE);
    assert_idle_after(qts, 0, 20);
    finish(qts);
}

/* Copies backwards, in 16 slices */
#define REVERSE     (CHCR_RS_AUTO | CHCR_SM_DEC | CHCR_DM_INC | CHCR_TS_1)
#define REVERSE_LEN (1 << 20)
#define SLICE       (64 << 10)

/* Stops such a transfer after its first slice */
static void pause_reversal(QTestState *qts, uint32_t chcr)
{
    gint64 end = deadline();
    uint32_t left;

    dma_setup(qts, DMAC, 0, SRC + REVERSE_LEN - 1, DST, REVERSE_LEN);
    /* Used in descriptor mode only: the same, and a short one after it */
    qtest_writel(qts, DESCRIPTORS, SRC + REVERSE_LEN - 1);
    qtest_writel(qts, DESCRIPTORS + 4, DST);
    qtest_writel(qts, DESCRIPTORS + 8, REVERSE_LEN);
    qtest_writel(qts, DESCRIPTORS + 16, SRC);
    qtest_writel(qts, DESCRIPTORS + 20, DST + REVERSE_LEN);
    qtest_writel(qts, DESCRIPTORS + 24, 1);
    chan_writel(qts, DMAC, 0, DMADPBASE, (uint32_t)DESCRIPTORS | 1);
    chan_writel(qts, DMAC, 0, DMACHCRB, 1 << 24 | BIT(15));

    chan_writel(qts, DMAC, 0, DMACHCR, chcr | CHCR_DE);
    while (chan_readl(qts, DMAC, 0, DMATCR) == REVERSE_LEN) {
        assert_in_time(end);
    }
    chan_writel(qts, DMAC, 0, DMACHCR, chcr);

    left = chan_readl(qts, DMAC, 0, DMATCR);
    g_assert_cmpuint(left, ==, REVERSE_LEN - SLICE);
    qtest_clock_step(qts, 10 * 1000 * 1000);
    assert_idle_after(qts, 0, 20);
    g_assert_cmpuint(chan_readl(qts, DMAC, 0, DMATCR), ==, left);
    g_assert_cmphex(chan_readl(qts, DMAC, 0, DMASAR), ==, SRC + left - 1);
}

/* Switches DE off and on again, in the middle of a long transfer */
static void test_pause(void)
{
    static const uint32_t modes[] = {
        REVERSE, REVERSE | CHCR_DPM_ONCE | CHCR_RPT | CHCR_DPB
    };
    g_autofree uint8_t *src = g_malloc(REVERSE_LEN);
    g_autofree uint8_t *dst = g_malloc(REVERSE_LEN);
    QTestState *qts = start();

    fill(qts, SRC, REVERSE_LEN, 6);
    mem_read(qts, SRC, src, REVERSE_LEN);
    for (unsigned m = 0; m < ARRAY_SIZE(modes); m++) {
        qtest_memset(qts, DST, 0, REVERSE_LEN);
        pause_reversal(qts, modes[m]);
        chan_writel(qts, DMAC, 0, DMACHCR, modes[m] | CHCR_DE);
        g_assert_cmphex(dma_wait_long(qts, DMAC, 0) & CHCR_TE, ==, CHCR_TE);

        mem_read(qts, DST, dst, REVERSE_LEN);
        for (size_t i = 0; i < REVERSE_LEN; i++) {
            g_assert_cmphex(dst[i], ==, src[REVERSE_LEN - 1 - i]);
        }
    }
    finish(qts);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/rcar-dmac/registers", test_registers);
    qtest_add_func("/rcar-dmac/guest-errors", test_guest_errors);
    qtest_add_func("/rcar-dmac/units", test_units);
    qtest_add_func("/rcar-dmac/addressing", test_addressing);
    qtest_add_func("/rcar-dmac/longest", test_longest);
    qtest_add_func("/rcar-dmac/interrupts", test_interrupts);
    qtest_add_func("/rcar-dmac/address-error", test_address_error);
    qtest_add_func("/rcar-dmac/enables", test_enables);
    qtest_add_func("/rcar-dmac/pause", test_pause);
    return g_test_run();
}
