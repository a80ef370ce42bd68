/*
 * Renesas IPMMU: its QOM properties, faulty hardware among them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "renesas_ipmmu_internal.h"

static char *get_registers(Object *obj, Error **errp)
{
    RenesasIPMMUState *s = RENESAS_IPMMU(obj);

    if (!s->layout) {
        return g_strdup("");
    }
    renesas_ipmmu_catch_up(s);
    return renesas_ipmmu_dump(s);
}

static char *get_discard_writes(Object *obj, Error **errp)
{
    RenesasIPMMUState *s = RENESAS_IPMMU(obj);

    return g_strdup(s->discard_writes ? s->discard_writes : "");
}

static void set_discard_writes(Object *obj, const char *value, Error **errp)
{
    RenesasIPMMUState *s = RENESAS_IPMMU(obj);
    uint64_t discard[IPMMU_NUM_REGS];

    if (!s->layout) {
        error_setg(errp, "discard-writes can be set on a running machine only");
        return;
    }
    if (renesas_ipmmu_parse_discard(s, value, discard, errp)) {
        memcpy(s->discard, discard, sizeof(discard));
        g_free(s->discard_writes);
        s->discard_writes = g_strdup(value);
    }
}

static bool get_flush_stuck(Object *obj, Error **errp)
{
    return RENESAS_IPMMU(obj)->flush_stuck;
}

static void set_flush_stuck(Object *obj, bool value, Error **errp)
{
    RenesasIPMMUState *s = RENESAS_IPMMU(obj);

    s->flush_stuck = value;
    for (unsigned i = 0; s->layout && i < s->layout->contexts; i++) {
        renesas_ipmmu_complete_flush(s, i);
    }
}

enum { FLOATING_NOT, FLOATING_ZEROS, FLOATING_ONES, FLOATING_RANDOM };

static const char *const floating[] = {
    [FLOATING_NOT] = "",
    [FLOATING_ZEROS] = "zeros",
    [FLOATING_ONES] = "ones",
    [FLOATING_RANDOM] = "random",
};

static char *get_floating(Object *obj, Error **errp)
{
    return g_strdup(floating[RENESAS_IPMMU(obj)->floating]);
}

static void set_floating(Object *obj, const char *value, Error **errp)
{
    for (unsigned i = 0; i < ARRAY_SIZE(floating); i++) {
        if (!strcmp(value, floating[i])) {
            RENESAS_IPMMU(obj)->floating = i;
            return;
        }
    }
    error_setg(errp, "a bus cannot float at '%s'", value);
}

/* Returns what the guest reads of a register that holds @value */
uint32_t renesas_ipmmu_floats(RenesasIPMMUState *s, uint32_t value)
{
    switch (s->floating) {
    case FLOATING_ZEROS:
        return 0;
    case FLOATING_ONES:
        return UINT32_MAX;
    case FLOATING_RANDOM:
        return renesas_ipmmu_draw(&s->floating_random);
    default:
        return value;
    }
}

void renesas_ipmmu_qom_class_init(ObjectClass *klass)
{
    object_class_property_add_str(klass, "registers", get_registers, NULL);
    object_class_property_add_str(klass, "discard-writes",
                                  get_discard_writes, set_discard_writes);
    object_class_property_add_bool(klass, "flush-stuck",
                                   get_flush_stuck, set_flush_stuck);
    object_class_property_add_str(klass, "floating",
                                  get_floating, set_floating);
}

void renesas_ipmmu_qom_init(RenesasIPMMUState *s)
{
    Object *obj = OBJECT(s);

    object_property_add_uint64_ptr(obj, "guest-errors", &s->guest_errors,
                                   OBJ_PROP_FLAG_READ);
    object_property_add_uint64_ptr(obj, "faults", &s->faults,
                                   OBJ_PROP_FLAG_READ);
    object_property_add_uint64_ptr(obj, "translations", &s->translations,
                                   OBJ_PROP_FLAG_READ);
    object_property_add_uint64_ptr(obj, "leaves", &s->leaves,
                                   OBJ_PROP_FLAG_READWRITE);
    object_property_add_uint64_ptr(obj, "storm", &s->storm,
                                   OBJ_PROP_FLAG_READWRITE);
}
