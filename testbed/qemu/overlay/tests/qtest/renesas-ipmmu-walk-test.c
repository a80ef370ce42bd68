/*
 * QTest of the Renesas IPMMU: the page table walk
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A SYS-DMAC copies. The tests look at what it moves, or at what the IPMMU says
 * of a refusal.
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "renesas-ipmmu.h"

#define IOVA 0x12345000ULL

static void test_bypass(const void *platform)
{
    Test t;

    test_start(&t, platform);
    fill(t.qts, SRC, 0x1000, 1);
    g_assert_true(copies(&t, SRC, DST));
    g_assert_true(same(t.qts, SRC, DST, 0x1000));
    assert_count(t.qts, t.p->cache_path[0], "translations", 0);

    /* Another micro-TLB that is in use is no concern of this one */
    set_context(&t, t.p->ctx, new_table(&t));
    attach(&t, 0, 1, t.p->ctx);
    attach(&t, 1, 0, t.p->ctx);
    g_assert_true(copies(&t, SRC, DST + 0x1000));
    g_assert_false(dma_copies(t.qts, t.p->dmac[0], 1, SRC, DST, 0x1000));
    g_assert_false(dma_copies(t.qts, t.p->dmac[1], 0, SRC, DST, 0x1000));
    assert_count(t.qts, t.p->cache_path[0], "translations", 0);
    test_finish(&t);
}

/* Maps pages that follow each other as IOVAs, and not in memory */
static void test_pages(const void *platform)
{
    static const uint64_t src[] = { SRC + 0x5000, SRC, HIGH_RAM + 0x3000 };
    static const uint64_t dst[] = { DST, HIGH_RAM + 0x8000, DST + 0x3000 };
    Test t;
    uint64_t ttbr = test_start_mapped(&t, platform);

    for (unsigned i = 0; i < 3; i++) {
        fill(t.qts, src[i], 0x1000, i);
        map(&t, ttbr, IOVA + 0x1000 * i, src[i], 3, D_RW | D_RDONLY);
        map(&t, ttbr, 0xffffd000 + 0x1000 * i, dst[i], 3, D_RW);
    }

    /* 0xffffd000 to 0xffffffff: the very end of the 32-bit space */
    g_assert_true(dma_copies(t.qts, t.p->dmac[0], 0, IOVA, 0xffffd000,
                             0x3000));
    for (unsigned i = 0; i < 3; i++) {
        g_assert_true(same(t.qts, src[i], dst[i], 0x1000));
    }
    assert_count(t.qts, t.p->root_path, "faults", 0);
    assert_count(t.qts, t.p->cache_path[0], "translations", 6);
    test_finish(&t);
}

static void test_blocks(const void *platform)
{
    Test t;
    uint64_t ttbr = test_start_mapped(&t, platform);

    fill(t.qts, SRC, 0x4000, 2);
    fill(t.qts, HIGH_RAM + 0x3fe000, 0x4000, 3);

    /* 2 MiB, two of them in the other order, so that the joint shows */
    map(&t, ttbr, 0x60000000, HIGH_RAM + 0x400000, 2, D_RW);
    map(&t, ttbr, 0x60200000, HIGH_RAM + 0x200000, 2, D_RW);
    map(&t, ttbr, 0x7fe00000, DST, 2, D_RW);
    g_assert_true(dma_copies(t.qts, t.p->dmac[0], 0, 0x603fe000, 0x7fffe000,
                             0x2000));
    g_assert_true(same(t.qts, HIGH_RAM + 0x3fe000, DST + 0x1fe000, 0x2000));
    g_assert_true(dma_copies(t.qts, t.p->dmac[0], 0, 0x60000000, 0x7fe00000,
                             0x2000));
    g_assert_true(same(t.qts, HIGH_RAM + 0x400000, DST, 0x2000));

    /* 1 GiB */
    map(&t, ttbr, 0xc0000000, 0x40000000, 1, D_RW);
    g_assert_true(dma_copies(t.qts, t.p->dmac[0], 0, SRC + 0x80000000,
                             DST + 0x80008000, 0x4000));
    g_assert_true(same(t.qts, SRC, DST + 0x8000, 0x4000));
    assert_count(t.qts, t.p->root_path, "faults", 0);
    test_finish(&t);
}

/* Puts tables above 4 GiB: IMTTUBR0 and the upper bits of table descriptors */
static void test_high_tables(const void *platform)
{
    Test t;
    uint64_t ttbr;

    test_start(&t, platform);
    t.next_table = HIGH_RAM + 0x100000;
    ttbr = new_table(&t);
    set_context(&t, t.p->ctx, ttbr);
    attach(&t, 0, 0, t.p->ctx);
    fill(t.qts, SRC, 0x1000, 4);
    map(&t, ttbr, IOVA, SRC, 3, D_RW);
    map(&t, ttbr, IOVA + 0x1000, DST, 3, D_RW);

    g_assert_true(copies(&t, IOVA, IOVA + 0x1000));
    g_assert_true(same(t.qts, SRC, DST, 0x1000));
    test_finish(&t);
}

/*
 * Each of these spoils one descriptor on the way to the destination of a copy
 * that works otherwise: @set and @clear bits at @level, 3 the page's own.
 */
static const struct {
    const char *what;
    unsigned level;
    uint64_t clear;
    uint64_t set;
    uint32_t status;
} spoilt[] = {
    { "invalid at level 1", 1, 3, 0, IMSTR_TF },
    { "invalid at level 2", 2, 3, 0, IMSTR_TF },
    { "invalid at level 3", 3, 3, 0, IMSTR_TF },
    { "invalid, type 2", 2, 1, 0, IMSTR_TF },
    { "block at level 3", 3, 2, 0, IMSTR_TF },
    { "no access flag", 3, D_AF, 0, IMSTR_TF },
    { "read-only", 3, 0, D_RDONLY, IMSTR_PF },
    { "privileged", 3, D_UNPRIV, 0, IMSTR_PF },
    { "read-only below level 1", 1, 0, D_APTABLE1, IMSTR_PF },
    { "read-only below level 2", 2, 0, D_APTABLE1, IMSTR_PF },
    { "privileged below level 1", 1, 0, D_APTABLE0, IMSTR_PF },
    { "secure page", 3, D_NS, 0, IMSTR_PF },
    { "secure table at level 1", 1, D_NSTABLE, 0, IMSTR_PF },
    { "secure table at level 2", 2, D_NSTABLE, 0, IMSTR_PF },
    { "output above 40 bits", 3, 0, BIT_ULL(40), IMSTR_TF },
    { "table above 40 bits", 2, 0, BIT_ULL(47), IMSTR_TF },
    { "no memory at the table", 2, D_ADDR, 0x7f00000000, IMSTR_ABORT },
    { "a device at the table", 2, D_ADDR, 0x20300000, IMSTR_ABORT },
};

static void test_spoilt(const void *platform)
{
    const uint64_t dst = 0x92345000;
    uint64_t ttbr, at, desc;
    Test t;

    ttbr = test_start_mapped(&t, platform);
    fill(t.qts, SRC, 0x1000, 5);
    map(&t, ttbr, IOVA, SRC, 3, D_RW);
    map(&t, ttbr, dst, DST, 3, D_RW);

    for (unsigned i = 0; i < ARRAY_SIZE(spoilt); i++) {
        g_test_message("%s", spoilt[i].what);
        at = descriptor_at(&t, ttbr, dst, spoilt[i].level);
        desc = qtest_readq(t.qts, at);
        qtest_writeq(t.qts, at, (desc & ~spoilt[i].clear) | spoilt[i].set);
        flush_context(&t, t.p->ctx);
        qtest_memset(t.qts, DST, 0, 0x1000);

        g_assert_false(copies(&t, IOVA, dst));
        assert_fault(&t, t.p->ctx, spoilt[i].status, dst);
        g_assert_cmphex(qtest_readl(t.qts, DST), ==, 0);
        g_assert_cmphex(chan_readl(t.qts, t.p->dmac[0], 0, DMATCR), ==, 0x400);

        qtest_writeq(t.qts, at, desc);
        flush_context(&t, t.p->ctx);
        clear_fault(&t, t.p->ctx);
        g_assert_true(copies(&t, IOVA, dst));
        g_assert_true(same(t.qts, SRC, DST, 0x1000));
    }
    assert_count(t.qts, t.p->root_path, "faults", ARRAY_SIZE(spoilt));
    test_finish(&t);
}

/* Holds a block to the same rules as a page */
static void test_spoilt_block(const void *platform)
{
    uint64_t ttbr;
    Test t;

    ttbr = test_start_mapped(&t, platform);
    map(&t, ttbr, 0x40000000, 0x40000000, 1, D_UNPRIV | D_AF);
    g_assert_false(copies(&t, SRC, DST));
    assert_fault(&t, t.p->ctx, IMSTR_PF, SRC);

    clear_fault(&t, t.p->ctx);
    map(&t, ttbr, 0x40000000, 0x40000000, 1, D_RW | D_RDONLY);
    g_assert_false(copies(&t, SRC, DST));
    assert_fault(&t, t.p->ctx, IMSTR_PF, DST);
    test_finish(&t);
}

/* Refuses what IMTTBCR and the table base say, or heeds it */
static void test_control(const void *platform)
{
    const uint32_t good = IMTTBCR_EAE |
                          ((const Platform *)platform)->sl0_level1;
    const struct {
        uint32_t imttbcr;
        bool works;
    } cases[] = {
        { good, true },
        { good & ~IMTTBCR_EAE, false },     /* short descriptors */
        { IMTTBCR_EAE, false },             /* another start level */
        { IMTTBCR_EAE | 1 << 6, false },    /* ... in the other encoding */
        { good | 1, false },                /* 31 bits: IOVA is above */
    };
    const uint64_t iova = 0x92345000;
    uint64_t ttbr;
    Test t;

    ttbr = test_start_mapped(&t, platform);
    map(&t, ttbr, iova, SRC, 3, D_RW);
    map(&t, ttbr, IOVA, DST, 3, D_RW);

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        ctx_writel(&t, t.p->root, t.p->ctx, IMTTBCR, cases[i].imttbcr);
        flush_context(&t, t.p->ctx);
        clear_fault(&t, t.p->ctx);
        g_assert_cmpint(copies(&t, iova, IOVA), ==, cases[i].works);
        assert_fault(&t, t.p->ctx, cases[i].works ? 0 : IMSTR_TF,
                     cases[i].works ? 0 : iova);
    }

    /* No input above 32 bits, and the whole address is reported */
    ctx_writel(&t, t.p->root, t.p->ctx, IMTTBCR, good);
    flush_context(&t, t.p->ctx);
    clear_fault(&t, t.p->ctx);
    g_assert_false(copies(&t, 0x1200000000 + iova, IOVA));
    assert_fault(&t, t.p->ctx, IMSTR_TF, 0x1200000000 + iova);
    test_finish(&t);
}

/* Stage 2: 40-bit input, two concatenated tables at level 1 */
static void test_stage2(const void *platform)
{
    const uint64_t read = BIT_ULL(6), write = BIT_ULL(7);
    const uint64_t src = 0xff12345000, dst = 0x0712345000;
    const uint32_t imctr = IMCTR_MMUEN | IMCTR_FLUSH | IMCTR_INTEN;
    uint64_t ttbr;
    uint32_t imttbcr;
    Test t;

    test_start(&t, platform);
    if (!t.p->split) {
        g_test_skip("this generation has one stage");
        qtest_quit(t.qts);
        return;
    }

    ttbr = new_table(&t);
    new_table(&t);
    set_context(&t, t.p->ctx, ttbr);
    attach(&t, 0, 0, t.p->ctx);
    imttbcr = 0xc0000058;       /* what Xen writes, as IMCTR is below */
    ctx_writel(&t, t.p->root, t.p->ctx, IMTTBCR, imttbcr);
    write_root_imctr(&t, t.p->ctx, 0x20000005);
    qtest_writel(t.qts, t.p->root + t.p->control_base + IMSAUXCTLR,
                 IMSAUXCTLR_S2PTE);

    fill(t.qts, SRC, 0x1000, 6);
    map(&t, ttbr, src, SRC, 3, D_AF | read);
    map(&t, ttbr, dst, DST, 3, D_AF | read | write);
    g_assert_true(copies(&t, src, dst));
    g_assert_true(same(t.qts, SRC, DST, 0x1000));

    g_assert_false(copies(&t, dst, src));
    assert_fault(&t, t.p->ctx, IMSTR_PF, src);

    /* The level as stage 1 counts it is another one here */
    clear_fault(&t, t.p->ctx);
    ctx_writel(&t, t.p->root, t.p->ctx, IMTTBCR, 0xc0000098);
    flush_context(&t, t.p->ctx);
    write_root_imctr(&t, t.p->ctx, imctr | IMCTR_VA64);
    g_assert_false(copies(&t, src, dst));
    assert_fault(&t, t.p->ctx, IMSTR_TF, src);

    /* Descriptors of stage 2, but nothing says that stage 1 is bypassed */
    clear_fault(&t, t.p->ctx);
    ctx_writel(&t, t.p->root, t.p->ctx, IMTTBCR, imttbcr & ~IMTTBCR_PMB);
    flush_context(&t, t.p->ctx);
    write_root_imctr(&t, t.p->ctx, imctr | IMCTR_VA64);
    g_assert_false(copies(&t, src, dst));
    assert_fault(&t, t.p->ctx, IMSTR_TF, src);
    test_finish(&t);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_platform_tests("walk/bypass", test_bypass);
    add_platform_tests("walk/pages", test_pages);
    add_platform_tests("walk/blocks", test_blocks);
    add_platform_tests("walk/high-tables", test_high_tables);
    add_platform_tests("walk/spoilt", test_spoilt);
    add_platform_tests("walk/spoilt-block", test_spoilt_block);
    add_platform_tests("walk/control", test_control);
    add_platform_tests("walk/stage2", test_stage2);
    return g_test_run();
}
