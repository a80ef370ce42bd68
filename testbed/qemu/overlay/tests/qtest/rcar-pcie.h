/*
 * The set-up of the qtests of the PCI Express host bridge of R-Car
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The numbers here are those of the hardware, stated again: the tests
 * must not take them from the model. QEMU's `edu` is the device in the slot:
 * it copies between memory and a buffer of its own.
 */

#ifndef TESTS_QTEST_RCAR_PCIE_H
#define TESTS_QTEST_RCAR_PCIE_H

#include "renesas-ipmmu.h"

#define PCIE            0xfe000000ULL
#define PATH            "/machine/pciec0"
#define IPMMU_HC        0xe6570000ULL
#define WINDOW1         0xfe200000ULL   /* where the CPU sees window 1 */
#define WINDOW2         0x30000000ULL

#define CAR             0x00010
#define CCTLR           0x00018
#define CCIE            BIT(31)
#define CDR             0x00020
#define INTXR           0x00400
#define INTXR_ENABLE    0xf00
#define PHYSR           0x007f0
#define TCTLR           0x02000
#define CFINIT          BIT(0)
#define TSTR            0x02004
#define ERRFR           0x02020
#define UNSUPPORTED     BIT(4)
#define MSIFR           0x02044
#define MSIALR          0x02048
#define MSIAUR          0x0204c
#define MSIIER          0x02050
#define PRAR(n)         (0x02080 + 4 * (n))
#define LAR(n)          (0x02200 + 0x20 * (n))
#define LAMR(n)         (0x02208 + 0x20 * (n))
#define LAM_64BIT       BIT(2)
#define LAM_ENABLE      BIT(1)
#define PALR(n)         (0x03400 + 0x20 * (n))
#define PAUR(n)         (0x03404 + 0x20 * (n))
#define PAMR(n)         (0x03408 + 0x20 * (n))
#define PTCTLR(n)       (0x0340c + 0x20 * (n))
#define PAR_ENABLE      BIT(31)
#define CONF            0x10000
#define MACSR           0x11054
#define MACCTLR         0x11058

/* Configuration space */
#define ID              0x00
#define COMMAND         0x04
#define ENABLE_ALL      6               /* memory, and bus master */
#define BAR0            0x10
#define BUSES           0x18            /* of a bridge */
#define MEMORY_WINDOW   0x20
#define CAP_POINTER     0x34
#define ROOT_PORT_ID    0x00251912
#define EDU_ID          0x11e81234

/* edu, with its registers at this address of the bus */
#define EDU             0x30000000ULL
#define EDU_RAISE       0x60
#define EDU_LOWER       0x64
#define EDU_SRC         0x80
#define EDU_DST         0x88
#define EDU_COUNT       0x90
#define EDU_COMMAND     0x98
#define EDU_FROM_BUS    1
#define EDU_TO_BUS      3
#define EDU_BUFFER      0x40000
#define EDU_ARGS        "edu,bus=pciec0,dma_mask=0xffffffffff"

#define MSI_ADDRESS     0xfe000000U
#define COUNT           0x800

static inline void put(QTestState *qts, unsigned reg, uint32_t value)
{
    qtest_writel(qts, PCIE + reg, value);
}

static inline uint32_t get(QTestState *qts, unsigned reg)
{
    return qtest_readl(qts, PCIE + reg);
}

static inline void address(QTestState *qts, unsigned function, unsigned reg)
{
    put(qts, CAR, 1 << 24 | function << 16 | reg);
    put(qts, CCTLR, CCIE);
}

static inline uint32_t conf_get(QTestState *qts, unsigned function,
                                unsigned reg)
{
    address(qts, function, reg);
    return get(qts, CDR);
}

static inline void conf_put(QTestState *qts, unsigned function, unsigned reg,
                            uint32_t value)
{
    address(qts, function, reg);
    put(qts, CDR, value);
}

/* Does what a host driver does until it can enumerate */
static inline void bring_up(QTestState *qts)
{
    put(qts, TCTLR, CFINIT);
    put(qts, CONF + BUSES, 0x010100);
    put(qts, CONF + MEMORY_WINDOW, 0x37f03000);
    put(qts, CONF + COMMAND, ENABLE_ALL);
    put(qts, PAMR(2), 0x07ffff80);
    put(qts, PALR(2), EDU);
    put(qts, PTCTLR(2), PAR_ENABLE);
}

static inline void enable_edu(QTestState *qts, unsigned function)
{
    conf_put(qts, function, BAR0, EDU + (function << 20));
    conf_put(qts, function, COMMAND, ENABLE_ALL);
}

static inline QTestState *start_empty(const char *args)
{
    QTestState *qts = qtest_init(args);

    watch_irqs(qts, PATH);
    return qts;
}

static inline QTestState *start(void)
{
    QTestState *qts = start_empty("-M rcar-h3 -device " EDU_ARGS);

    bring_up(qts);
    enable_edu(qts, 0);
    return qts;
}

static inline void finish(QTestState *qts)
{
    assert_count(qts, "/machine", "guest-errors", 0);
    qtest_quit(qts);
}

/* Maps @size bytes of the bus, a power of two, from @pci on to @local */
static inline void open_inbound(QTestState *qts, unsigned n, uint64_t pci,
                                uint64_t local, uint64_t size)
{
    put(qts, PRAR(n), pci);
    put(qts, LAR(n), local);
    put(qts, PRAR(n + 1), pci >> 32);
    put(qts, LAR(n + 1), local >> 32);
    put(qts, LAMR(n + 1), 0);
    put(qts, LAMR(n), ((size - 1) & 0xfffffff0) | LAM_64BIT | LAM_ENABLE);
}

static inline void edu_transfer(QTestState *qts, unsigned function,
                                uint64_t src, uint64_t dst, unsigned command)
{
    uint64_t edu = EDU + (function << 20);

    qtest_writeq(qts, edu + EDU_SRC, src);
    qtest_writeq(qts, edu + EDU_DST, dst);
    qtest_writeq(qts, edu + EDU_COUNT, COUNT);
    qtest_writeq(qts, edu + EDU_COMMAND, command);
    qtest_clock_step(qts, 200 * 1000 * 1000);
}

/* Copies by way of the device's buffer, all of it in bus addresses */
static inline void edu_copy(QTestState *qts, unsigned function, uint64_t src,
                            uint64_t dst)
{
    edu_transfer(qts, function, src, EDU_BUFFER, EDU_FROM_BUS);
    edu_transfer(qts, function, EDU_BUFFER, dst, EDU_TO_BUS);
}

#endif
