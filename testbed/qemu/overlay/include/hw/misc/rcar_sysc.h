/*
 * R-Car SYSC: power areas
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_MISC_RCAR_SYSC_H
#define HW_MISC_RCAR_SYSC_H

#include "hw/misc/rcar_regs.h"
#include "qemu/notify.h"

#define TYPE_RCAR_SYSC "rcar-sysc"
OBJECT_DECLARE_SIMPLE_TYPE(RcarSyscState, RCAR_SYSC)

#define RCAR_SYSC_AREAS 32

/* Power areas of R-Car H3, numbered as in the device tree */
enum {
    H3_PD_CA57_CPU0 = 0,
    H3_PD_CA57_CPU1 = 1,
    H3_PD_CA57_CPU2 = 2,
    H3_PD_CA57_CPU3 = 3,
    H3_PD_CA53_CPU0 = 5,
    H3_PD_CA53_CPU1 = 6,
    H3_PD_CA53_CPU2 = 7,
    H3_PD_CA53_CPU3 = 8,
    H3_PD_A3VP = 9,
    H3_PD_CA57_SCU = 12,
    H3_PD_CR7 = 13,
    H3_PD_A3VC = 14,
    H3_PD_3DG_A = 17,
    H3_PD_3DG_B = 18,
    H3_PD_3DG_C = 19,
    H3_PD_3DG_D = 20,
    H3_PD_CA53_SCU = 21,
    H3_PD_3DG_E = 22,
    H3_PD_A3IR = 24,
    H3_PD_A2VC1 = 26,
};

struct RcarSyscState {
    RcarRegsState parent_obj;

    uint32_t on;            /* one bit per area */
    NotifierList power[RCAR_SYSC_AREAS];
};

/*
 * Calls @notifier at once, and whenever the power of @area changes; its data
 * points to a bool: whether the area is on.
 */
void rcar_sysc_add_power_notifier(RcarSyscState *s, unsigned area,
                                  Notifier *notifier);

#endif
