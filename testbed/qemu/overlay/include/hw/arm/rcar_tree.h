/*
 * R-Car: a machine that is what a device tree says
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_ARM_RCAR_TREE_H
#define HW_ARM_RCAR_TREE_H

#include "hw/arm/rcar_h3.h"

#define TYPE_RCAR_TREE_MACHINE MACHINE_TYPE_NAME("rcar-ipmmu")
OBJECT_DECLARE_SIMPLE_TYPE(RcarTreeState, RCAR_TREE_MACHINE)

struct RcarTreeState {
    RcarH3State parent_obj;

    void *fdt;                  /* never changed: nodes are offsets in it */
};

typedef struct RcarTreeRange {
    hwaddr base;
    uint64_t size;
} RcarTreeRange;

/* What an interrupt specifier of the GIC begins with */
typedef enum RcarTreeIrqType {
    RCAR_TREE_SPI = 0,
    RCAR_TREE_PPI = 1,
} RcarTreeIrqType;

/*
 * Reading: rcar_tree_fdt.c. A tree that does not say what a node must say ends
 * QEMU, with the name of the node and what is wrong.
 */
void rcar_tree_load(RcarTreeState *t);
void G_NORETURN G_GNUC_PRINTF(3, 4) rcar_tree_error(RcarTreeState *t, int node,
                                                    const char *format, ...);

/* The node after @node, of all that have a "compatible" like @pattern; or -1 */
int rcar_tree_next(RcarTreeState *t, int node, const char *pattern);
bool rcar_tree_is(RcarTreeState *t, int node, const char *pattern);

/* A property, as cells */
unsigned rcar_tree_count(RcarTreeState *t, int node, const char *property);
uint32_t rcar_tree_cell(RcarTreeState *t, int node, const char *property,
                        unsigned n);
/* The node that cell @n refers to */
int rcar_tree_target(RcarTreeState *t, int node, const char *property,
                     unsigned n);

/* Range @n of "reg"; false if there are fewer */
bool rcar_tree_reg(RcarTreeState *t, int node, unsigned n, RcarTreeRange *range);
hwaddr rcar_tree_base(RcarTreeState *t, int node);
/* Interrupt @n, by "interrupts" or "interrupts-extended" */
bool rcar_tree_has_irq(RcarTreeState *t, int node, unsigned n);
unsigned rcar_tree_irq(RcarTreeState *t, int node, unsigned n,
                       RcarTreeIrqType type);
/* The same, by its name in "interrupt-names" */
unsigned rcar_tree_named_irq(RcarTreeState *t, int node, const char *name);

/* How Linux calls the device: ADDRESS.NAME. The caller frees it. */
char *rcar_tree_name(RcarTreeState *t, int node);

/* CPUs, interrupt controller and timers: rcar_tree_cpu.c */
void rcar_tree_create_cpus(RcarTreeState *t);

/* All else that there is a model of: rcar_tree_devices.c */
void rcar_tree_create_devices(RcarTreeState *t);

#endif
