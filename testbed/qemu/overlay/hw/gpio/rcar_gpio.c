/*
 * R-Car GPIO, as found in Gen2 and Gen3
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What Linux's gpio-rcar driver uses. Decisions where it is silent: all
 * registers are 0 after reset, that is, all pins are inputs without interrupt;
 * POSNEG is the polarity of interrupts alone; an output reads back what it
 * drives.
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qemu/module.h"
#include "hw/gpio/rcar_gpio.h"
#include "hw/irq.h"

#define IOINTSEL    0x00        /* 1: the pin is an interrupt */
#define INOUTSEL    0x04        /* 1: output */
#define OUTDT       0x08
#define INDT        0x0c
#define INTDT       0x10
#define INTCLR      0x14
#define INTMSK      0x18        /* 1: enabled; written 0s disable */
#define MSKCLR      0x1c        /* written 1s enable */
#define POSNEG      0x20        /* 1: low, or falling */
#define EDGLEVEL    0x24        /* 1: edge */
#define OUTDTSEL    0x40
#define BOTHEDGE    0x4c

static const RcarReg gpio_regs[] = {
    { IOINTSEL, 3, 0xffffffff, 0 },     /* up to OUTDT */
    { INDT, 2, 0, 0 },                  /* INDT, INTDT */
    { INTCLR, 5, 0xffffffff, 0 },       /* up to EDGLEVEL */
    { OUTDTSEL, 1, 0xffffffff, 0 },
    { BOTHEDGE, 1, 0xffffffff, 0 },
};

static uint32_t reg(RcarGpioState *g, hwaddr offset)
{
    return RCAR_REGS(g)->values[offset / 4];
}

static uint32_t driven(RcarGpioState *g)
{
    return reg(g, OUTDT) & reg(g, INOUTSEL) & ~reg(g, IOINTSEL);
}

static uint32_t pending(RcarGpioState *g)
{
    uint32_t active = g->levels ^ reg(g, POSNEG);
    uint32_t edge = reg(g, EDGLEVEL);

    return ((active & ~edge) | (g->edges & edge)) & reg(g, IOINTSEL);
}

static void update(RcarGpioState *g)
{
    for (int n = 0; n < RCAR_GPIO_PINS; n++) {
        qemu_set_irq(g->out[n], extract32(driven(g), n, 1));
    }
    qemu_set_irq(g->irq, (pending(g) & reg(g, INTMSK)) != 0);
}

static void pin_changed(void *opaque, int n, int level)
{
    RcarGpioState *g = opaque;
    uint32_t pin = 1u << n;

    if (extract32(g->levels, n, 1) == !!level) {
        return;
    }
    g->levels ^= pin;
    if ((reg(g, BOTHEDGE) | (g->levels ^ reg(g, POSNEG))) & pin) {
        g->edges |= pin & reg(g, IOINTSEL) & reg(g, EDGLEVEL);
    }
    update(g);
}

static uint32_t gpio_read(RcarRegsState *s, hwaddr offset, uint32_t stored)
{
    RcarGpioState *g = RCAR_GPIO(s);

    switch (offset) {
    case INDT:
        return (g->levels & ~reg(g, INOUTSEL)) | driven(g);
    case INTDT:
        return pending(g);
    default:
        return stored;
    }
}

static uint32_t gpio_write(RcarRegsState *s, hwaddr offset, uint32_t old,
                           uint32_t value)
{
    RcarGpioState *g = RCAR_GPIO(s);

    switch (offset) {
    case INTCLR:
        g->edges &= ~value;
        value = 0;
        break;
    case INTMSK:
        value &= old;
        break;
    case MSKCLR:
        s->values[INTMSK / 4] |= value;
        value = 0;
        break;
    }
    s->values[offset / 4] = value;
    update(g);
    return value;
}

static void rcar_gpio_reset_hold(Object *obj, ResetType type)
{
    RcarGpioState *g = RCAR_GPIO(obj);
    RcarGpioClass *gc = RCAR_GPIO_GET_CLASS(obj);

    gc->parent_phases.hold(obj, type);
    g->edges = 0;
    update(g);
}

static void rcar_gpio_init(Object *obj)
{
    RcarGpioState *g = RCAR_GPIO(obj);

    sysbus_init_irq(SYS_BUS_DEVICE(obj), &g->irq);
    qdev_init_gpio_in(DEVICE(obj), pin_changed, RCAR_GPIO_PINS);
    qdev_init_gpio_out(DEVICE(obj), g->out, RCAR_GPIO_PINS);
}

static void rcar_gpio_class_init(ObjectClass *klass, void *data)
{
    RcarRegsClass *rc = RCAR_REGS_CLASS(klass);
    RcarGpioClass *gc = RCAR_GPIO_CLASS(klass);

    rc->regs = gpio_regs;
    rc->num_regs = ARRAY_SIZE(gpio_regs);
    rc->size = 0x50;
    rc->read = gpio_read;
    rc->write = gpio_write;
    resettable_class_set_parent_phases(RESETTABLE_CLASS(klass), NULL,
                                       rcar_gpio_reset_hold, NULL,
                                       &gc->parent_phases);
}

static const TypeInfo rcar_gpio_info = {
    .name = TYPE_RCAR_GPIO,
    .parent = TYPE_RCAR_REGS,
    .instance_size = sizeof(RcarGpioState),
    .instance_init = rcar_gpio_init,
    .class_size = sizeof(RcarGpioClass),
    .class_init = rcar_gpio_class_init,
};

static void rcar_gpio_register_types(void)
{
    type_register_static(&rcar_gpio_info);
}

type_init(rcar_gpio_register_types)
