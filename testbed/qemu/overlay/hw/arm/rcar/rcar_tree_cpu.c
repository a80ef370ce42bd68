/*
 * R-Car by device tree: CPUs, interrupt controller and timers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Of the CPUs in the tree the first ones are there, as many as -smp says. To
 * the kernel the others are CPUs that do not come.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/arm/rcar_tree.h"
#include "hw/qdev-core.h"
#include <libfdt.h>

/* As many as a GICv2 and v3 may have both */
#define NUM_SPI     960

/* Without VHE */
#define TIMERS      4

static const struct {
    const char *compatible;
    const char *type;
} cpu_types[] = {
    { "arm,cortex-a53", ARM_CPU_TYPE_NAME("cortex-a53") },
    { "arm,cortex-a55", ARM_CPU_TYPE_NAME("cortex-a55") },
    { "arm,cortex-a57", ARM_CPU_TYPE_NAME("cortex-a57") },
    { "arm,cortex-a76", ARM_CPU_TYPE_NAME("cortex-a76") },
};

static const char *cpu_type(RcarTreeState *t, int node)
{
    for (int i = 0; i < ARRAY_SIZE(cpu_types); i++) {
        if (rcar_tree_is(t, node, cpu_types[i].compatible)) {
            return cpu_types[i].type;
        }
    }
    rcar_tree_error(t, node, "there is no model of such a CPU");
}

static bool is_cpu(RcarTreeState *t, int node)
{
    const char *type = fdt_getprop(t->fdt, node, "device_type", NULL);

    return type && !strcmp(type, "cpu");
}

/* CPUs that follow each other and are of one type are a cluster here */
static void create_cpus(RcarTreeState *t)
{
    RcarH3State *s = RCAR_H3_MACHINE(t);
    int cpus = fdt_path_offset(t->fdt, "/cpus");
    DeviceState *cluster = NULL;
    const char *last = NULL;
    unsigned clusters = 0;
    int node;

    if (cpus < 0) {
        rcar_tree_error(t, -1, "there is no /cpus");
    }
    fdt_for_each_subnode(node, t->fdt, cpus) {
        if (!is_cpu(t, node) || s->num_cpus == MACHINE(t)->smp.cpus) {
            continue;
        }
        if (cpu_type(t, node) != last) {
            if (cluster) {
                qdev_realize_and_unref(cluster, NULL, &error_fatal);
            }
            cluster = rcar_h3_new_cluster(s, clusters++);
            last = cpu_type(t, node);
        }
        rcar_h3_create_cpu(s, OBJECT(cluster), last,
                           rcar_tree_cell(t, node, "reg", 0));
    }
    if (!cluster) {
        rcar_tree_error(t, cpus, "there is no CPU");
    }
    qdev_realize_and_unref(cluster, NULL, &error_fatal);
}

static int create_gic(RcarTreeState *t)
{
    RcarH3State *s = RCAR_H3_MACHINE(t);
    int node = rcar_tree_next(t, 0, "arm,gic-*");
    hwaddr base[RCAR_GIC_400_REGIONS];
    bool is_v3 = node >= 0 && rcar_tree_is(t, node, "arm,gic-v3");

    if (node < 0 || (!is_v3 && !rcar_tree_is(t, node, "arm,gic-400"))) {
        rcar_tree_error(t, node, "there is no GIC-400, nor a GICv3");
    }
    for (int i = 0; i < (is_v3 ? 2 : RCAR_GIC_400_REGIONS); i++) {
        RcarTreeRange range;

        if (!rcar_tree_reg(t, node, i, &range)) {
            rcar_tree_error(t, node, "reg has %d regions only", i);
        }
        base[i] = range.base;
    }
    if (is_v3) {
        rcar_h3_create_gic_v3(s, NUM_SPI, base[0], base[1]);
    } else {
        rcar_h3_create_gic_400(s, NUM_SPI, base);
    }
    return node;
}

void rcar_tree_create_cpus(RcarTreeState *t)
{
    /* In the order of the binding; the last one came with VHE */
    static const int timers[] = {
        GTIMER_SEC, GTIMER_PHYS, GTIMER_VIRT, GTIMER_HYP, GTIMER_HYPVIRT,
    };
    int node = rcar_tree_next(t, 0, "arm,armv8-timer");
    RcarPpis ppis = {};
    int gic;

    create_cpus(t);
    gic = create_gic(t);
    if (node < 0) {
        rcar_tree_error(t, node, "there is no arm,armv8-timer");
    }
    for (int i = 0; i < ARRAY_SIZE(timers) &&
                    (i < TIMERS || rcar_tree_has_irq(t, node, i)); i++) {
        ppis.timer[timers[i]] = rcar_tree_irq(t, node, i, RCAR_TREE_PPI);
    }
    ppis.maintenance = rcar_tree_irq(t, gic, 0, RCAR_TREE_PPI);
    rcar_h3_connect_cpus(RCAR_H3_MACHINE(t), &ppis);
}
