/*
 * R-Car register blocks that are little more than their registers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Many blocks of the SoC are, as far as an operating system sees them, a
 * table of 32-bit registers that keep what is written. A subclass gives the
 * table, and hooks for the registers that do more. Every access outside the
 * table is a guest error, and counted.
 */

#ifndef HW_MISC_RCAR_REGS_H
#define HW_MISC_RCAR_REGS_H

#include "hw/sysbus.h"
#include "qom/object.h"

#define TYPE_RCAR_REGS "rcar-regs"
OBJECT_DECLARE_TYPE(RcarRegsState, RcarRegsClass, RCAR_REGS)

/* A run of registers: @count of them, 4 bytes apart, with equal properties */
typedef struct RcarReg {
    uint32_t offset;
    uint32_t count;
    uint32_t writable;      /* mask of the bits that keep what is written */
    uint32_t reset;
} RcarReg;

struct RcarRegsState {
    SysBusDevice parent_obj;

    MemoryRegion mmio;
    uint32_t *values;       /* by offset / 4, up to the last register */
    uint64_t guest_errors;  /* not reset: a test reads it at the end */
};

struct RcarRegsClass {
    SysBusDeviceClass parent_class;

    ResettablePhases parent_phases;
    const RcarReg *regs;
    size_t num_regs;
    uint64_t size;          /* of the block */

    /* Optional: the value read at @offset, given the @stored one */
    uint32_t (*read)(RcarRegsState *s, hwaddr offset, uint32_t stored);
    /* Optional: act on a write; returns the value to store */
    uint32_t (*write)(RcarRegsState *s, hwaddr offset, uint32_t old,
                      uint32_t value);
};

/* Counts and logs what the guest did wrong */
void rcar_regs_guest_error(RcarRegsState *s, const char *what, hwaddr offset);

#endif
