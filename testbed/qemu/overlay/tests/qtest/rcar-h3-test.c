/*
 * QTests for the R-Car H3 machine: clocks, power areas, pins, serial port,
 * and the counter of guest errors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "libqtest.h"
#include "qobject/qdict.h"

#define PFC         0xe6060000
#define CPG         0xe6150000
#define RST_MODEMR  0xe6160060
#define SYSC        0xe6180000
#define SCIF2       0xe6e88000
#define PRR         0xfff00044
#define IPMMU_VP0   0xfe990000
#define GICC_IIDR   0xf10200fc
#define GICV_IIDR   0xf10600fc
#define GIC_400     0x0202143b

/* CPG */
#define SRCR2       (CPG + 0x0b0)
#define SRSTCLR2    (CPG + 0x948)
#define SMSTPCR2    (CPG + 0x138)
#define MSTPSR2     (CPG + 0x040)

/* SYSC: the group of A3VP, and its bit in the interrupt registers */
#define SYSCISR     (SYSC + 0x04)
#define SYSCISCR    (SYSC + 0x08)
#define SYSCIER     (SYSC + 0x0c)
#define A3VP_SR     (SYSC + 0x340)
#define A3VP_OFFCR  (SYSC + 0x344)
#define A3VP_ONCR   (SYSC + 0x34c)
#define A3VP        (1u << 9)

/* PFC */
#define PMMR        (PFC + 0x000)
#define GPSR5       (PFC + 0x114)

/* SCIF */
#define SCSCR       (SCIF2 + 0x08)
#define SCFTDR      (SCIF2 + 0x0c)
#define SCFSR       (SCIF2 + 0x10)
#define SCFRDR      (SCIF2 + 0x14)
#define SCFDR       (SCIF2 + 0x1c)
#define SCSCR_TE_RE 0x30
#define SCFSR_IDLE  0x60

static uint64_t guest_errors(QTestState *qts)
{
    QDict *response = qtest_qmp(qts,
        "{ 'execute': 'qom-get', 'arguments': "
        "{ 'path': '/machine', 'property': 'guest-errors' } }");
    uint64_t n = qdict_get_int(response, "return");

    qobject_unref(response);
    return n;
}

static void test_identity(void)
{
    QTestState *qts = qtest_init("-M rcar-h3");

    g_assert_cmphex(qtest_readl(qts, PRR), ==, 0x4f20);
    g_assert_cmphex(qtest_readl(qts, RST_MODEMR), ==, 0);
    g_assert_cmpuint(guest_errors(qts), ==, 0);
    qtest_quit(qts);

    qts = qtest_init("-M rcar-h3,prr=0xff00");
    g_assert_cmphex(qtest_readl(qts, PRR), ==, 0xff00);
    qtest_quit(qts);
}

static void test_ram(void)
{
    static const uint64_t ends[] = {
        0x48000000, 0x7ffffffc, 0x500000000, 0x53ffffffc,
        0x600000000, 0x63ffffffc, 0x700000000, 0x73ffffffc,
    };
    QTestState *qts = qtest_init("-M rcar-h3");

    for (int i = 0; i < ARRAY_SIZE(ends); i++) {
        qtest_writel(qts, ends[i], 0x1000 + i);
    }
    for (int i = 0; i < ARRAY_SIZE(ends); i++) {
        g_assert_cmphex(qtest_readl(qts, ends[i]), ==, 0x1000 + i);
    }
    qtest_quit(qts);
}

static void test_clocks(void)
{
    QTestState *qts = qtest_init("-M rcar-h3");

    g_assert_cmphex(qtest_readl(qts, MSTPSR2), ==, 0xffffffff);
    qtest_writel(qts, SMSTPCR2, ~(1u << 19));
    g_assert_cmphex(qtest_readl(qts, MSTPSR2), ==, ~(1u << 19));

    qtest_writel(qts, SRCR2, 0x30);
    qtest_writel(qts, SRSTCLR2, 0x10);
    g_assert_cmphex(qtest_readl(qts, SRCR2), ==, 0x20);

    qtest_system_reset(qts);
    g_assert_cmphex(qtest_readl(qts, MSTPSR2), ==, 0xffffffff);
    g_assert_cmphex(qtest_readl(qts, SRCR2), ==, 0);
    g_assert_cmpuint(guest_errors(qts), ==, 0);
    qtest_quit(qts);
}

static void power(QTestState *qts, bool on)
{
    qtest_writel(qts, SYSCIER, A3VP);
    qtest_writel(qts, SYSCISCR, A3VP);
    g_assert_cmphex(qtest_readl(qts, SYSCISR), ==, 0);
    qtest_writel(qts, on ? A3VP_ONCR : A3VP_OFFCR, 1);
    g_assert_cmphex(qtest_readl(qts, SYSCISR), ==, A3VP);
    g_assert_cmphex(qtest_readl(qts, A3VP_SR), ==, !on);
}

static void test_power_areas(void)
{
    QTestState *qts = qtest_init("-M rcar-h3,power-areas=on");

    /* Off after reset: the register is not there */
    g_assert_cmphex(qtest_readl(qts, A3VP_SR), ==, 1);
    qtest_writel(qts, IPMMU_VP0 + 0x300, 1);
    g_assert_cmpuint(guest_errors(qts), ==, 1);

    power(qts, true);
    qtest_writel(qts, IPMMU_VP0 + 0x300, 1);
    g_assert_cmphex(qtest_readl(qts, IPMMU_VP0 + 0x300), ==, 1);

    power(qts, false);
    power(qts, true);
    g_assert_cmphex(qtest_readl(qts, IPMMU_VP0 + 0x300), ==, 0);
    g_assert_cmpuint(guest_errors(qts), ==, 1);
    qtest_quit(qts);
}

static void test_pins(void)
{
    QTestState *qts = qtest_init("-M rcar-h3");

    qtest_writel(qts, PMMR, ~0x1234u);
    qtest_writel(qts, GPSR5, 0x1234);
    g_assert_cmphex(qtest_readl(qts, GPSR5), ==, 0x1234);
    g_assert_cmpuint(guest_errors(qts), ==, 0);

    /* Locked again */
    qtest_writel(qts, GPSR5, 0x5678);
    g_assert_cmphex(qtest_readl(qts, GPSR5), ==, 0x1234);
    g_assert_cmpuint(guest_errors(qts), ==, 1);
    qtest_quit(qts);
}

static void test_serial(void)
{
    int fd;
    QTestState *qts = qtest_init_with_serial("-M rcar-h3", &fd);
    char c = 'x';

    /* Nothing leaves a transmitter that is off */
    qtest_writeb(qts, SCFTDR, 'n');
    qtest_writew(qts, SCSCR, SCSCR_TE_RE);
    qtest_writeb(qts, SCFTDR, 'y');
    g_assert_cmpint(read(fd, &c, 1), ==, 1);
    g_assert_cmpint(c, ==, 'y');
    g_assert_cmphex(qtest_readw(qts, SCFSR), ==, SCFSR_IDLE);

    g_assert_cmpint(write(fd, "z", 1), ==, 1);
    while (qtest_readw(qts, SCFDR) == 0) {
        g_usleep(1000);
    }
    g_assert_cmphex(qtest_readb(qts, SCFRDR), ==, 'z');
    g_assert_cmphex(qtest_readw(qts, SCFSR), ==, SCFSR_IDLE);
    g_assert_cmpuint(guest_errors(qts), ==, 0);

    /* The registers have one access size each */
    qtest_readl(qts, SCFSR);
    g_assert_cmpuint(guest_errors(qts), ==, 1);
    qtest_system_reset(qts);
    g_assert_cmphex(qtest_readw(qts, SCSCR), ==, 0);
    close(fd);
    qtest_quit(qts);
}

/* Counts accesses outside of registers, also beyond a reset */
static void test_guest_errors(void)
{
    QTestState *qts = qtest_init("-M rcar-h3");

    qtest_readl(qts, CPG + 0xffc);
    qtest_writel(qts, SYSC + 0x3fc, 0);
    qtest_readl(qts, 0xe6100000);
    qtest_readw(qts, SMSTPCR2);
    g_assert_cmpuint(guest_errors(qts), ==, 4);
    qtest_system_reset(qts);
    g_assert_cmpuint(guest_errors(qts), ==, 4);
    qtest_quit(qts);
}

/* The CPU interface repeats in its first 64 KiB; Linux looks for that, Xen for the name too */
static void test_gic_pages(void)
{
    QTestState *qts = qtest_init("-M rcar-h3");

    g_assert_cmphex(qtest_readl(qts, GICC_IIDR), ==, GIC_400);
    g_assert_cmphex(qtest_readl(qts, GICC_IIDR + 0xf000), ==, GIC_400);
    g_assert_cmphex(qtest_readl(qts, GICV_IIDR), ==, GIC_400);
    qtest_quit(qts);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("rcar-h3/identity", test_identity);
    qtest_add_func("rcar-h3/ram", test_ram);
    qtest_add_func("rcar-h3/clocks", test_clocks);
    qtest_add_func("rcar-h3/power-areas", test_power_areas);
    qtest_add_func("rcar-h3/pins", test_pins);
    qtest_add_func("rcar-h3/serial", test_serial);
    qtest_add_func("rcar-h3/guest-errors", test_guest_errors);
    qtest_add_func("rcar-h3/gic-pages", test_gic_pages);
    return g_test_run();
}
