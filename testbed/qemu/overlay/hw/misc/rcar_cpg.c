/*
 * R-Car H3 CPG/MSSR: clock pulse generator, module standby, software reset
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Clocks are numbers here: nothing runs slower, and a stopped module still
 * answers. Registers keep what is written, and show at once what hardware
 * would show a few clock cycles later.
 */

#include "qemu/osdep.h"
#include "qemu/module.h"
#include "hw/misc/rcar_regs.h"
#include "hw/misc/rcar_soc.h"

#define FRQCRB          0x004
#define FRQCRB_KICK     (1u << 31)
#define PLLECR          0x0d0
#define PLLECR_PLLST    0x1f00          /* PLL0-4: on and locked */

/* Multipliers of 16.67 MHz: CA57 1.5 GHz, CA53 1.2 GHz, 3DG 600 MHz */
#define PLL0CR_X180     (89u << 24)
#define PLL2CR_X144     (71u << 24)
#define PLL4CR_X144     (71u << 24)

#define DIV6_STOPPED    0x0000013f
#define SDCKCR_RESET    0x00000001      /* source / 1, / 4 */
#define RPCCKCR_RESET   0x00000017      /* PLL1 / 5 / 8 */

#define NUM_MODULE_REGS 12

static const uint16_t mstpsr[NUM_MODULE_REGS] = {
    0x030, 0x038, 0x040, 0x048, 0x04c, 0x03c,
    0x1c0, 0x1c4, 0x9a0, 0x9a4, 0x9a8, 0x9ac,
};

static const uint16_t smstpcr[NUM_MODULE_REGS] = {
    0x130, 0x134, 0x138, 0x13c, 0x140, 0x144,
    0x148, 0x14c, 0x990, 0x994, 0x998, 0x99c,
};

static const uint16_t srcr[NUM_MODULE_REGS] = {
    0x0a0, 0x0a8, 0x0b0, 0x0b8, 0x0bc, 0x0c4,
    0x1c8, 0x1cc, 0x920, 0x924, 0x928, 0x92c,
};

#define SRSTCLR(n)      (0x940 + 4 * (n))

/*
 * Every module clock is stopped after reset, but for those that firmware and
 * the CPUs run on: RWDT (402), GIC (408), and the console SCIF2 (310).
 */
static const RcarReg cpg_regs[] = {
    { FRQCRB, 1, 0xffffffff, 0 },
    { 0x00c, 1, 0xffffffff, DIV6_STOPPED },     /* CSI0CKCR */
    { 0x014, 1, 0xffffffff, DIV6_STOPPED },     /* MSOCKCR */
    { 0x02c, 1, 0xffffffff, PLL2CR_X144 },
    { 0x030, 1, 0, 0 },                         /* MSTPSR0-11 */
    { 0x038, 3, 0, 0 },
    { 0x048, 2, 0, 0 },
    { 0x1c0, 2, 0, 0 },
    { 0x9a0, 4, 0, 0 },
    { 0x074, 2, 0xffffffff, SDCKCR_RESET },     /* SD0CKCR, SD1CKCR */
    { 0x0a0, 1, 0xffffffff, 0 },                /* SRCR0-11 */
    { 0x0a8, 1, 0xffffffff, 0 },
    { 0x0b0, 1, 0xffffffff, 0 },
    { 0x0b8, 2, 0xffffffff, 0 },
    { 0x0c4, 1, 0xffffffff, 0 },
    { 0x1c8, 2, 0xffffffff, 0 },
    { 0x920, 4, 0xffffffff, 0 },
    { PLLECR, 1, 0x0000001f, 0x0000001f },
    { 0x0d8, 1, 0xffffffff, PLL0CR_X180 },
    { 0x0e0, 1, 0xffffffff, 0 },                /* FRQCRC */
    { 0x130, 3, 0xffffffff, 0xffffffff },       /* SMSTPCR0-2 */
    { 0x13c, 1, 0xffffffff, ~(1u << 10) },      /* SMSTPCR3: SCIF2 runs */
    { 0x140, 1, 0xffffffff, ~((1u << 2) | (1u << 8)) }, /* 4: RWDT, GIC run */
    { 0x144, 3, 0xffffffff, 0xffffffff },       /* SMSTPCR5-7 */
    { 0x990, 4, 0xffffffff, 0xffffffff },       /* SMSTPCR8-11 */
    { 0x1f4, 1, 0xffffffff, PLL4CR_X144 },
    { 0x238, 1, 0xffffffff, RPCCKCR_RESET },
    { 0x240, 1, 0xffffffff, 0 },                /* RCKCR */
    { 0x244, 1, 0xffffffff, DIV6_STOPPED },     /* CANFDCKCR */
    { 0x250, 1, 0xffffffff, DIV6_STOPPED },     /* HDMICKCR */
    { 0x268, 2, 0xffffffff, SDCKCR_RESET },     /* SD2CKCR, SD3CKCR */
    { SRSTCLR(0), NUM_MODULE_REGS, 0xffffffff, 0 },
};

static uint32_t cpg_read(RcarRegsState *s, hwaddr offset, uint32_t stored)
{
    switch (offset) {
    case FRQCRB:
        return stored & ~FRQCRB_KICK;   /* the change is complete */
    case PLLECR:
        return stored | PLLECR_PLLST;
    }
    /* A module stops and starts as soon as it is asked to */
    for (int n = 0; n < NUM_MODULE_REGS; n++) {
        if (offset == mstpsr[n]) {
            return s->values[smstpcr[n] / 4];
        }
    }
    return stored;
}

static uint32_t cpg_write(RcarRegsState *s, hwaddr offset, uint32_t old,
                          uint32_t value)
{
    /* Writing 0 to a bit of SRCR leaves it; SRSTCLR takes it back */
    for (int n = 0; n < NUM_MODULE_REGS; n++) {
        if (offset == srcr[n]) {
            return old | value;
        }
        if (offset == SRSTCLR(n)) {
            s->values[srcr[n] / 4] &= ~value;
            return 0;
        }
    }
    return value;
}

static void rcar_cpg_class_init(ObjectClass *klass, void *data)
{
    RcarRegsClass *rc = RCAR_REGS_CLASS(klass);

    rc->regs = cpg_regs;
    rc->num_regs = ARRAY_SIZE(cpg_regs);
    rc->size = 0x1000;
    rc->read = cpg_read;
    rc->write = cpg_write;
}

static const TypeInfo rcar_cpg_info = {
    .name = TYPE_RCAR_CPG,
    .parent = TYPE_RCAR_REGS,
    .class_init = rcar_cpg_class_init,
};

static void rcar_cpg_register_types(void)
{
    type_register_static(&rcar_cpg_info);
}

type_init(rcar_cpg_register_types)
