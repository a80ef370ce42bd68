/*
 * QTest of the Renesas IPMMU: translations that are kept, until a flush
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "renesas-ipmmu.h"

/* Tries flushes: only those of root and cache together end a translation */
static void test_stale(const void *platform)
{
    const Platform *p = platform;
    const uint32_t imctr = IMCTR_MMUEN | IMCTR_FLUSH | IMCTR_INTEN;
    uint64_t ttbr;
    Test t;

    ttbr = start_copying(&t, p);
    g_assert_cmphex(source_seen(&t, 0, 0), ==, SRC);
    map(&t, ttbr, IOVA_SRC, SRC_NEW, 3, D_RW);
    g_assert_cmphex(source_seen(&t, 0, 0), ==, SRC);

    /* The micro-TLB alone, in either way, and the root alone */
    attach(&t, 0, 0, p->ctx);
    g_assert_cmphex(source_seen(&t, 0, 0), ==, SRC);
    if (p->split) {
        write_cache_imctr(&t, 0, p->ctx, imctr);
        g_assert_cmphex(source_seen(&t, 0, 0), ==, SRC);
        write_root_imctr(&t, p->ctx, imctr);
        g_assert_cmphex(source_seen(&t, 0, 0), ==, SRC);
        /* The flush of another context, and that of another cache */
        write_cache_imctr(&t, 0, p->ctx + 1, imctr);
        write_cache_imctr(&t, 1, p->ctx, imctr);
        g_assert_cmphex(source_seen(&t, 0, 0), ==, SRC);
        /* With the root's gone, the micro-TLB's own flush is the last one */
        attach(&t, 0, 1, p->ctx);
        g_assert_cmphex(source_seen(&t, 0, 0), ==, SRC);
        attach(&t, 0, 0, p->ctx);
        g_assert_cmphex(source_seen(&t, 0, 0), ==, SRC_NEW);
    } else {
        write_root_imctr(&t, p->ctx, imctr);
        g_assert_cmphex(source_seen(&t, 0, 0), ==, SRC_NEW);
    }

    /* As it should be done; FLUSH reads back as 0 at once */
    map(&t, ttbr, IOVA_SRC, SRC, 3, D_RW);
    flush_context(&t, p->ctx);
    g_assert_cmphex(ctx_readl(&t, p->root, p->ctx, IMCTR), ==, 5);
    g_assert_cmphex(ctx_readl(&t, p->cache[0], p->ctx, IMCTR), ==, 5);
    g_assert_cmphex(source_seen(&t, 0, 0), ==, SRC);

    /* An unmapped page, and permissions that were given, stay as well */
    map(&t, ttbr, IOVA_DST, DST, 3, D_RW | D_RDONLY);
    map(&t, ttbr, IOVA_SRC, 0, 3, 0);
    g_assert_cmphex(source_seen(&t, 0, 0), ==, SRC);
    flush_context(&t, p->ctx);
    g_assert_false(copies(&t, IOVA_SRC, IOVA_DST));

    /* A fault is not remembered: no flush to map what was not */
    map(&t, ttbr, IOVA_DST, DST, 3, D_RW);
    map(&t, ttbr, IOVA_SRC, SRC_NEW, 3, D_RW);
    g_assert_cmphex(source_seen(&t, 0, 0), ==, SRC_NEW);
    test_finish(&t);
}

/* Caches a block as a whole; MMUEN off and on again flushes nothing */
static void test_stale_block(const void *platform)
{
    uint64_t ttbr;
    Test t;

    ttbr = test_start_mapped(&t, platform);
    fill(t.qts, SRC, 0x4000, 3);
    map(&t, ttbr, 0x80000000, SRC, 2, D_RW);
    map(&t, ttbr, 0xa0000000, DST, 2, D_RW);
    g_assert_true(copies(&t, 0x80000000, 0xa0000000));

    map(&t, ttbr, 0x80000000, HIGH_RAM, 2, D_RW);
    set_utlb(&t, 0, 0, 0);
    set_utlb(&t, 0, 0, t.p->ctx << 4 | IMUCTR_MMUEN);
    write_root_imctr(&t, t.p->ctx, 0);
    write_root_imctr(&t, t.p->ctx, IMCTR_MMUEN);
    g_assert_true(copies(&t, 0x80001000, 0xa0001000));

    /* Other pages of it are still known to the root, and to the micro-TLB */
    attach(&t, 0, 0, t.p->ctx);
    g_assert_true(copies(&t, 0x80002000, 0xa0002000));
    if (t.p->split) {
        write_root_imctr(&t, t.p->ctx, IMCTR_MMUEN | IMCTR_FLUSH);
    }
    g_assert_true(copies(&t, 0x80003000, 0xa0003000));
    g_assert_true(same(t.qts, SRC, DST, 0x4000));
    test_finish(&t);
}

/* Keeps contexts and micro-TLBs of several caches apart */
static void test_isolation(const void *platform)
{
    const Platform *p = platform;
    unsigned other = p->contexts - 1;
    uint64_t ttbr[2];
    Test t;

    ttbr[0] = start_copying(&t, p);
    attach(&t, 1, 15, p->ctx);
    g_assert_cmphex(source_seen(&t, 0, 0), ==, SRC);
    g_assert_cmphex(source_seen(&t, 1, 15), ==, SRC);
    if (!p->split) {
        test_finish(&t);
        return;
    }

    ttbr[1] = new_table(&t);
    map(&t, ttbr[1], IOVA_SRC, SRC_NEW, 3, D_RW);
    map(&t, ttbr[1], IOVA_DST, DST, 3, D_RW);
    set_context(&t, other, ttbr[1]);
    set_utlb(&t, 1, 15, other << 4 | IMUCTR_MMUEN);
    g_assert_cmphex(source_seen(&t, 1, 15), ==, SRC_NEW);
    g_assert_cmphex(source_seen(&t, 0, 0), ==, SRC);

    /* Back without a flush: the old context's translations, not the new */
    set_utlb(&t, 1, 15, p->ctx << 4 | IMUCTR_MMUEN);
    g_assert_cmphex(source_seen(&t, 1, 15), ==, SRC);

    set_utlb(&t, 1, 15, other << 4 | IMUCTR_MMUEN);
    g_assert_false(dma_copies(t.qts, p->dmac[1], 15, 0x5000, IOVA_DST, 4));
    assert_fault(&t, other, IMSTR_TF, 0x5000);
    assert_fault(&t, p->ctx, 0, 0);
    test_finish(&t);
}

/* Checks for each channel of each DMAC that it is behind its micro-TLB */
static void test_wiring(const void *platform)
{
    const Platform *p = platform;
    Test t;

    start_copying(&t, p);
    set_utlb(&t, 0, 0, 0);
    for (unsigned which = 0; which < 2; which++) {
        for (unsigned chan = 0; chan < 16; chan++) {
            g_assert_true(dma_copies(t.qts, p->dmac[which], chan, SRC, DST, 4));
            attach(&t, which, chan, p->ctx);
            g_assert_false(dma_copies(t.qts, p->dmac[which], chan, SRC, DST,
                                      4));
            assert_fault(&t, p->ctx, IMSTR_TF, SRC);
            clear_fault(&t, p->ctx);
            set_utlb(&t, which, chan, 0);
        }
    }
    test_finish(&t);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_platform_tests("tlb/stale", test_stale);
    add_platform_tests("tlb/stale-block", test_stale_block);
    add_platform_tests("tlb/isolation", test_isolation);
    add_platform_tests("tlb/wiring", test_wiring);
    return g_test_run();
}
