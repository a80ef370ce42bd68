/*
 * Shared by the qtests of the Renesas SDHI: registers, cards, transfers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The numbers here are those of the hardware, stated again: the tests
 * must not take them from the model.
 */

#ifndef TESTS_RENESAS_SDHI_H
#define TESTS_RENESAS_SDHI_H

#include "renesas-ipmmu.h"

#define SDHI0           0xee100000ULL   /* the slot */
#define SDHI2           0xee140000ULL   /* the eMMC */
#define SDHI2_UTLB      34

#define SD_CMD          0x000
#define CMD_NONE        (3 << 8)
#define CMD_R1          (4 << 8)
#define CMD_R1B         (5 << 8)
#define CMD_R2          (6 << 8)
#define CMD_R3          (7 << 8)
#define CMD_DATA        BIT(11)
#define CMD_READ        BIT(12)
#define CMD_MULTI       BIT(13)
#define CMD_NO_CMD12    BIT(14)
#define SD_ARG0         0x010
#define SD_ARG1         0x018
#define SD_STOP         0x020
#define SD_STOP_SEC     BIT(8)
#define SD_SECCNT       0x028
#define SD_RSP(n)       (0x030 + 8 * (n))
#define SD_INFO1        0x070
#define SD_INFO2        0x078
#define SD_INFO1_MASK   0x080
#define SD_INFO2_MASK   0x088
#define SD_CLK_CTRL     0x090
#define SD_CLK_ENABLE   BIT(8)
#define SD_SIZE         0x098
#define SD_OPTION       0x0a0
#define SD_BUF0         0x0c0
#define CC_EXT_MODE     0x360
#define CC_EXT_MODE_DMA BIT(1)
#define SOFT_RST        0x380
#define SD_VERSION      0x388
#define DM_MODE         0x820
#define DM_MODE_READ    (BIT(16) | 0x31)
#define DM_MODE_WRITE   0x31
#define DM_CTRL         0x828
#define DM_INFO1        0x840
#define DM_INFO1_MASK   0x848
#define DM_INFO2        0x850
#define DM_INFO2_MASK   0x858
#define DM_ADDR         0x880
#define DM_WRITE_BIT    BIT(16)
#define DM_READ_END     BIT(20)
#define DM_READ_ERROR   BIT(17)

/* SD_INFO1 and, from bit 16, SD_INFO2 */
#define INFO_RESPONSE   BIT(0)
#define INFO_END        BIT(2)
#define INFO_CARD       BIT(5)
#define INFO_DATA_TIMEOUT BIT(19)
#define INFO_NO_RESPONSE BIT(22)
#define INFO_READ_READY BIT(24)
#define INFO_WRITE_READY BIT(25)
#define INFO_BUSY       BIT(30)

#define BLOCK           512
#define IMAGE_SIZE      (4 << 20)
#define RCA             (2 << 16)       /* given to the eMMC */

typedef struct Card {
    Test t;                 /* of the IPMMU */
    QTestState *qts;
    uint64_t sdhi;
    char *image;
} Card;

static inline uint16_t sd_readw(Card *c, unsigned reg)
{
    return qtest_readw(c->qts, c->sdhi + reg);
}

static inline void sd_writew(Card *c, unsigned reg, uint16_t value)
{
    qtest_writew(c->qts, c->sdhi + reg, value);
}

static inline uint32_t sd_readl(Card *c, unsigned reg)
{
    return qtest_readl(c->qts, c->sdhi + reg);
}

static inline void sd_writel(Card *c, unsigned reg, uint32_t value)
{
    qtest_writel(c->qts, c->sdhi + reg, value);
}

static inline uint32_t sd_info(Card *c)
{
    return sd_readw(c, SD_INFO1) | (uint32_t)sd_readw(c, SD_INFO2) << 16;
}

/* Forgets everything latched */
static inline void sd_clear_info(Card *c)
{
    sd_writew(c, SD_INFO1, 0);
    sd_writew(c, SD_INFO2, 0);
    sd_writel(c, DM_INFO1, 0);
    sd_writel(c, DM_INFO2, 0);
}

/* Sends the command with its flags; returns whether the response was right */
static inline bool sd_command(Card *c, uint16_t cmd, uint32_t arg)
{
    uint32_t info;

    sd_clear_info(c);
    sd_writew(c, SD_ARG0, arg);
    sd_writew(c, SD_ARG1, arg >> 16);
    sd_writew(c, SD_CMD, cmd);
    info = sd_info(c) & (INFO_RESPONSE | INFO_NO_RESPONSE);
    g_assert_true(info == INFO_RESPONSE || info == INFO_NO_RESPONSE);
    return info == INFO_RESPONSE;
}

static inline uint32_t sd_response(Card *c)
{
    return sd_readw(c, SD_RSP(0)) | (uint32_t)sd_readw(c, SD_RSP(1)) << 16;
}

static inline void sd_wait(Card *c, uint32_t bits)
{
    gint64 end = deadline();

    while ((sd_info(c) & bits) != bits) {
        assert_in_time(end);
    }
}

/* Returns byte @i of block @n of a new image */
static inline uint8_t image_byte(unsigned n, unsigned i)
{
    return n * 17 + i * 3 + (i >> 8) + 1;
}

static inline void new_image(Card *c)
{
    g_autofree uint8_t *bytes = g_malloc(IMAGE_SIZE);
    int fd = g_file_open_tmp("sdhi-XXXXXX", &c->image, NULL);

    g_assert_cmpint(fd, >=, 0);
    close(fd);
    for (unsigned i = 0; i < IMAGE_SIZE; i++) {
        bytes[i] = image_byte(i / BLOCK, i % BLOCK);
    }
    g_assert_true(g_file_set_contents(c->image, (char *)bytes, IMAGE_SIZE,
                                      NULL));
}

/* Starts a board with a new card, as -drive if=sd,index=@index, behind @sdhi */
static inline void card_start(Card *c, uint64_t sdhi, int index)
{
    g_autofree char *args = NULL;

    new_image(c);
    args = g_strdup_printf("-M rcar-h3 -drive if=sd,index=%d,format=raw,"
                           "file=%s", index, c->image);
    c->sdhi = sdhi;
    c->qts = qtest_init(args);
    c->t.p = &platforms[ARRAY_SIZE(platforms) - 1];
    c->t.qts = c->qts;
    c->t.next_table = TABLES;
}

static inline void card_finish(Card *c)
{
    assert_count(c->qts, "/machine", "guest-errors", 0);
    qtest_quit(c->qts);
    unlink(c->image);
    g_free(c->image);
}

/* Takes the eMMC from power on to the transfer state */
static inline void emmc_select(Card *c)
{
    sd_writew(c, SD_CLK_CTRL, SD_CLK_ENABLE | 0x20);
    g_assert_true(sd_command(c, 0 | CMD_NONE, 0));
    g_assert_true(sd_command(c, 1 | CMD_R3, 0x40300000));
    g_assert_cmphex(sd_response(c) >> 31, ==, 1);
    g_assert_true(sd_command(c, 2 | CMD_R2, 0));
    g_assert_true(sd_command(c, 3 | CMD_R1, RCA));
    g_assert_true(sd_command(c, 7 | CMD_R1B, RCA));
}

static inline void emmc_start(Card *c)
{
    card_start(c, SDHI2, 2);
    emmc_select(c);
}

/* Prepares a transfer as a driver does; the command follows */
static inline void sd_blocks(Card *c, unsigned blocks)
{
    sd_writew(c, SD_SIZE, BLOCK);
    sd_writel(c, SD_SECCNT, blocks);
    sd_writew(c, SD_STOP, blocks > 1 ? SD_STOP_SEC : 0);
}

static inline void sd_dma(Card *c, uint32_t mode, uint32_t addr)
{
    sd_writew(c, CC_EXT_MODE, CC_EXT_MODE_DMA);
    sd_writel(c, DM_MODE, mode);
    sd_writel(c, DM_ADDR, addr);
}

static inline bool memory_is_image(Card *c, uint64_t addr, unsigned first,
                                   unsigned blocks)
{
    g_autofree uint8_t *buf = g_malloc(blocks * BLOCK);

    mem_read(c->qts, addr, buf, blocks * BLOCK);
    for (unsigned i = 0; i < blocks * BLOCK; i++) {
        if (buf[i] != image_byte(first + i / BLOCK, i % BLOCK)) {
            return false;
        }
    }
    return true;
}

/* Returns whether block @first of the image file, and so on, are at @addr */
static inline bool image_is_memory(Card *c, uint64_t addr, unsigned first,
                                   unsigned blocks)
{
    g_autofree uint8_t *buf = g_malloc(blocks * BLOCK);
    g_autofree char *bytes = NULL;
    gsize size;

    g_assert_true(g_file_get_contents(c->image, &bytes, &size, NULL));
    g_assert_cmpuint(size, ==, IMAGE_SIZE);
    mem_read(c->qts, addr, buf, blocks * BLOCK);
    return !memcmp(bytes + first * BLOCK, buf, blocks * BLOCK);
}

#endif
