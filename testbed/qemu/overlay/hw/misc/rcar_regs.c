/*
 * R-Car register blocks that are little more than their registers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/log.h"
#include "qemu/module.h"
#include "hw/misc/rcar_regs.h"

void rcar_regs_guest_error(RcarRegsState *s, const char *what, hwaddr offset)
{
    s->guest_errors++;
    qemu_log_mask(LOG_GUEST_ERROR, "%s: %s at 0x%" HWADDR_PRIx "\n",
                  object_get_typename(OBJECT(s)), what, offset);
}

static const RcarReg *rcar_regs_find(RcarRegsState *s, hwaddr offset,
                                     unsigned size)
{
    RcarRegsClass *rc = RCAR_REGS_GET_CLASS(s);

    if (size != 4) {
        return NULL;
    }
    for (size_t i = 0; i < rc->num_regs; i++) {
        const RcarReg *reg = &rc->regs[i];

        if (offset >= reg->offset && offset < reg->offset + 4 * reg->count) {
            return reg;
        }
    }
    return NULL;
}

static uint64_t rcar_regs_read(void *opaque, hwaddr offset, unsigned size)
{
    RcarRegsState *s = opaque;
    RcarRegsClass *rc = RCAR_REGS_GET_CLASS(s);
    uint32_t value;

    if (!rcar_regs_find(s, offset, size)) {
        rcar_regs_guest_error(s, "read of no register", offset);
        return 0;
    }
    value = s->values[offset / 4];
    return rc->read ? rc->read(s, offset, value) : value;
}

static void rcar_regs_write(void *opaque, hwaddr offset, uint64_t value64,
                            unsigned size)
{
    RcarRegsState *s = opaque;
    RcarRegsClass *rc = RCAR_REGS_GET_CLASS(s);
    const RcarReg *reg = rcar_regs_find(s, offset, size);
    uint32_t old, value;

    if (!reg) {
        rcar_regs_guest_error(s, "write to no register", offset);
        return;
    }
    old = s->values[offset / 4];
    value = (old & ~reg->writable) | ((uint32_t)value64 & reg->writable);
    if (rc->write) {
        value = rc->write(s, offset, old, value);
    }
    s->values[offset / 4] = value;
}

/* Accesses of any size reach us, so that the wrong ones are counted */
static const MemoryRegionOps rcar_regs_ops = {
    .read = rcar_regs_read,
    .write = rcar_regs_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
    .impl = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
};

static void rcar_regs_reset_hold(Object *obj, ResetType type)
{
    RcarRegsState *s = RCAR_REGS(obj);
    RcarRegsClass *rc = RCAR_REGS_GET_CLASS(s);

    for (size_t i = 0; i < rc->num_regs; i++) {
        const RcarReg *reg = &rc->regs[i];

        for (uint32_t n = 0; n < reg->count; n++) {
            s->values[reg->offset / 4 + n] = reg->reset;
        }
    }
}

static void rcar_regs_init(Object *obj)
{
    RcarRegsState *s = RCAR_REGS(obj);
    RcarRegsClass *rc = RCAR_REGS_GET_CLASS(s);
    uint32_t end = 0;

    for (size_t i = 0; i < rc->num_regs; i++) {
        end = MAX(end, rc->regs[i].offset + 4 * rc->regs[i].count);
    }
    s->values = g_new0(uint32_t, end / 4 + 1);

    memory_region_init_io(&s->mmio, obj, &rcar_regs_ops, s,
                          object_get_typename(obj), rc->size);
    sysbus_init_mmio(SYS_BUS_DEVICE(obj), &s->mmio);
    object_property_add_uint64_ptr(obj, "guest-errors", &s->guest_errors,
                                   OBJ_PROP_FLAG_READ);
}

static void rcar_regs_finalize(Object *obj)
{
    g_free(RCAR_REGS(obj)->values);
}

static void rcar_regs_class_init(ObjectClass *klass, void *data)
{
    RcarRegsClass *rc = RCAR_REGS_CLASS(klass);
    ResettableClass *rs = RESETTABLE_CLASS(klass);

    resettable_class_set_parent_phases(rs, NULL, rcar_regs_reset_hold, NULL,
                                       &rc->parent_phases);
}

static const TypeInfo rcar_regs_info = {
    .name = TYPE_RCAR_REGS,
    .parent = TYPE_SYS_BUS_DEVICE,
    .abstract = true,
    .instance_size = sizeof(RcarRegsState),
    .instance_init = rcar_regs_init,
    .instance_finalize = rcar_regs_finalize,
    .class_size = sizeof(RcarRegsClass),
    .class_init = rcar_regs_class_init,
};

static void rcar_regs_register_types(void)
{
    type_register_static(&rcar_regs_info);
}

type_init(rcar_regs_register_types)
