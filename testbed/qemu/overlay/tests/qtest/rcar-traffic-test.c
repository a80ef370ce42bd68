/*
 * QTest of the master that never stops, and of its judge
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "renesas-ipmmu.h"

#define TRAFFIC0        0xe8300000ULL
#define TRAFFIC1        0xe8310000ULL
#define PATH0           "/machine/traffic0"
#define ROOT            "/machine/ipmmu_mm"

#define CONTROL         0x00
#define RUN             BIT(0)
#define TIRELESS        BIT(1)
#define PATIENT         BIT(2)
#define INTERVAL        0x04
#define GIVE_UP         0x08
#define PATTERN         0x0c
#define ROUND           0x10
#define FORBID          0x14
#define ALLOW           0x18
#define ALLOW_ALL       0x1c
#define ROUNDS          0x20
#define REFUSED         0x2c
#define VIOLATIONS      0x30
#define MARKS           0x34
#define FIRST_IOVA      0x38
#define FIRST_PAGE      0x3c
#define FIRST_HOW       0x40
#define PORT(n)         (0x80 + 16 * (n))
#define ENTRY(n)        (0x400 + 32 * (n))
#define FLAGS           0x4
#define READ            BIT(0)
#define WRITE           BIT(1)
#define REACHED         0x8
#define ENTRY_REFUSED   0xc
#define REACHED_BY      0x10

/* Behind IPMMU-VC0 */
static const Platform vc0 = {
    .name = "traffic", .args = "-M rcar-h3,traffic=on",
    .root_path = ROOT,
    .cache_path = { "/machine/ipmmu_vc0", "/machine/ipmmu_pv0" },
    .root = 0xe67b0000,
    .cache = { 0xfe6b0000, 0xfd800000 },
    .contexts = 8, .ctx = 1, .ctx_stride = 0x40,
    .sl0_level1 = 2 << 6, .split = true,
};

static uint32_t get(Test *t, unsigned reg)
{
    return qtest_readl(t->qts, TRAFFIC0 + reg);
}

static void set(Test *t, unsigned reg, uint32_t value)
{
    qtest_writel(t->qts, TRAFFIC0 + reg, value);
}

static void set_entry(Test *t, unsigned n, uint32_t iova, uint32_t flags)
{
    set(t, ENTRY(n), iova);
    set(t, ENTRY(n) + FLAGS, flags);
}

/* Maps a page, which all three micro-TLBs reach in one round */
static uint64_t start_reaching(Test *t)
{
    static const unsigned utlbs[] = { 0, 3, 34 };
    uint64_t ttbr;

    test_start(t, &vc0);
    ttbr = new_table(t);
    map(t, ttbr, IOVA_DST, DST, 3, D_RW);
    set_context(t, t->p->ctx, ttbr);
    for (unsigned i = 0; i < ARRAY_SIZE(utlbs); i++) {
        attach(t, 0, utlbs[i], t->p->ctx);
        g_assert_cmpuint(get(t, PORT(i)), ==, utlbs[i]);
    }
    set(t, PATTERN, 0x12345678);
    set_entry(t, 5, IOVA_DST + 8, READ | WRITE);
    set(t, CONTROL, RUN);
    set(t, ROUND, 1);
    g_assert_cmpuint(get(t, ENTRY(5) + REACHED), ==, 6);
    g_assert_cmphex(get(t, ENTRY(5) + REACHED_BY), ==, 7);
    g_assert_cmphex(qtest_readl(t->qts, DST + 8), ==, 0x12345678);
    return ttbr;
}

static void finish(Test *t)
{
    assert_count(t->qts, PATH0, "guest-errors", 0);
    test_finish(t);
}

/* Forbids a page, of which not a byte changes, by whatever address */
static void test_forbidden(void)
{
    Test t;
    g_autofree char *none = NULL;
    g_autofree char *first = NULL;
    uint64_t ttbr = start_reaching(&t);

    none = qom_get_str(t.qts, PATH0, "first-violation");
    g_assert_cmpstr(none, ==, "");
    map(&t, ttbr, IOVA_SRC, DST, 3, D_RW);
    set(&t, FORBID, DST >> 12);
    set(&t, PATTERN, 0xffffffff);
    g_assert_cmpuint(get(&t, MARKS), ==, 1);
    set(&t, ROUND, 1);
    g_assert_cmpuint(get(&t, VIOLATIONS), ==, 6);
    g_assert_cmpuint(get(&t, REFUSED), ==, 0);
    g_assert_cmpuint(get(&t, PORT(1) + 0xc), ==, 2);
    set_entry(&t, 6, IOVA_SRC, WRITE);
    set(&t, ROUND, 1);
    g_assert_cmpuint(get(&t, VIOLATIONS), ==, 15);
    g_assert_cmphex(get(&t, FIRST_IOVA), ==, IOVA_DST + 8);
    g_assert_cmphex(get(&t, FIRST_PAGE), ==, DST >> 12);
    g_assert_cmphex(get(&t, FIRST_HOW), ==, 5 << 16);
    first = qom_get_str(t.qts, PATH0, "first-violation");
    g_assert_cmpstr(first, ==, "micro-TLB 0 read from 0x92345008, "
                    "physical page 0x48400000");
    g_assert_cmphex(qtest_readl(t.qts, DST), ==, 0);
    g_assert_cmphex(qtest_readl(t.qts, DST + 8), ==, 0x12345678);

    set(&t, ALLOW, DST >> 12);
    set(&t, ROUND, 1);
    assert_count(t.qts, PATH0, "violations", 15);
    g_assert_cmphex(qtest_readl(t.qts, DST + 8), ==, 0xffffffff);
    set(&t, FORBID, 1);
    set(&t, FORBID, 2);
    set(&t, ALLOW_ALL, 1);
    g_assert_cmpuint(get(&t, MARKS), ==, 0);
    finish(&t);
}

static void refused_now(Test *t)
{
    uint32_t violations = get(t, VIOLATIONS);

    set_entry(t, 5, IOVA_DST + 8, READ | WRITE);
    set(t, ROUND, 1);
    g_assert_cmpuint(get(t, ENTRY(5) + REACHED), ==, 0);
    g_assert_cmpuint(get(t, ENTRY(5) + ENTRY_REFUSED), ==, 6);
    g_assert_cmpuint(get(t, VIOLATIONS), ==, violations);
}

/*
 * What a micro-TLB still knows lets the master in until it is flushed, and what
 * the root still knows gets back into it as long as that is not flushed first.
 */
static void test_stale(void)
{
    const uint32_t flush = IMCTR_MMUEN | IMCTR_FLUSH;
    Test t;
    uint64_t ttbr = start_reaching(&t);

    qtest_writeq(t.qts, descriptor_at(&t, ttbr, IOVA_DST, 3), 0);
    set(&t, FORBID, DST >> 12);
    set(&t, ROUND, 1);
    g_assert_cmpuint(get(&t, VIOLATIONS), ==, 6);
    write_cache_imctr(&t, 0, t.p->ctx, flush);
    write_root_imctr(&t, t.p->ctx, flush);
    g_assert_cmpuint(get(&t, VIOLATIONS), >, 6);
    set(&t, ROUND, 1);
    g_assert_cmpuint(get(&t, VIOLATIONS), >, 12);
    write_root_imctr(&t, t.p->ctx, flush);
    write_cache_imctr(&t, 0, t.p->ctx, flush);
    refused_now(&t);
    finish(&t);
}

/* Expects rounds around each access to an instance of that root alone */
static void test_rounds(void)
{
    Test t;
    uint32_t rounds;

    start_reaching(&t);
    rounds = get(&t, ROUNDS);
    qtest_readl(t.qts, t.p->root + IMCTR);
    g_assert_cmpuint(get(&t, ROUNDS), ==, rounds + 2);
    qtest_writel(t.qts, t.p->cache[1] + IMSCTLR, 0);
    g_assert_cmpuint(get(&t, ROUNDS), ==, rounds + 4);
    qtest_clock_step(t.qts, 1000000);
    g_assert_cmpuint(get(&t, ROUNDS), ==, rounds + 4);
    g_assert_cmpuint(qtest_readl(t.qts, TRAFFIC1 + ROUNDS), ==, 0);

    set(&t, INTERVAL, 5000);
    for (unsigned i = 1; i <= 3; i++) {
        qtest_clock_step(t.qts, 5000);
        g_assert_cmpuint(get(&t, ROUNDS), ==, rounds + 4 + i);
    }
    set(&t, CONTROL, RUN | PATIENT);
    qtest_readl(t.qts, t.p->root + IMCTR);
    g_assert_cmpuint(get(&t, ROUNDS), ==, rounds + 7);
    set(&t, CONTROL, 0);
    qtest_clock_step(t.qts, 5000);
    set(&t, ROUND, 1);
    g_assert_cmpuint(get(&t, ROUNDS), ==, rounds + 7);
    finish(&t);
}

static void test_gives_up(void)
{
    Test t;

    start_reaching(&t);
    set_entry(&t, 0, IOVA_SRC, READ);
    set(&t, GIVE_UP, 4);
    for (unsigned i = 0; i < 5; i++) {
        set(&t, ROUND, 1);
    }
    g_assert_cmpuint(get(&t, ENTRY(0) + ENTRY_REFUSED), ==, 6);
    g_assert_cmpuint(get(&t, ENTRY(5) + REACHED), ==, 36);
    set(&t, ENTRY(0) + FLAGS, READ);
    set(&t, ROUND, 1);
    g_assert_cmpuint(get(&t, ENTRY(0) + ENTRY_REFUSED), ==, 3);
    finish(&t);
}

/* Keeps marks and counts beyond what the master itself keeps */
static void test_reset(void)
{
    Test t;
    uint32_t rounds;

    start_reaching(&t);
    set(&t, FORBID, IOVA_DST >> 12);
    rounds = get(&t, ROUNDS);
    qtest_system_reset(t.qts);
    g_assert_cmphex(get(&t, CONTROL), ==, 0);
    set(&t, ROUND, 1);
    g_assert_cmpuint(get(&t, ROUNDS), ==, rounds);
    g_assert_cmpuint(get(&t, MARKS), ==, 1);

    set(&t, CONTROL, RUN | TIRELESS);
    qtest_system_reset(t.qts);
    set(&t, ROUND, 1);
    g_assert_cmpuint(get(&t, ROUNDS), ==, rounds + 1);
    /* The micro-TLBs are off: the address is one of memory */
    g_assert_cmpuint(get(&t, VIOLATIONS), ==, 6);
    finish(&t);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/rcar-traffic/forbidden", test_forbidden);
    qtest_add_func("/rcar-traffic/stale", test_stale);
    qtest_add_func("/rcar-traffic/rounds", test_rounds);
    qtest_add_func("/rcar-traffic/gives-up", test_gives_up);
    qtest_add_func("/rcar-traffic/reset", test_reset);
    return g_test_run();
}
