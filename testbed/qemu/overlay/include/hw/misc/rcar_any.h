/*
 * R-Car: system blocks of any SoC, without a list of what it has
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * QEMU interface:
 *  + sysbus MMIO region 0: the registers
 *  + property "size" (uint32), of TYPE_RCAR_KEPT alone
 *  + properties "preset-offset", "preset" (uint32): a register that is not 0
 *    after reset, and its value
 */

#ifndef HW_MISC_RCAR_ANY_H
#define HW_MISC_RCAR_ANY_H

#include "hw/sysbus.h"
#include "qom/object.h"

/* Registers that keep what is written, until a reset; all but one 0 after it */
#define TYPE_RCAR_KEPT          "rcar-kept"
/* Power areas, all on after reset, that follow each request at once */
#define TYPE_RCAR_ANY_SYSC      "rcar-any-sysc"
#define TYPE_RCAR_GEN4_ANY_SYSC "rcar-gen4-any-sysc"

OBJECT_DECLARE_TYPE(RcarKeptState, RcarKeptClass, RCAR_KEPT)

struct RcarKeptState {
    SysBusDevice parent_obj;

    MemoryRegion mmio;
    uint32_t size;
    uint32_t preset_offset;
    uint32_t preset;
    uint32_t *values;
};

struct RcarKeptClass {
    SysBusDeviceClass parent_class;

    uint32_t size;              /* if it is not a property's to say */
    /* Optional: act on a write, which was not stored */
    void (*write)(RcarKeptState *s, hwaddr offset, uint32_t value);
    /* Optional: set what is not 0 after reset */
    void (*reset)(RcarKeptState *s);
};

#endif
