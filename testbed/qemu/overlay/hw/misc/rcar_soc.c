/*
 * R-Car H3: pin function controller, reset controller, product register,
 * external interrupt controller, and the space between the devices
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/module.h"
#include "hw/qdev-properties.h"
#include "hw/misc/rcar_regs.h"
#include "hw/misc/rcar_soc.h"

/*
 * PFC: a write counts only right after its complement was written to PMMR.
 */
#define PMMR 0x000

static const RcarReg pfc_regs[] = {
    { PMMR, 1, 0xffffffff, 0 },
    { 0x100, 8, 0xffffffff, 0 },        /* GPSR0-7 */
    { 0x200, 19, 0xffffffff, 0 },       /* IPSR0-18 */
    { 0x300, 25, 0xffffffff, 0 },       /* DRVCTRL0-24 */
    { 0x380, 1, 0xffffffff, 0 },        /* POCCTRL */
    { 0x3c0, 1, 0xffffffff, 0 },        /* TDSELCTRL */
    { 0x400, 7, 0xffffffff, 0 },        /* PUEN0-6 */
    { 0x440, 7, 0xffffffff, 0 },        /* PUD0-6 */
    { 0x500, 3, 0xffffffff, 0 },        /* MOD_SEL0-2 */
};

static uint32_t pfc_write(RcarRegsState *s, hwaddr offset, uint32_t old,
                          uint32_t value)
{
    if (offset == PMMR) {
        return value;
    }
    if (s->values[PMMR / 4] != ~value) {
        rcar_regs_guest_error(s, "write without unlocking", offset);
        return old;
    }
    s->values[PMMR / 4] = 0;
    return value;
}

static void rcar_pfc_class_init(ObjectClass *klass, void *data)
{
    RcarRegsClass *rc = RCAR_REGS_CLASS(klass);

    rc->regs = pfc_regs;
    rc->num_regs = ARRAY_SIZE(pfc_regs);
    rc->size = 0x50c;
    rc->write = pfc_write;
}

/*
 * RST: mode pins all 0, that is EXTAL at 16.67 MHz, PLL1 x 192, RCLK from the
 * internal oscillator.
 */
static const RcarReg rst_regs[] = {
    { 0x054, 1, 0xffffffff, 0 },        /* WDTRSTCR */
    { 0x060, 1, 0, 0 },                 /* MODEMR */
    { 0x070, 1, 0xfffc0010, 0 },        /* CR7BAR */
};

static void rcar_rst_class_init(ObjectClass *klass, void *data)
{
    RcarRegsClass *rc = RCAR_REGS_CLASS(klass);

    rc->regs = rst_regs;
    rc->num_regs = ARRAY_SIZE(rst_regs);
    rc->size = 0x200;
}

/* INTC-EX: six interrupt pins, with nothing attached to any of them */
static const RcarReg intc_ex_regs[] = {
    { 0x000, 3, 0x3f, 0 },              /* REQ_STS, EN_STS, EN_SET */
    { 0x100, 9, 0x3f, 0 },              /* DETECT_STATUS to CHTEN_STS */
    { 0x180, 6, 0xffffffff, 0 },        /* CONFIG(n) */
};

static void rcar_intc_ex_class_init(ObjectClass *klass, void *data)
{
    RcarRegsClass *rc = RCAR_REGS_CLASS(klass);

    rc->regs = intc_ex_regs;
    rc->num_regs = ARRAY_SIZE(intc_ex_regs);
    rc->size = 0x200;
}

/* PRR: which SoC this is, and which cut of it */
OBJECT_DECLARE_SIMPLE_TYPE(RcarPrrState, RCAR_PRR)

struct RcarPrrState {
    RcarRegsState parent_obj;

    uint32_t value;
};

static const RcarReg prr_regs[] = {
    { 0x0, 1, 0, 0 },
};

static uint32_t prr_read(RcarRegsState *s, hwaddr offset, uint32_t stored)
{
    return RCAR_PRR(s)->value;
}

static const Property prr_properties[] = {
    DEFINE_PROP_UINT32("value", RcarPrrState, value, 0),
};

static void rcar_prr_class_init(ObjectClass *klass, void *data)
{
    RcarRegsClass *rc = RCAR_REGS_CLASS(klass);

    rc->regs = prr_regs;
    rc->num_regs = ARRAY_SIZE(prr_regs);
    rc->size = 0x4;
    rc->read = prr_read;
    device_class_set_props(DEVICE_CLASS(klass), prr_properties);
}

static void rcar_no_device_class_init(ObjectClass *klass, void *data)
{
    RCAR_REGS_CLASS(klass)->size = RCAR_NO_DEVICE_SIZE;
}

static const TypeInfo rcar_soc_types[] = {
    {
        .name = TYPE_RCAR_PFC,
        .parent = TYPE_RCAR_REGS,
        .class_init = rcar_pfc_class_init,
    }, {
        .name = TYPE_RCAR_RST,
        .parent = TYPE_RCAR_REGS,
        .class_init = rcar_rst_class_init,
    }, {
        .name = TYPE_RCAR_INTC_EX,
        .parent = TYPE_RCAR_REGS,
        .class_init = rcar_intc_ex_class_init,
    }, {
        .name = TYPE_RCAR_PRR,
        .parent = TYPE_RCAR_REGS,
        .instance_size = sizeof(RcarPrrState),
        .class_init = rcar_prr_class_init,
    }, {
        .name = TYPE_RCAR_NO_DEVICE,
        .parent = TYPE_RCAR_REGS,
        .class_init = rcar_no_device_class_init,
    },
};

DEFINE_TYPES(rcar_soc_types)
