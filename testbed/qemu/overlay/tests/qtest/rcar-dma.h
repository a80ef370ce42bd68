/*
 * Shared by the qtests of the Renesas IPMMU and the R-Car SYS-DMAC
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The numbers here are those of the hardware, stated again: the tests
 * must not take them from the models.
 */

#ifndef TESTS_RCAR_DMA_H
#define TESTS_RCAR_DMA_H

#include "libqtest.h"
#include "qobject/qdict.h"

/* SYS-DMAC registers */
#define DMAISTA         0x20
#define DMAOR           0x60
#define DMAOR_DME       BIT(0)
#define DMAOR_AE        BIT(2)
#define DMACHCLR        0x80
#define DMACHAN(n)      (0x8000 + 0x80 * (n))
#define DMASAR          0x00
#define DMADAR          0x04
#define DMATCR          0x08
#define DMACHCR         0x0c
#define DMAFIXSAR       0x10
#define DMAFIXDAR       0x14
#define DMATCRB         0x18
#define DMACHCRB        0x1c
#define DMARS           0x40
#define DMADPBASE       0x50
#define DMADPCR         0x54
#define DMAFIXDPBASE    0x60

#define CHCR_DE         BIT(0)
#define CHCR_TE         BIT(1)
#define CHCR_IE         BIT(2)
#define CHCR_RS_AUTO    (4 << 8)
#define CHCR_RS_DMARS   (8 << 8)
#define CHCR_SM_INC     (1 << 12)
#define CHCR_SM_DEC     (2 << 12)
#define CHCR_DM_INC     (1 << 14)
#define CHCR_DM_DEC     (2 << 14)
#define CHCR_DSIE       BIT(18)
#define CHCR_DSE        BIT(19)
#define CHCR_DPB        BIT(22)
#define CHCR_RPT        (7 << 25)
#define CHCR_DPM_ONCE   (1 << 28)
#define CHCR_DPM_INF    (3 << 28)
#define CHCR_CAIE       BIT(30)
#define CHCR_CAE        BIT(31)
#define CHCR_TS_1       0
#define CHCR_TS_4       (2 << 3)

#define CHCR_MEMCPY     (CHCR_RS_AUTO | CHCR_SM_INC | CHCR_DM_INC | \
                         CHCR_TS_4 | CHCR_IE | CHCR_CAIE)

/* Memory that both machines have */
#define LOW_RAM         0x48000000ULL
#define HIGH_RAM        0x500000000ULL

static inline uint64_t qom_get_uint(QTestState *qts, const char *path,
                                    const char *property)
{
    QDict *rsp = qtest_qmp(qts, "{ 'execute': 'qom-get', 'arguments': "
                           "{ 'path': %s, 'property': %s } }", path, property);
    uint64_t value = qdict_get_int(rsp, "return");

    qobject_unref(rsp);
    return value;
}

static inline char *qom_get_str(QTestState *qts, const char *path,
                                const char *property)
{
    QDict *rsp = qtest_qmp(qts, "{ 'execute': 'qom-get', 'arguments': "
                           "{ 'path': %s, 'property': %s } }", path, property);
    char *value = g_strdup(qdict_get_str(rsp, "return"));

    qobject_unref(rsp);
    return value;
}

static inline void qom_set_str(QTestState *qts, const char *path,
                               const char *property, const char *value)
{
    qtest_qmp_assert_success(qts, "{ 'execute': 'qom-set', 'arguments': "
                             "{ 'path': %s, 'property': %s, 'value': %s } }",
                             path, property, value);
}

static inline void qom_set_bool(QTestState *qts, const char *path,
                                const char *property, bool value)
{
    qtest_qmp_assert_success(qts, "{ 'execute': 'qom-set', 'arguments': "
                             "{ 'path': %s, 'property': %s, 'value': %i } }",
                             path, property, value);
}

static inline void qom_set_uint(QTestState *qts, const char *path,
                                const char *property, uint64_t value)
{
    qtest_qmp_assert_success(qts, "{ 'execute': 'qom-set', 'arguments': "
                             "{ 'path': %s, 'property': %s, "
                             "'value': %" PRIu64 " } }",
                             path, property, value);
}

/* A counter of a device: guest errors, faults, ... */
static inline void assert_count(QTestState *qts, const char *path,
                                const char *property, uint64_t expected)
{
    g_assert_cmpuint(qom_get_uint(qts, path, property), ==, expected);
}

/* Makes qtest_get_irq() return the lines that the device drives */
static inline void watch_irqs(QTestState *qts, const char *path)
{
    qtest_irq_intercept_out_named(qts, path, "sysbus-irq");
}

/* The qtest protocol becomes slow when its lines get long */
#define PIECE (64 << 10)

static inline void mem_read(QTestState *qts, uint64_t addr, uint8_t *buf,
                            size_t len)
{
    for (size_t done = 0; done < len; done += PIECE) {
        qtest_bufread(qts, addr + done, buf + done, MIN(PIECE, len - done));
    }
}

/* Every byte depends on its place and on the seed */
static inline void fill(QTestState *qts, uint64_t addr, size_t len,
                        unsigned seed)
{
    g_autofree uint8_t *buf = g_malloc(len);

    for (size_t i = 0; i < len; i++) {
        buf[i] = i * 7 + (i >> 8) * 13 + (i >> 16) * 5 + seed * 31 + 1;
    }
    for (size_t done = 0; done < len; done += PIECE) {
        qtest_bufwrite(qts, addr + done, buf + done, MIN(PIECE, len - done));
    }
}

static inline bool same(QTestState *qts, uint64_t a, uint64_t b, size_t len)
{
    g_autofree uint8_t *bufa = g_malloc(len);
    g_autofree uint8_t *bufb = g_malloc(len);

    mem_read(qts, a, bufa, len);
    mem_read(qts, b, bufb, len);
    return !memcmp(bufa, bufb, len);
}

static inline uint32_t chan_readl(QTestState *qts, uint64_t dmac, unsigned chan,
                                  unsigned reg)
{
    return qtest_readl(qts, dmac + DMACHAN(chan) + reg);
}

static inline void chan_writel(QTestState *qts, uint64_t dmac, unsigned chan,
                               unsigned reg, uint32_t value)
{
    qtest_writel(qts, dmac + DMACHAN(chan) + reg, value);
}

/* For loops that wait: nothing takes as long as this */
static inline gint64 deadline(void)
{
    return g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;
}

static inline void assert_in_time(gint64 end)
{
    g_assert_cmpint(g_get_monotonic_time(), <, end);
}

/*
 * Waits until the channel has finished or failed; returns CHCR. Time stands
 * still, so that the transfer has to fit into a slice.
 */
static inline uint32_t dma_wait(QTestState *qts, uint64_t dmac, unsigned chan)
{
    gint64 end = deadline();
    uint32_t chcr;

    do {
        chcr = chan_readl(qts, dmac, chan, DMACHCR);
        assert_in_time(end);
    } while (!(chcr & (CHCR_TE | CHCR_CAE)));

    return chcr;
}

/* The same for a transfer of several slices */
static inline uint32_t dma_wait_long(QTestState *qts, uint64_t dmac,
                                     unsigned chan)
{
    gint64 end = deadline();
    uint32_t chcr;

    do {
        qtest_clock_step(qts, 200 * 1000);
        chcr = chan_readl(qts, dmac, chan, DMACHCR);
        assert_in_time(end);
    } while (!(chcr & (CHCR_TE | CHCR_CAE)));

    return chcr;
}

static inline void dma_setup(QTestState *qts, uint64_t dmac, unsigned chan,
                             uint64_t src, uint64_t dst, uint32_t units)
{
    qtest_writew(qts, dmac + DMAOR, DMAOR_DME);
    qtest_writel(qts, dmac + DMACHCLR, BIT(chan));
    chan_writel(qts, dmac, chan, DMAFIXSAR, src >> 32);
    chan_writel(qts, dmac, chan, DMAFIXDAR, dst >> 32);
    chan_writel(qts, dmac, chan, DMASAR, src);
    chan_writel(qts, dmac, chan, DMADAR, dst);
    chan_writel(qts, dmac, chan, DMATCR, units);
}

/* Copies, as memory to memory transfer of 4-byte units; returns CHCR */
static inline uint32_t dma_copy(QTestState *qts, uint64_t dmac, unsigned chan,
                                uint64_t src, uint64_t dst, size_t len)
{
    dma_setup(qts, dmac, chan, src, dst, len / 4);
    chan_writel(qts, dmac, chan, DMACHCR, CHCR_MEMCPY | CHCR_DE);
    return dma_wait(qts, dmac, chan);
}

static inline bool dma_copies(QTestState *qts, uint64_t dmac, unsigned chan,
                              uint64_t src, uint64_t dst, size_t len)
{
    return dma_copy(qts, dmac, chan, src, dst, len) & CHCR_TE;
}

#endif
