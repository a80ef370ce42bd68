/*
 * R-Car: system blocks of any SoC, without a list of what it has
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Clocks, resets and pins of a SoC are hundreds of registers, of which drivers
 * want to read what they wrote. Status registers are 0, which means: a module
 * runs, and nothing is pending.
 *
 * Of SYSC no area is known by name either. A request for one is complete at
 * once: the area is on or off, and each source of interrupts that is enabled
 * says so. A driver looks at its own.
 */

#include "qemu/osdep.h"
#include "qemu/module.h"
#include "hw/misc/rcar_any.h"
#include "hw/qdev-properties.h"

static uint64_t kept_read(void *opaque, hwaddr offset, unsigned size)
{
    RcarKeptState *s = opaque;

    return extract64(s->values[offset / 4], 8 * (offset % 4), 8 * size);
}

static void kept_write(void *opaque, hwaddr offset, uint64_t value,
                       unsigned size)
{
    RcarKeptState *s = opaque;
    RcarKeptClass *kc = RCAR_KEPT_GET_CLASS(s);
    uint32_t *stored = &s->values[offset / 4];
    uint32_t merged = deposit64(*stored, 8 * (offset % 4), 8 * size, value);

    if (kc->write) {
        kc->write(s, offset & ~3, merged);
    } else {
        *stored = merged;
    }
}

static const MemoryRegionOps kept_ops = {
    .read = kept_read,
    .write = kept_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 1, .max_access_size = 8 },
    .impl = { .min_access_size = 1, .max_access_size = 4 },
};

static void kept_reset_hold(Object *obj, ResetType type)
{
    RcarKeptState *s = RCAR_KEPT(obj);
    RcarKeptClass *kc = RCAR_KEPT_GET_CLASS(obj);

    memset(s->values, 0, QEMU_ALIGN_UP(s->size, 4));
    s->values[s->preset_offset / 4] = s->preset;
    if (kc->reset) {
        kc->reset(s);
    }
}

static void kept_realize(DeviceState *dev, Error **errp)
{
    RcarKeptState *s = RCAR_KEPT(dev);
    RcarKeptClass *kc = RCAR_KEPT_GET_CLASS(dev);

    s->size = kc->size ?: s->size;
    s->values = g_malloc0(QEMU_ALIGN_UP(s->size, 4));
    memory_region_init_io(&s->mmio, OBJECT(s), &kept_ops, s,
                          object_get_typename(OBJECT(s)), s->size);
    sysbus_init_mmio(SYS_BUS_DEVICE(s), &s->mmio);
}

static void kept_finalize(Object *obj)
{
    g_free(RCAR_KEPT(obj)->values);
}

static const Property kept_properties[] = {
    DEFINE_PROP_UINT32("size", RcarKeptState, size, 4),
    DEFINE_PROP_UINT32("preset-offset", RcarKeptState, preset_offset, 0),
    DEFINE_PROP_UINT32("preset", RcarKeptState, preset, 0),
};

static void kept_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    dc->realize = kept_realize;
    device_class_set_props(dc, kept_properties);
    RESETTABLE_CLASS(klass)->phases.hold = kept_reset_hold;
}

/* Gen3: groups of up to 32 areas, and one set of interrupt registers */
#define SYSCSR          0x00
#define SYSCSR_READY    0x3             /* for power-on and -off requests */
#define SYSCISR         0x04
#define SYSCISCR        0x08
#define SYSCIER         0x0c
#define FIRST_GROUP     0x80
#define GROUP           0x40
#define PWRSR           0x00            /* 1: off */
#define PWROFFCR        0x04
#define PWRONCR         0x0c

static void sysc_write(RcarKeptState *s, hwaddr offset, uint32_t value)
{
    uint32_t *group = &s->values[QEMU_ALIGN_DOWN(offset, GROUP) / 4];
    uint32_t *status = &s->values[SYSCISR / 4];

    if (offset == SYSCISCR) {
        *status &= ~value;
    } else if (offset >= FIRST_GROUP && offset % GROUP == PWROFFCR) {
        group[PWRSR / 4] |= value;
        *status |= s->values[SYSCIER / 4];
    } else if (offset >= FIRST_GROUP && offset % GROUP == PWRONCR) {
        group[PWRSR / 4] &= ~value;
        *status |= s->values[SYSCIER / 4];
    } else if (offset != SYSCSR && offset != SYSCISR) {
        s->values[offset / 4] = value;
    }
}

static void sysc_reset(RcarKeptState *s)
{
    s->values[SYSCSR / 4] = SYSCSR_READY;
}

static void sysc_class_init(ObjectClass *klass, void *data)
{
    RcarKeptClass *kc = RCAR_KEPT_CLASS(klass);

    kc->size = 0x440;
    kc->write = sysc_write;
    kc->reset = sysc_reset;
}

/* Gen4: 64 areas with registers of their own, two of each for interrupts */
#define GEN4_AREAS      64
#define GEN4_SYSCISCR   0x810           /* status; written 1s clear */
#define GEN4_SYSCIER    0x820
#define GEN4_AREA(n)    (0x1000 + 0x40 * (n))
#define PDRSR_OFF       (1u << 0)
#define PDRSR_ON        (1u << 4)
#define PDRONCR         0x04
#define PDROFFCR        0x08

static void gen4_sysc_write(RcarKeptState *s, hwaddr offset, uint32_t value)
{
    unsigned area = (offset - GEN4_AREA(0)) / 0x40;
    unsigned reg = offset % 0x40;

    if (offset == GEN4_SYSCISCR || offset == GEN4_SYSCISCR + 4) {
        s->values[offset / 4] &= ~value;
    } else if (offset < GEN4_AREA(0)) {
        s->values[offset / 4] = offset == SYSCSR ? SYSCSR_READY : value;
    } else if (area < GEN4_AREAS && (reg == PDRONCR || reg == PDROFFCR)) {
        s->values[GEN4_AREA(area) / 4] = reg == PDRONCR ? PDRSR_ON : PDRSR_OFF;
        s->values[GEN4_SYSCISCR / 4 + area / 32] |=
            s->values[GEN4_SYSCIER / 4 + area / 32] & (1u << area % 32);
    }
}

static void gen4_sysc_reset(RcarKeptState *s)
{
    sysc_reset(s);
    for (unsigned n = 0; n < GEN4_AREAS; n++) {
        s->values[GEN4_AREA(n) / 4] = PDRSR_ON;
    }
}

static void gen4_sysc_class_init(ObjectClass *klass, void *data)
{
    RcarKeptClass *kc = RCAR_KEPT_CLASS(klass);

    kc->size = 0x4000;
    kc->write = gen4_sysc_write;
    kc->reset = gen4_sysc_reset;
}

static const TypeInfo rcar_any_types[] = {
    {
        .name = TYPE_RCAR_KEPT,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(RcarKeptState),
        .instance_finalize = kept_finalize,
        .class_size = sizeof(RcarKeptClass),
        .class_init = kept_class_init,
    }, {
        .name = TYPE_RCAR_ANY_SYSC,
        .parent = TYPE_RCAR_KEPT,
        .class_init = sysc_class_init,
    }, {
        .name = TYPE_RCAR_GEN4_ANY_SYSC,
        .parent = TYPE_RCAR_KEPT,
        .class_init = gen4_sysc_class_init,
    },
};

DEFINE_TYPES(rcar_any_types)
