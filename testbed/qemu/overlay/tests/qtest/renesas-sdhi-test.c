/*
 * QTests for the Renesas SDHI, its DMAC behind an IPMMU, and the pins of the
 * SD card slot
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "renesas-sdhi.h"

/* The slot's pins */
#define GPIO3_INDT      0xe605300c
#define SLOT_EMPTY      BIT(12)
#define GPIO5           0xe6055000
#define GPIO_INOUTSEL   0x04
#define GPIO_OUTDT      0x08
#define SLOT_POWER      BIT(2)

static void board_start(Card *c, uint64_t sdhi)
{
    memset(c, 0, sizeof(*c));
    c->sdhi = sdhi;
    c->qts = qtest_init("-M rcar-h3");
}

static void test_registers(void)
{
    Card c;

    board_start(&c, SDHI0);
    g_assert_cmphex(sd_readw(&c, SD_VERSION), ==, 0xcc10);
    g_assert_cmphex(qtest_readw(c.qts, SDHI2 + SD_VERSION), ==, 0xcd10);
    g_assert_cmphex(sd_readw(&c, SD_INFO1_MASK), ==, 0x031d);
    g_assert_cmphex(sd_readw(&c, SD_INFO2_MASK), ==, 0x8b7f);
    g_assert_cmphex(sd_readl(&c, DM_INFO1_MASK), ==, 0xffffffff);

    sd_writew(&c, SD_OPTION, 0x00e0);
    g_assert_cmphex(sd_readw(&c, SD_OPTION), ==, 0x40e0);
    sd_writel(&c, SD_SECCNT, 0x12345678);
    g_assert_cmphex(sd_readl(&c, SD_SECCNT), ==, 0x12345678);

    sd_writew(&c, SD_INFO1_MASK, 0);
    sd_writew(&c, SOFT_RST, 0);
    sd_writew(&c, SOFT_RST, 1);
    g_assert_cmphex(sd_readw(&c, SD_INFO1_MASK), ==, 0x031d);
    g_assert_cmphex(sd_readw(&c, SD_OPTION), ==, 0x40ee);
    g_assert_cmphex(sd_readl(&c, SD_SECCNT), ==, 0x12345678);
    qtest_system_reset(c.qts);
    g_assert_cmphex(sd_readl(&c, SD_SECCNT), ==, 0);

    assert_count(c.qts, "/machine/sdhi0", "guest-errors", 0);
    sd_readw(&c, 0x008);                    /* no register */
    sd_writew(&c, SD_SIZE + 2, 1);          /* between two */
    sd_readw(&c, SD_SECCNT);                /* half of one */
    sd_readw(&c, SD_BUF0);                  /* no transfer */
    assert_count(c.qts, "/machine/sdhi0", "guest-errors", 4);
    qtest_quit(c.qts);
}

static void test_no_card(void)
{
    Card c;

    board_start(&c, SDHI2);
    sd_writew(&c, SD_CLK_CTRL, SD_CLK_ENABLE);
    g_assert_true(sd_command(&c, 0 | CMD_NONE, 0));
    g_assert_false(sd_command(&c, 1 | CMD_R3, 0x40300000));
    g_assert_cmphex(sd_info(&c) & INFO_CARD, ==, 0);
    g_assert_cmphex(qtest_readl(c.qts, GPIO3_INDT) & SLOT_EMPTY, ==,
                    SLOT_EMPTY);
    assert_count(c.qts, "/machine", "guest-errors", 0);
    qtest_quit(c.qts);
}

static void test_interrupt(void)
{
    Card c = {};

    card_start(&c, SDHI2, 2);
    watch_irqs(c.qts, "/machine/sdhi2");
    sd_writew(&c, SD_CLK_CTRL, SD_CLK_ENABLE);
    g_assert_true(sd_command(&c, 0 | CMD_NONE, 0));
    g_assert_false(qtest_get_irq(c.qts, 0));
    sd_writew(&c, SD_INFO1_MASK, (uint16_t)~INFO_RESPONSE);
    g_assert_true(qtest_get_irq(c.qts, 0));
    sd_writew(&c, SD_INFO1, (uint16_t)~INFO_RESPONSE);
    g_assert_false(qtest_get_irq(c.qts, 0));
    card_finish(&c);
}

static void test_identification(void)
{
    Card c = {};

    card_start(&c, SDHI2, 2);
    g_assert_false(sd_command(&c, 1 | CMD_R3, 0x40300000)); /* no clock */
    emmc_select(&c);
    g_assert_cmphex(sd_info(&c) & INFO_CARD, ==, INFO_CARD);

    /* CMD10 in standby: bits 127:8 of the CID, which says "QEMU!" */
    g_assert_true(sd_command(&c, 7 | CMD_R1B, 0));
    g_assert_true(sd_command(&c, 10 | CMD_R2, RCA));
    g_assert_cmphex(sd_readw(&c, SD_RSP(7)), ==, 0xaa);
    g_assert_cmphex(sd_readw(&c, SD_RSP(6)), ==, 1 << 8 | 'X');
    g_assert_cmphex(sd_readw(&c, SD_RSP(5)), ==, 'Q' << 8 | 'E');
    g_assert_cmphex(sd_readw(&c, SD_RSP(4)), ==, 'M' << 8 | 'U');
    card_finish(&c);
}

static void test_pio_read(void)
{
    Card c = {};

    emmc_start(&c);
    sd_blocks(&c, 2);
    g_assert_true(sd_command(&c, 18 | CMD_R1 | CMD_DATA | CMD_READ | CMD_MULTI,
                             5 * BLOCK));
    for (unsigned n = 5; n < 7; n++) {
        g_assert_cmphex(sd_info(&c) & (INFO_READ_READY | INFO_BUSY), ==,
                        INFO_READ_READY | INFO_BUSY);
        sd_writew(&c, SD_INFO2, (uint16_t)~(INFO_READ_READY >> 16));
        for (unsigned i = 0; i < BLOCK; i += 8) {
            uint64_t value = qtest_readq(c.qts, c.sdhi + SD_BUF0);

            for (unsigned k = 0; k < 8; k++) {
                g_assert_cmphex((uint8_t)(value >> 8 * k), ==,
                                image_byte(n, i + k));
            }
        }
    }
    g_assert_cmphex(sd_info(&c) & (INFO_END | INFO_BUSY | INFO_READ_READY), ==,
                    INFO_END);
    assert_count(c.qts, "/machine/sdhi2", "pio-blocks", 2);

    /* The controller has sent CMD12 on its own: another transfer can begin */
    g_assert_true(sd_command(&c, 13 | CMD_R1, RCA));
    g_assert_cmphex(sd_response(&c) >> 9 & 0xf, ==, 4);
    card_finish(&c);
}

static void test_pio_write(void)
{
    Card c = {};

    emmc_start(&c);
    sd_blocks(&c, 1);
    fill(c.qts, SRC, BLOCK, 9);
    g_assert_true(sd_command(&c, 24 | CMD_R1 | CMD_DATA, 3 * BLOCK));
    g_assert_cmphex(sd_info(&c) & INFO_WRITE_READY, ==, INFO_WRITE_READY);
    for (unsigned i = 0; i < BLOCK; i += 8) {
        qtest_writeq(c.qts, c.sdhi + SD_BUF0, qtest_readq(c.qts, SRC + i));
    }
    g_assert_cmphex(sd_info(&c) & (INFO_END | INFO_BUSY), ==, INFO_END);
    g_assert_true(image_is_memory(&c, SRC, 3, 1));
    card_finish(&c);
}

/* @flags: CMD_NO_CMD12 for a card that has been told the number of blocks */
static void dma_read(Card *c, uint32_t addr, unsigned first, unsigned blocks,
                     uint16_t flags)
{
    sd_blocks(c, blocks);
    sd_dma(c, DM_MODE_READ, addr);
    if (flags & CMD_NO_CMD12) {
        g_assert_true(sd_command(c, 23 | CMD_R1, blocks));
    }
    g_assert_true(sd_command(c, (blocks > 1 ? 18 | CMD_MULTI : 17) | CMD_R1 |
                             CMD_DATA | CMD_READ | flags, first * BLOCK));
    sd_writel(c, DM_CTRL, 1);
}

static void test_dma_read(void)
{
    static const unsigned sizes[] = { 1, 2, 127, 128, 129, 1000 };
    Card c = {};

    emmc_start(&c);
    for (int i = 0; i < ARRAY_SIZE(sizes); i++) {
        qtest_memset(c.qts, DST, 0, sizes[i] * BLOCK);
        dma_read(&c, DST, 7, sizes[i], i % 2 ? CMD_NO_CMD12 : 0);
        sd_wait(&c, INFO_END);
        g_assert_cmphex(sd_readl(&c, DM_INFO1), ==, DM_READ_END);
        g_assert_cmphex(sd_readl(&c, DM_INFO2), ==, 0);
        g_assert_true(memory_is_image(&c, DST, 7, sizes[i]));
        g_assert_true(sd_command(&c, 13 | CMD_R1, RCA));
        g_assert_cmphex(sd_response(&c) >> 9 & 0xf, ==, 4);
    }
    assert_count(c.qts, "/machine/sdhi2", "pio-blocks", 0);
    assert_count(c.qts, "/machine/sdhi2", "dma-transfers", ARRAY_SIZE(sizes));
    card_finish(&c);
}

static void test_dma_write(void)
{
    Card c = {};

    emmc_start(&c);
    fill(c.qts, SRC, 300 * BLOCK, 4);
    watch_irqs(c.qts, "/machine/sdhi2");
    sd_blocks(&c, 300);
    sd_dma(&c, DM_MODE_WRITE, SRC);
    g_assert_true(sd_command(&c, 25 | CMD_R1 | CMD_DATA | CMD_MULTI,
                             11 * BLOCK));
    sd_writel(&c, DM_INFO1_MASK, (uint32_t)~DM_WRITE_BIT);
    sd_writel(&c, DM_CTRL, 1);
    sd_wait(&c, INFO_END);
    g_assert_true(qtest_get_irq(c.qts, 0));
    g_assert_cmphex(sd_readl(&c, DM_INFO1), ==, DM_WRITE_BIT);
    sd_writel(&c, DM_INFO1, 0);
    g_assert_false(qtest_get_irq(c.qts, 0));
    g_assert_true(image_is_memory(&c, SRC, 11, 300));
    card_finish(&c);
}

#define IOVA 0x87654000ULL
#define CTX 3

static void start_mapped(Card *c)
{
    uint64_t table;

    emmc_start(c);
    table = new_table(&c->t);
    set_context(&c->t, CTX, table);
    set_utlb(&c->t, 1, SDHI2_UTLB - c->t.p->first_utlb[1],
             CTX << 4 | IMUCTR_FLUSH | IMUCTR_MMUEN);
    map(&c->t, table, IOVA, DST, 3, D_RW);
    map(&c->t, table, IOVA + 0x1000, DST + 0x8000, 3, D_RW);
}

static void test_translated(void)
{
    Card c = {};

    start_mapped(&c);
    dma_read(&c, IOVA, 20, 16, 0);
    sd_wait(&c, INFO_END);
    g_assert_true(memory_is_image(&c, DST, 20, 8));
    g_assert_true(memory_is_image(&c, DST + 0x8000, 28, 8));
    card_finish(&c);
}

static void test_fault(void)
{
    Card c = {};
    gint64 end = deadline();

    start_mapped(&c);
    watch_irqs(c.qts, "/machine/sdhi2");
    dma_read(&c, IOVA, 20, 17, 0);
    sd_writel(&c, DM_INFO2_MASK, (uint32_t)~DM_READ_ERROR);
    while (!sd_readl(&c, DM_INFO2)) {
        assert_in_time(end);
    }
    g_assert_true(qtest_get_irq(c.qts, 0));
    g_assert_cmphex(sd_readl(&c, DM_INFO2), ==, DM_READ_ERROR);
    g_assert_cmphex(sd_readl(&c, DM_INFO1), ==, 0);
    g_assert_cmphex(sd_info(&c) & (INFO_END | INFO_BUSY), ==, INFO_BUSY);
    assert_fault(&c.t, CTX, IMSTR_TF, IOVA + 0x2000);
    g_assert_true(memory_is_image(&c, DST, 20, 8));
    clear_fault(&c.t, CTX);

    /* The way back: reset the controller, stop the card */
    sd_writew(&c, SOFT_RST, 0);
    sd_writew(&c, SOFT_RST, 1);
    sd_writew(&c, SD_CLK_CTRL, SD_CLK_ENABLE);
    g_assert_cmphex(sd_info(&c) & INFO_BUSY, ==, 0);
    g_assert_true(sd_command(&c, 12 | CMD_R1B, 0));
    dma_read(&c, IOVA, 40, 8, 0);
    sd_wait(&c, INFO_END);
    g_assert_true(memory_is_image(&c, DST, 40, 8));
    card_finish(&c);
}

static void test_data_timeout(void)
{
    Card c = {};

    emmc_start(&c);
    sd_blocks(&c, 1);
    g_assert_true(sd_command(&c, 17 | CMD_R1 | CMD_DATA | CMD_READ,
                             IMAGE_SIZE));      /* behind the end */
    g_assert_cmphex(sd_info(&c) & (INFO_END | INFO_BUSY), ==, INFO_BUSY);
    qtest_clock_step(c.qts, 1000000000);
    g_assert_cmphex(sd_info(&c) & (INFO_END | INFO_BUSY | INFO_DATA_TIMEOUT),
                    ==, INFO_END | INFO_DATA_TIMEOUT);
    card_finish(&c);
}

static void slot_power(Card *c, bool on)
{
    qtest_writel(c->qts, GPIO5 + GPIO_OUTDT, on ? SLOT_POWER : 0);
    qtest_writel(c->qts, GPIO5 + GPIO_INOUTSEL, SLOT_POWER);
}

/* CMD8 is for a card that has just been switched on, and for no other */
static bool slot_answers(Card *c)
{
    sd_writew(c, SD_CLK_CTRL, SD_CLK_ENABLE);
    return sd_command(c, 8 | CMD_R1, 0x1aa) && sd_response(c) == 0x1aa;
}

static void test_slot(void)
{
    Card c = {};

    card_start(&c, SDHI0, 0);
    g_assert_cmphex(qtest_readl(c.qts, GPIO3_INDT) & SLOT_EMPTY, ==, 0);
    g_assert_false(slot_answers(&c));
    slot_power(&c, true);
    g_assert_true(slot_answers(&c));
    g_assert_true(sd_command(&c, 55 | CMD_R1, 0));
    g_assert_true(sd_command(&c, 41 | CMD_R3, 0x40300000));
    g_assert_false(slot_answers(&c));
    slot_power(&c, false);
    g_assert_false(slot_answers(&c));
    slot_power(&c, true);
    g_assert_true(slot_answers(&c));

    /* A reset takes the pin from the regulator */
    qtest_system_reset(c.qts);
    g_assert_false(slot_answers(&c));
    g_assert_cmphex(qtest_readl(c.qts, GPIO3_INDT) & SLOT_EMPTY, ==, 0);
    card_finish(&c);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    qtest_add_func("/renesas-sdhi/registers", test_registers);
    qtest_add_func("/renesas-sdhi/no-card", test_no_card);
    qtest_add_func("/renesas-sdhi/interrupt", test_interrupt);
    qtest_add_func("/renesas-sdhi/identification", test_identification);
    qtest_add_func("/renesas-sdhi/pio/read", test_pio_read);
    qtest_add_func("/renesas-sdhi/pio/write", test_pio_write);
    qtest_add_func("/renesas-sdhi/dma/read", test_dma_read);
    qtest_add_func("/renesas-sdhi/dma/write", test_dma_write);
    qtest_add_func("/renesas-sdhi/dma/translated", test_translated);
    qtest_add_func("/renesas-sdhi/dma/fault", test_fault);
    qtest_add_func("/renesas-sdhi/data-timeout", test_data_timeout);
    qtest_add_func("/renesas-sdhi/slot", test_slot);
    return g_test_run();
}
