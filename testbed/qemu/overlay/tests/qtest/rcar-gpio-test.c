/*
 * QTests for R-Car GPIO
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "rcar-dma.h"

#define GPIO6       0xe6055400ULL
#define PATH        "/machine/gpio6"

#define IOINTSEL    0x00
#define INOUTSEL    0x04
#define OUTDT       0x08
#define INDT        0x0c
#define INTDT       0x10
#define INTCLR      0x14
#define INTMSK      0x18
#define MSKCLR      0x1c
#define POSNEG      0x20
#define EDGLEVEL    0x24
#define BOTHEDGE    0x4c

#define PIN         7

static QTestState *start(void)
{
    QTestState *qts = qtest_init("-M rcar-h3");

    watch_irqs(qts, PATH);
    return qts;
}

static void finish(QTestState *qts)
{
    assert_count(qts, "/machine", "guest-errors", 0);
    qtest_quit(qts);
}

static void put(QTestState *qts, unsigned reg, uint32_t value)
{
    qtest_writel(qts, GPIO6 + reg, value);
}

static uint32_t get(QTestState *qts, unsigned reg)
{
    return qtest_readl(qts, GPIO6 + reg);
}

static void drive_pin(QTestState *qts, int level)
{
    qtest_set_irq_in(qts, PATH, NULL, PIN, level);
}

static void test_levels(void)
{
    QTestState *qts = start();

    drive_pin(qts, 1);
    put(qts, OUTDT, BIT(3) | BIT(4));
    put(qts, INOUTSEL, BIT(3));
    g_assert_cmphex(get(qts, INDT), ==, BIT(PIN) | BIT(3));

    /* A reset leaves what the board does, not what the SoC did */
    qtest_system_reset(qts);
    g_assert_cmphex(get(qts, INDT), ==, BIT(PIN));
    g_assert_cmphex(get(qts, OUTDT), ==, 0);
    finish(qts);
}

static void test_mask(void)
{
    QTestState *qts = start();

    put(qts, MSKCLR, 0x00f0);
    put(qts, MSKCLR, 0x0f00);
    g_assert_cmphex(get(qts, INTMSK), ==, 0x0ff0);
    put(qts, INTMSK, ~0x0010u);
    g_assert_cmphex(get(qts, INTMSK), ==, 0x0fe0);
    finish(qts);
}

static void test_level_interrupt(void)
{
    QTestState *qts = start();

    drive_pin(qts, 1);
    put(qts, POSNEG, BIT(PIN));
    put(qts, IOINTSEL, BIT(PIN));
    put(qts, MSKCLR, BIT(PIN));
    g_assert_false(qtest_get_irq(qts, 0));
    drive_pin(qts, 0);
    g_assert_true(qtest_get_irq(qts, 0));
    put(qts, INTCLR, BIT(PIN));
    g_assert_cmphex(get(qts, INTDT), ==, BIT(PIN));
    drive_pin(qts, 1);
    g_assert_cmphex(get(qts, INTDT), ==, 0);
    g_assert_false(qtest_get_irq(qts, 0));
    finish(qts);
}

/* Returns whether a change of the pin to @level raises an interrupt */
static bool edge_seen(QTestState *qts, int level)
{
    bool seen;

    drive_pin(qts, level);
    seen = qtest_get_irq(qts, 0);
    g_assert_cmphex(get(qts, INTDT), ==, seen ? BIT(PIN) : 0);
    put(qts, INTCLR, BIT(PIN));
    g_assert_false(qtest_get_irq(qts, 0));
    return seen;
}

static void test_edge_interrupt(void)
{
    QTestState *qts = start();

    put(qts, EDGLEVEL, BIT(PIN));
    put(qts, IOINTSEL, BIT(PIN));
    put(qts, MSKCLR, BIT(PIN));
    g_assert_true(edge_seen(qts, 1));
    g_assert_false(edge_seen(qts, 0));
    put(qts, POSNEG, BIT(PIN));
    g_assert_false(edge_seen(qts, 1));
    g_assert_true(edge_seen(qts, 0));
    put(qts, BOTHEDGE, BIT(PIN));
    g_assert_true(edge_seen(qts, 1));
    g_assert_true(edge_seen(qts, 0));
    finish(qts);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    qtest_add_func("/rcar-gpio/levels", test_levels);
    qtest_add_func("/rcar-gpio/mask", test_mask);
    qtest_add_func("/rcar-gpio/level-interrupt", test_level_interrupt);
    qtest_add_func("/rcar-gpio/edge-interrupt", test_edge_interrupt);
    return g_test_run();
}
