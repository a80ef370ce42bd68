/*
 * QTest of peripherals that ask the R-Car SYS-DMAC for transfers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * First the inputs of the controller alone, then the serial ports of the board.
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "renesas-ipmmu.h"

/* On the bench */
#define DMAC        0x20300000ULL
#define DMAC_PATH   "/machine/gen3-dmac0"

/* On the board */
#define DMAC1       0xe7300000ULL
#define DMAC2       0xe7310000ULL
#define SCIF2       0xe6e88000ULL
#define SCIF2_TX    0x13
#define SCIF2_RX    0x12
#define SCIF1       0xe6e68000ULL
#define SCIF1_TX    0x53

#define SCSCR       0x08
#define SCSCR_TE    0x20
#define SCSCR_RE    0x10
#define SCFTDR      0x0c
#define SCFRDR      0x14
#define SCFDR       0x1c
#define SCFDR_TX(n) ((n) >> 8)
#define SCFDR_RX(n) ((n) & 0xff)

#define CHCR_TX     (CHCR_RS_DMARS | CHCR_SM_INC | CHCR_TS_1)
#define CHCR_RX     (CHCR_RS_DMARS | CHCR_DM_INC | CHCR_TS_1)

/* Far more than fits into the FIFO and the socket behind it */
#define MUCH        (64 << 10)

static void arm(QTestState *qts, uint64_t dmac, unsigned chan, uint16_t mid_rid,
                uint64_t src, uint64_t dst, uint32_t units, uint32_t chcr)
{
    dma_setup(qts, dmac, chan, src, dst, units);
    qtest_writew(qts, dmac + DMACHAN(chan) + DMARS, mid_rid);
    chan_writel(qts, dmac, chan, DMACHCR, chcr | CHCR_DE);
}

/* Bottom halves run between any two of these reads */
static void assert_waits(QTestState *qts, uint64_t dmac, unsigned chan,
                         uint32_t units)
{
    for (int i = 0; i < 20; i++) {
        g_assert_cmphex(chan_readl(qts, dmac, chan, DMACHCR) &
                        (CHCR_TE | CHCR_CAE), ==, 0);
    }
    g_assert_cmpuint(chan_readl(qts, dmac, chan, DMATCR), ==, units);
}

static void wait_until_left(QTestState *qts, uint64_t dmac, unsigned chan,
                            uint32_t units)
{
    gint64 end = deadline();

    while (chan_readl(qts, dmac, chan, DMATCR) != units) {
        assert_in_time(end);
    }
}

static void assert_done(QTestState *qts, uint64_t dmac, unsigned chan)
{
    g_assert_cmphex(dma_wait(qts, dmac, chan) & (CHCR_TE | CHCR_CAE), ==,
                    CHCR_TE);
}

static void ask(QTestState *qts, int mid_rid, bool level)
{
    qtest_set_irq_in(qts, DMAC_PATH, "request", mid_rid, level);
}

/* Memory, at the pace of an input */
static void arm_copy(QTestState *qts, unsigned chan, uint16_t mid_rid)
{
    fill(qts, SRC, 0x1000, chan);
    qtest_memset(qts, DST, 0, 0x1000);
    arm(qts, DMAC, chan, mid_rid, SRC, DST, 0x400,
        CHCR_RS_DMARS | CHCR_SM_INC | CHCR_DM_INC | CHCR_TS_4);
}

static void test_inputs(void)
{
    QTestState *qts = qtest_init("-M ipmmu-bench");

    arm_copy(qts, 3, 0x42);
    ask(qts, 0x41, true);
    assert_waits(qts, DMAC, 3, 0x400);
    ask(qts, 0x42, true);
    assert_done(qts, DMAC, 3);
    g_assert_true(same(qts, SRC, DST, 0x1000));

    /* A request that is there already; two channels; the first and the last */
    arm_copy(qts, 15, 0x42);
    assert_done(qts, DMAC, 15);
    ask(qts, 0x42, false);
    arm_copy(qts, 0, 0xff);
    arm_copy(qts, 1, 0xff);
    assert_waits(qts, DMAC, 0, 0x400);
    assert_waits(qts, DMAC, 1, 0x400);
    ask(qts, 0xff, true);
    assert_done(qts, DMAC, 0);
    assert_done(qts, DMAC, 1);
    arm_copy(qts, 0, 0);
    ask(qts, 0, true);
    assert_done(qts, DMAC, 0);

    /* What eight bits do not name asks for nothing */
    arm_copy(qts, 2, 0x142);
    ask(qts, 0x42, true);
    assert_waits(qts, DMAC, 2, 0x400);
    assert_count(qts, DMAC_PATH, "guest-errors", 0);
    qtest_quit(qts);
}

/* A reset ends armed transfers, and does not change the inputs */
static void test_reset(void)
{
    QTestState *qts = qtest_init("-M ipmmu-bench");

    arm_copy(qts, 3, 0x42);
    assert_waits(qts, DMAC, 3, 0x400);
    qtest_system_reset(qts);
    ask(qts, 0x42, true);
    g_assert_cmphex(chan_readl(qts, DMAC, 3, DMACHCR), ==, 0);
    assert_count(qts, DMAC_PATH, "cut-short", 0);
    arm_copy(qts, 3, 0x42);
    assert_done(qts, DMAC, 3);
    qtest_quit(qts);
}

static void assert_reads(int fd, QTestState *qts, uint64_t addr, size_t len)
{
    g_autofree uint8_t *sent = g_malloc(len);
    g_autofree uint8_t *got = g_malloc(len);
    size_t n = 0;

    mem_read(qts, addr, sent, len);
    while (n < len) {
        ssize_t some = read(fd, got + n, len - n);

        g_assert_cmpint(some, >, 0);
        n += some;
    }
    g_assert_cmpint(memcmp(sent, got, len), ==, 0);
}

/* At the pace of whoever reads at the other end */
static void test_transmit(void)
{
    int fd;
    QTestState *qts = qtest_init_with_serial("-M rcar-h3", &fd);
    gint64 end = deadline();

    fill(qts, SRC, MUCH, 1);
    arm(qts, DMAC1, 1, SCIF2_TX, SRC, SCIF2 + SCFTDR, MUCH, CHCR_TX);
    assert_waits(qts, DMAC1, 1, MUCH);
    qtest_writew(qts, SCIF2 + SCSCR, SCSCR_TE);

    while (SCFDR_TX(qtest_readw(qts, SCIF2 + SCFDR)) <= 8) {
        assert_in_time(end);
    }
    g_assert_cmpuint(chan_readl(qts, DMAC1, 1, DMATCR), >, 0);
    assert_waits(qts, DMAC1, 1, chan_readl(qts, DMAC1, 1, DMATCR));

    assert_reads(fd, qts, SRC, MUCH);
    assert_done(qts, DMAC1, 1);
    assert_count(qts, "/machine", "guest-errors", 0);
    close(fd);
    qtest_quit(qts);
}

/* Takes as much of what arrives as is wanted; the rest stays in the FIFO */
static void test_receive(void)
{
    int fd;
    QTestState *qts = qtest_init_with_serial("-M rcar-h3", &fd);
    gint64 end = deadline();
    uint32_t word;

    qtest_writew(qts, SCIF2 + SCSCR, SCSCR_RE);
    arm(qts, DMAC2, 1, SCIF2_RX, SCIF2 + SCFRDR, DST, 4, CHCR_RX);
    assert_waits(qts, DMAC2, 1, 4);
    g_assert_cmpint(write(fd, "abc", 3), ==, 3);
    wait_until_left(qts, DMAC2, 1, 1);
    assert_waits(qts, DMAC2, 1, 1);
    g_assert_cmpint(write(fd, "def", 3), ==, 3);
    assert_done(qts, DMAC2, 1);
    qtest_memread(qts, DST, &word, 4);
    g_assert_cmpint(memcmp(&word, "abcd", 4), ==, 0);

    while (SCFDR_RX(qtest_readw(qts, SCIF2 + SCFDR)) != 2) {
        assert_in_time(end);
    }
    arm(qts, DMAC1, 1, SCIF2_RX, SCIF2 + SCFRDR, DST, 2, CHCR_RX);
    assert_done(qts, DMAC1, 1);
    qtest_memread(qts, DST, &word, 2);
    g_assert_cmpint(memcmp(&word, "ef", 2), ==, 0);

    /* A port that lost its power asks for nothing */
    g_assert_cmpint(write(fd, "g", 1), ==, 1);
    while (SCFDR_RX(qtest_readw(qts, SCIF2 + SCFDR)) != 1) {
        assert_in_time(end);
    }
    qtest_system_reset(qts);
    arm(qts, DMAC1, 1, SCIF2_RX, SCIF2 + SCFRDR, DST, 1, CHCR_RX);
    assert_waits(qts, DMAC1, 1, 1);
    assert_count(qts, "/machine", "guest-errors", 0);
    close(fd);
    qtest_quit(qts);
}

/* The other port, which is not connected, has requests of its own */
static void test_ports(void)
{
    QTestState *qts = qtest_init("-M rcar-h3");

    qtest_writew(qts, SCIF2 + SCSCR, SCSCR_TE);
    arm(qts, DMAC1, 1, SCIF1_TX, SRC, SCIF1 + SCFTDR, MUCH, CHCR_TX);
    assert_waits(qts, DMAC1, 1, MUCH);
    qtest_writew(qts, SCIF1 + SCSCR, SCSCR_TE);
    assert_done(qts, DMAC1, 1);
    assert_count(qts, "/machine", "guest-errors", 0);
    qtest_quit(qts);
}

/* The port's registers are where a domain maps them, and nowhere else */
static void test_translated(void)
{
    const uint64_t iova = 0x77777000;
    Test t = { .p = &platforms[ARRAY_SIZE(platforms) - 1],
               .next_table = TABLES };
    uint64_t dmac = t.p->dmac[1];
    uint64_t ttbr;
    int fd;

    t.qts = qtest_init_with_serial(t.p->args, &fd);
    ttbr = new_table(&t);
    set_context(&t, t.p->ctx, ttbr);
    attach(&t, 1, 1, t.p->ctx);
    map(&t, ttbr, IOVA_SRC, SRC, 3, D_RW | D_RDONLY);
    map(&t, ttbr, IOVA_DST, DST, 3, D_RW);
    map(&t, ttbr, iova, SCIF2, 3, D_RW);
    qtest_writew(t.qts, SCIF2 + SCSCR, SCSCR_TE | SCSCR_RE);

    fill(t.qts, SRC, 0x100, 1);
    arm(t.qts, dmac, 1, SCIF2_TX, IOVA_SRC, iova + SCFTDR, 0x100, CHCR_TX);
    assert_reads(fd, t.qts, SRC, 0x100);
    assert_done(t.qts, dmac, 1);
    assert_count(t.qts, t.p->cache_path[1], "translations", 0x200);

    g_assert_cmpint(write(fd, "x", 1), ==, 1);
    arm(t.qts, dmac, 1, SCIF2_RX, iova + SCFRDR, IOVA_DST + 5, 1, CHCR_RX);
    assert_done(t.qts, dmac, 1);
    g_assert_cmphex(qtest_readb(t.qts, DST + 5), ==, 'x');
    assert_count(t.qts, t.p->cache_path[1], "translations", 0x202);

    arm(t.qts, dmac, 1, SCIF2_TX, IOVA_SRC, SCIF2 + SCFTDR, 1, CHCR_TX);
    g_assert_cmphex(dma_wait(t.qts, dmac, 1) & CHCR_CAE, ==, CHCR_CAE);
    assert_fault(&t, t.p->ctx, IMSTR_TF, SCIF2 + SCFTDR);
    assert_count(t.qts, "/machine", "guest-errors", 0);
    close(fd);
    test_finish(&t);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/rcar-request/inputs", test_inputs);
    qtest_add_func("/rcar-request/reset", test_reset);
    qtest_add_func("/rcar-request/transmit", test_transmit);
    qtest_add_func("/rcar-request/receive", test_receive);
    qtest_add_func("/rcar-request/ports", test_ports);
    qtest_add_func("/rcar-request/translated", test_translated);
    return g_test_run();
}
