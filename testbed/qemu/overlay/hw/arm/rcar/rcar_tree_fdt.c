/*
 * R-Car by device tree: reading the tree
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "hw/arm/rcar_tree.h"
#include <libfdt.h>

#define GIC_CELLS   3

void rcar_tree_error(RcarTreeState *t, int node, const char *format, ...)
{
    g_autofree char *what = NULL;
    char path[256];
    va_list args;

    va_start(args, format);
    what = g_strdup_vprintf(format, args);
    va_end(args);
    if (node < 0 || fdt_get_path(t->fdt, node, path, sizeof(path))) {
        pstrcpy(path, sizeof(path), "the tree");
    }
    error_report("%s: %s: %s", MACHINE(t)->dtb, path, what);
    exit(1);
}

void rcar_tree_load(RcarTreeState *t)
{
    const char *name = MACHINE(t)->dtb;
    gsize size;

    if (!name) {
        error_report("this machine is made from a device tree: -dtb");
        exit(1);
    }
    if (!g_file_get_contents(name, (char **)&t->fdt, &size, NULL)) {
        error_report("cannot read device tree '%s'", name);
        exit(1);
    }
    if (fdt_check_full(t->fdt, size)) {
        error_report("'%s' is not a device tree blob, or a damaged one", name);
        exit(1);
    }
}

bool rcar_tree_is(RcarTreeState *t, int node, const char *pattern)
{
    const char *compatible;

    for (int i = 0; ; i++) {
        compatible = fdt_stringlist_get(t->fdt, node, "compatible", i, NULL);
        if (!compatible) {
            return false;
        }
        if (g_pattern_match_simple(pattern, compatible)) {
            return true;
        }
    }
}

int rcar_tree_next(RcarTreeState *t, int node, const char *pattern)
{
    do {
        node = fdt_next_node(t->fdt, node, NULL);
    } while (node >= 0 && !rcar_tree_is(t, node, pattern));
    return MAX(node, -1);
}

unsigned rcar_tree_count(RcarTreeState *t, int node, const char *property)
{
    int size = 0;

    return fdt_getprop(t->fdt, node, property, &size) ? size / 4 : 0;
}

uint32_t rcar_tree_cell(RcarTreeState *t, int node, const char *property,
                        unsigned n)
{
    const fdt32_t *cells = fdt_getprop(t->fdt, node, property, NULL);

    if (n >= rcar_tree_count(t, node, property)) {
        rcar_tree_error(t, node, "%s has no cell %u", property, n);
    }
    return fdt32_ld(cells + n);
}

int rcar_tree_target(RcarTreeState *t, int node, const char *property,
                     unsigned n)
{
    uint32_t phandle = rcar_tree_cell(t, node, property, n);
    int target = fdt_node_offset_by_phandle(t->fdt, phandle);

    if (target < 0) {
        rcar_tree_error(t, node, "%s refers to no node: 0x%x", property,
                        phandle);
    }
    return target;
}

/* Buses that translate addresses are none of an R-Car's */
static void check_bus(RcarTreeState *t, int node)
{
    int size;

    for (int bus = fdt_parent_offset(t->fdt, node); bus > 0;
         bus = fdt_parent_offset(t->fdt, bus)) {
        if (!fdt_getprop(t->fdt, bus, "ranges", &size) || size) {
            rcar_tree_error(t, node, "it is on a bus with addresses of its own");
        }
    }
}

static uint64_t read_number(RcarTreeState *t, int node, unsigned first,
                            unsigned cells)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < cells; i++) {
        value = value << 32 | rcar_tree_cell(t, node, "reg", first + i);
    }
    return value;
}

bool rcar_tree_reg(RcarTreeState *t, int node, unsigned n, RcarTreeRange *range)
{
    int bus = fdt_parent_offset(t->fdt, node);
    int address_cells = fdt_address_cells(t->fdt, bus);
    int size_cells = fdt_size_cells(t->fdt, bus);
    unsigned first = n * (address_cells + size_cells);

    if (address_cells < 1 || address_cells > 2 || size_cells < 1 ||
        size_cells > 2) {
        rcar_tree_error(t, bus, "addresses and sizes are of 1 or 2 cells");
    }
    if (first >= rcar_tree_count(t, node, "reg")) {
        return false;
    }
    check_bus(t, node);
    range->base = read_number(t, node, first, address_cells);
    range->size = read_number(t, node, first + address_cells, size_cells);
    return true;
}

hwaddr rcar_tree_base(RcarTreeState *t, int node)
{
    RcarTreeRange range;

    if (!rcar_tree_reg(t, node, 0, &range)) {
        rcar_tree_error(t, node, "there is no reg");
    }
    return range.base;
}

/* The node itself or one above says to which controller its interrupts go */
static int interrupt_parent(RcarTreeState *t, int node)
{
    for (int at = node; at >= 0; at = fdt_parent_offset(t->fdt, at)) {
        if (rcar_tree_count(t, at, "interrupt-parent")) {
            return rcar_tree_target(t, at, "interrupt-parent", 0);
        }
    }
    rcar_tree_error(t, node, "there is no interrupt-parent");
}

static void check_gic(RcarTreeState *t, int node, int gic)
{
    if (!rcar_tree_is(t, gic, "arm,gic-*") ||
        rcar_tree_cell(t, gic, "#interrupt-cells", 0) != GIC_CELLS) {
        rcar_tree_error(t, node, "its interrupts do not go to a GIC of 3 cells");
    }
}

bool rcar_tree_has_irq(RcarTreeState *t, int node, unsigned n)
{
    return n < rcar_tree_count(t, node, "interrupts") / GIC_CELLS ||
           n < rcar_tree_count(t, node, "interrupts-extended") / (1 + GIC_CELLS);
}

unsigned rcar_tree_irq(RcarTreeState *t, int node, unsigned n,
                       RcarTreeIrqType type)
{
    const char *property = "interrupts";
    unsigned first = n * GIC_CELLS;

    if (rcar_tree_count(t, node, "interrupts-extended")) {
        property = "interrupts-extended";
        first = n * (1 + GIC_CELLS) + 1;
        check_gic(t, node, rcar_tree_target(t, node, property, first - 1));
    } else {
        check_gic(t, node, interrupt_parent(t, node));
    }
    if (rcar_tree_cell(t, node, property, first) != type) {
        rcar_tree_error(t, node, "interrupt %u is of the wrong kind", n);
    }
    return rcar_tree_cell(t, node, property, first + 1);
}

unsigned rcar_tree_named_irq(RcarTreeState *t, int node, const char *name)
{
    int n = fdt_stringlist_search(t->fdt, node, "interrupt-names", name);

    if (n < 0) {
        rcar_tree_error(t, node, "there is no interrupt named \"%s\"", name);
    }
    return rcar_tree_irq(t, node, n, RCAR_TREE_SPI);
}

char *rcar_tree_name(RcarTreeState *t, int node)
{
    g_auto(GStrv) parts = g_strsplit(fdt_get_name(t->fdt, node, NULL), "@", 2);

    return g_strdup_printf("%" HWADDR_PRIx ".%s", rcar_tree_base(t, node),
                           parts[0]);
}
