/*
 * R-Car by device tree: the machine
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * RAM, CPUs, interrupt controller, IPMMUs, and the devices that there are
 * models of, are where the tree says, wired as the tree says. What has no model
 * reads as zero, and a write to it has no effect: that is no guest error here.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "exec/address-spaces.h"
#include "hw/arm/rcar_tree.h"
#include <libfdt.h>

#define NOTHING_SIZE    (4 * GiB)

static uint64_t nothing_read(void *opaque, hwaddr offset, unsigned size)
{
    return 0;
}

static void nothing_write(void *opaque, hwaddr offset, uint64_t value,
                          unsigned size)
{
}

static const MemoryRegionOps nothing_ops = {
    .read = nothing_read,
    .write = nothing_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
    .impl = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
};

static void create_nothing(RcarTreeState *t)
{
    MemoryRegion *region = g_new0(MemoryRegion, 1);

    memory_region_init_io(region, OBJECT(t), &nothing_ops, NULL, "nothing",
                          NOTHING_SIZE);
    memory_region_add_subregion_overlap(get_system_memory(), 0, region, -1000);
}

/* The lowest bank is the one that the kernel is loaded into */
static void create_bank(RcarTreeState *t, int node, const RcarTreeRange *range)
{
    struct arm_boot_info *boot = &RCAR_H3_MACHINE(t)->bootinfo;
    g_autofree char *name = g_strdup_printf("ram-%" HWADDR_PRIx, range->base);
    MemoryRegion *ram = g_new0(MemoryRegion, 1);
    MemoryRegion *sysmem = get_system_memory();

    if (!range->size || range->base + range->size < range->base ||
        memory_region_find(sysmem, range->base, range->size).mr) {
        rcar_tree_error(t, node, "no RAM can be there");
    }
    memory_region_init_ram(ram, NULL, name, range->size, &error_fatal);
    memory_region_add_subregion(sysmem, range->base, ram);
    if (!boot->ram_size || range->base < boot->loader_start) {
        boot->loader_start = range->base;
        boot->ram_size = range->size;
    }
}

static void create_ram(RcarTreeState *t)
{
    for (int node = fdt_next_node(t->fdt, 0, NULL); node >= 0;
         node = fdt_next_node(t->fdt, node, NULL)) {
        const char *type = fdt_getprop(t->fdt, node, "device_type", NULL);
        RcarTreeRange range;

        if (!type || strcmp(type, "memory")) {
            continue;
        }
        for (int i = 0; rcar_tree_reg(t, node, i, &range); i++) {
            create_bank(t, node, &range);
        }
    }
    if (!RCAR_H3_MACHINE(t)->bootinfo.ram_size) {
        rcar_tree_error(t, -1, "there is no memory");
    }
}

static void rcar_tree_init(MachineState *machine)
{
    RcarTreeState *t = RCAR_TREE_MACHINE(machine);
    RcarH3State *s = RCAR_H3_MACHINE(machine);

    if (s->extra_ipmmu || s->traffic || s->power_areas || machine->cpu_type) {
        error_report("extra-ipmmu, traffic, power-areas and -cpu are rcar-h3's");
        exit(1);
    }
    rcar_tree_load(t);
    create_ram(t);
    create_nothing(t);
    rcar_tree_create_cpus(t);
    rcar_tree_create_devices(t);
    rcar_h3_support_suspend(s);
    rcar_h3_boot(s);
}

static void rcar_tree_instance_init(Object *obj)
{
    RCAR_H3_MACHINE(obj)->prr = 0;      /* stands for the SoC's own value */
}

static void rcar_tree_instance_finalize(Object *obj)
{
    g_free(RCAR_TREE_MACHINE(obj)->fdt);
}

static void rcar_tree_class_init(ObjectClass *klass, void *data)
{
    MachineClass *mc = MACHINE_CLASS(klass);

    mc->desc = "R-Car or RZ/G2 as a device tree describes it";
    mc->init = rcar_tree_init;
    mc->default_cpu_type = NULL;
    mc->valid_cpu_types = NULL;
    mc->default_ram_id = NULL;
}

static const TypeInfo rcar_tree_type = {
    .name = TYPE_RCAR_TREE_MACHINE,
    .parent = TYPE_RCAR_H3_MACHINE,
    .instance_size = sizeof(RcarTreeState),
    .instance_init = rcar_tree_instance_init,
    .instance_finalize = rcar_tree_instance_finalize,
    .class_init = rcar_tree_class_init,
};

static void rcar_tree_register_types(void)
{
    type_register_static(&rcar_tree_type);
}

type_init(rcar_tree_register_types)
