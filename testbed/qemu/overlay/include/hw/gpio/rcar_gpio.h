/*
 * R-Car GPIO: one bank of up to 32 pins
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * QEMU interface:
 *  + sysbus MMIO region 0: the registers
 *  + sysbus IRQ 0: any pin, level
 *  + unnamed GPIO inputs 0 to 31: levels that the board puts on the pins; they
 *    are the board's, so that no reset changes them
 *  + unnamed GPIO outputs 0 to 31: levels that the pins drive, 0 for inputs
 *  + QOM "guest-errors" (uint64, ro)
 */

#ifndef HW_GPIO_RCAR_GPIO_H
#define HW_GPIO_RCAR_GPIO_H

#include "hw/misc/rcar_regs.h"

#define TYPE_RCAR_GPIO "rcar-gpio"
OBJECT_DECLARE_TYPE(RcarGpioState, RcarGpioClass, RCAR_GPIO)

#define RCAR_GPIO_PINS 32

struct RcarGpioState {
    RcarRegsState parent_obj;

    qemu_irq irq;
    qemu_irq out[RCAR_GPIO_PINS];
    uint32_t edges;             /* seen, not yet cleared by the guest */

    uint32_t levels;            /* not reset */
};

struct RcarGpioClass {
    RcarRegsClass parent_class;

    ResettablePhases parent_phases;
};

#endif
