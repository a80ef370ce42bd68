/*
 * R-Car H3 SYSC: power areas
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A request completes at once: its status bit is set and, where enabled, its
 * interrupt status. There is no interrupt: the device tree has none.
 */

#include "qemu/osdep.h"
#include "qemu/module.h"
#include "hw/misc/rcar_sysc.h"

#define SYSCSR          0x000
#define SYSCSR_READY    0x3             /* for power-on and -off requests */
#define SYSCISR         0x004
#define SYSCISCR        0x008
#define SYSCIER         0x00c
#define SYSCIMR         0x010
#define SYSCEXTMASK     0x2f8

/* Registers of a group of areas, from the group's base */
#define PWRSR           0x00            /* 1: off */
#define PWROFFCR        0x04
#define PWRONCR         0x0c
#define PWRER           0x14

/*
 * After reset, what holds a CPU is on, and what the operating system switches
 * is off.
 */
typedef struct SyscArea {
    uint8_t area;           /* also its bit in SYSCISR and SYSCIER */
    uint16_t base;
    uint8_t bit;
    bool on_at_reset;
} SyscArea;

static const SyscArea h3_areas[] = {
    { H3_PD_CA57_CPU0, 0x080, 0, true },
    { H3_PD_CA57_CPU1, 0x080, 1, true },
    { H3_PD_CA57_CPU2, 0x080, 2, true },
    { H3_PD_CA57_CPU3, 0x080, 3, true },
    { H3_PD_3DG_A, 0x100, 0 },
    { H3_PD_3DG_B, 0x100, 1 },
    { H3_PD_3DG_C, 0x100, 2 },
    { H3_PD_3DG_D, 0x100, 3 },
    { H3_PD_3DG_E, 0x100, 4 },
    { H3_PD_CA53_SCU, 0x140, 0, true },
    { H3_PD_A3IR, 0x180, 0 },
    { H3_PD_CA57_SCU, 0x1c0, 0, true },
    { H3_PD_CA53_CPU0, 0x200, 0, true },
    { H3_PD_CA53_CPU1, 0x200, 1, true },
    { H3_PD_CA53_CPU2, 0x200, 2, true },
    { H3_PD_CA53_CPU3, 0x200, 3, true },
    { H3_PD_CR7, 0x240, 0 },
    { H3_PD_A3VP, 0x340, 0 },
    { H3_PD_A3VC, 0x380, 0 },
    { H3_PD_A2VC1, 0x3c0, 1 },
};

#define SYSC_GROUP(base) { (base), 6, 0xffffffff, 0 }

static const RcarReg sysc_regs[] = {
    { SYSCSR, 1, 0, SYSCSR_READY },
    { SYSCISR, 4, 0xffffffff, 0 },
    { SYSCEXTMASK, 1, 0x1, 0 },
    SYSC_GROUP(0x080), SYSC_GROUP(0x100), SYSC_GROUP(0x140), SYSC_GROUP(0x180),
    SYSC_GROUP(0x1c0), SYSC_GROUP(0x200), SYSC_GROUP(0x240), SYSC_GROUP(0x340),
    SYSC_GROUP(0x380), SYSC_GROUP(0x3c0),
};

void rcar_sysc_add_power_notifier(RcarSyscState *s, unsigned area,
                                  Notifier *notifier)
{
    bool on;

    assert(area < RCAR_SYSC_AREAS);
    on = s->on & (1u << area);
    notifier_list_add(&s->power[area], notifier);
    notifier->notify(notifier, &on);
}

static void sysc_switch(RcarSyscState *s, const SyscArea *a, bool on)
{
    bool was_on = s->on & (1u << a->area);

    s->on = deposit32(s->on, a->area, 1, on);
    if (on != was_on) {
        notifier_list_notify(&s->power[a->area], &on);
    }
}

static void sysc_request(RcarRegsState *regs, const SyscArea *a, bool on)
{
    sysc_switch(RCAR_SYSC(regs), a, on);
    regs->values[SYSCISR / 4] |= regs->values[SYSCIER / 4] & (1u << a->area);
}

static uint32_t sysc_read(RcarRegsState *regs, hwaddr offset, uint32_t stored)
{
    RcarSyscState *s = RCAR_SYSC(regs);
    uint32_t off = 0;
    bool group = false;

    for (int i = 0; i < ARRAY_SIZE(h3_areas); i++) {
        const SyscArea *a = &h3_areas[i];

        if (offset == a->base + PWRSR) {
            group = true;
            off |= s->on & (1u << a->area) ? 0 : 1u << a->bit;
        }
    }
    return group ? off : stored;
}

static uint32_t sysc_write(RcarRegsState *regs, hwaddr offset, uint32_t old,
                           uint32_t value)
{
    switch (offset) {
    case SYSCISR:
        return old;                     /* read only */
    case SYSCISCR:
        regs->values[SYSCISR / 4] &= ~value;
        return 0;
    case SYSCIER:
    case SYSCIMR:
    case SYSCEXTMASK:
        return value;
    }
    for (int i = 0; i < ARRAY_SIZE(h3_areas); i++) {
        const SyscArea *a = &h3_areas[i];

        if (!(value & (1u << a->bit))) {
            continue;
        }
        if (offset == a->base + PWROFFCR) {
            sysc_request(regs, a, false);
        } else if (offset == a->base + PWRONCR) {
            sysc_request(regs, a, true);
        }
    }
    return 0;
}

static void sysc_reset_hold(Object *obj, ResetType type)
{
    RcarRegsClass *rc = RCAR_REGS_GET_CLASS(obj);
    RcarSyscState *s = RCAR_SYSC(obj);

    if (rc->parent_phases.hold) {
        rc->parent_phases.hold(obj, type);
    }
    for (int i = 0; i < ARRAY_SIZE(h3_areas); i++) {
        sysc_switch(s, &h3_areas[i], h3_areas[i].on_at_reset);
    }
}

static void rcar_sysc_init(Object *obj)
{
    RcarSyscState *s = RCAR_SYSC(obj);

    for (int i = 0; i < RCAR_SYSC_AREAS; i++) {
        notifier_list_init(&s->power[i]);
    }
    /* For tests: which areas are on, one bit per area */
    object_property_add_uint32_ptr(obj, "on", &s->on, OBJ_PROP_FLAG_READ);
}

static void rcar_sysc_class_init(ObjectClass *klass, void *data)
{
    RcarRegsClass *rc = RCAR_REGS_CLASS(klass);
    ResettableClass *rs = RESETTABLE_CLASS(klass);

    rc->regs = sysc_regs;
    rc->num_regs = ARRAY_SIZE(sysc_regs);
    rc->size = 0x400;
    rc->read = sysc_read;
    rc->write = sysc_write;
    resettable_class_set_parent_phases(rs, NULL, sysc_reset_hold, NULL,
                                       &rc->parent_phases);
}

static const TypeInfo rcar_sysc_info = {
    .name = TYPE_RCAR_SYSC,
    .parent = TYPE_RCAR_REGS,
    .instance_size = sizeof(RcarSyscState),
    .instance_init = rcar_sysc_init,
    .class_init = rcar_sysc_class_init,
};

static void rcar_sysc_register_types(void)
{
    type_register_static(&rcar_sysc_info);
}

type_init(rcar_sysc_register_types)
