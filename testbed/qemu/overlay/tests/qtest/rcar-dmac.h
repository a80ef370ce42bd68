/*
 * Shared by the qtests of the R-Car SYS-DMAC
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The micro-TLBs in front of the channels are left disabled: addresses are
 * those of memory.
 */

#ifndef TESTS_QTEST_RCAR_DMAC_H
#define TESTS_QTEST_RCAR_DMAC_H

#include "rcar-dma.h"

#define DMAC        0x20300000ULL
#define DMAC_PATH   "/machine/gen3-dmac0"
#define IRQ_ERROR   0
#define IRQ_CHAN(n) (1 + (n))

#define SRC         (LOW_RAM + 0x200000)
#define DST         (LOW_RAM + 0x1400000)
#define DESCRIPTORS (LOW_RAM + 0x100000)
#define NOWHERE     0x4000000000ULL

static inline QTestState *start(void)
{
    QTestState *qts = qtest_init("-M ipmmu-bench");

    qtest_writew(qts, DMAC + DMAOR, DMAOR_DME);
    return qts;
}

/* Expects no "guest" error from all that the tests did */
static inline void finish(QTestState *qts)
{
    assert_count(qts, DMAC_PATH, "guest-errors", 0);
    qtest_quit(qts);
}

static inline void assert_idle_after(QTestState *qts, unsigned chan,
                                     unsigned reads)
{
    while (reads--) {
        g_assert_cmphex(chan_readl(qts, DMAC, chan, DMACHCR) &
                        (CHCR_TE | CHCR_CAE), ==, 0);
    }
}

#endif
