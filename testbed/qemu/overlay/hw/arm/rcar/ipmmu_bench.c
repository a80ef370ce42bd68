/*
 * A bench for the models of the IPMMU and the SYS-DMAC
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * No SoC is like this: one machine that has IPMMUs of each generation side by
 * side, and DMACs behind their micro-TLBs, so that the same tests can run on
 * every register layout. For qtest only: it wants a CPU, but none ever runs.
 *
 * Each generation has a page of the memory map of its own:
 *   +0x000000 /machine/GEN-root    the root; on Gen2, the only instance
 *   +0x100000 /machine/GEN-cache0  (Gen3, Gen4)
 *   +0x200000 /machine/GEN-cache1  (Gen3, Gen4)
 *   +0x300000 /machine/GEN-dmac0   channel n is behind micro-TLB n of cache0
 *   +0x400000 /machine/GEN-dmac1   channel n is behind the n-th of the last 16
 *                                  micro-TLBs of cache1
 * On Gen2 both DMACs are behind the root.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/units.h"
#include "exec/address-spaces.h"
#include "hw/boards.h"
#include "hw/core/cpu.h"
#include "hw/dma/rcar_dmac.h"
#include "hw/misc/renesas_ipmmu.h"
#include "hw/qdev-properties.h"
#include "hw/sysbus.h"
#include "target/arm/cpu-qom.h"

#define TYPE_IPMMU_BENCH MACHINE_TYPE_NAME("ipmmu-bench")
OBJECT_DECLARE_SIMPLE_TYPE(IpmmuBenchState, IPMMU_BENCH)

struct IpmmuBenchState {
    MachineState parent_obj;

    char *unkind;
};

#define BENCH_LOW_RAM       0x48000000
#define BENCH_HIGH_RAM      0x500000000
#define BENCH_HIGH_RAM_SIZE (64 * MiB)

static const struct {
    const char *name;
    hwaddr base;
    bool caches;
    unsigned utlbs;
} generations[] = {
    { "gen2", 0x10000000, false, 32 },
    { "gen3", 0x20000000, true, 48 },
    { "gen4", 0x30000000, true, 64 },
};

static SysBusDevice *bench_add(const char *gen, const char *part,
                               DeviceState *dev, hwaddr addr)
{
    SysBusDevice *sbd = SYS_BUS_DEVICE(dev);
    g_autofree char *name = g_strdup_printf("%s-%s", gen, part);

    object_property_add_child(qdev_get_machine(), name, OBJECT(dev));
    sysbus_realize_and_unref(sbd, &error_fatal);
    sysbus_mmio_map(sbd, 0, addr);
    return sbd;
}

static RenesasIPMMUState *bench_ipmmu(const char *gen, const char *part,
                                      RenesasIPMMUState *root, hwaddr addr)
{
    DeviceState *dev = qdev_new(TYPE_RENESAS_IPMMU);
    const char *unkind = IPMMU_BENCH(qdev_get_machine())->unkind;

    qdev_prop_set_string(dev, "generation", gen);
    if (unkind) {
        object_property_set_str(OBJECT(dev), "unkind", unkind, &error_fatal);
    }
    if (root) {
        object_property_set_link(OBJECT(dev), "root", OBJECT(root),
                                 &error_fatal);
    }
    return RENESAS_IPMMU(bench_add(gen, part, dev, addr));
}

static void bench_dmac(const char *gen, const char *part,
                       RenesasIPMMUState *ipmmu, unsigned first_utlb,
                       hwaddr addr)
{
    DeviceState *dev = qdev_new(TYPE_RCAR_DMAC);

    for (unsigned i = 0; i < RCAR_DMAC_CHANNELS; i++) {
        rcar_dmac_set_channel_as(RCAR_DMAC(dev), i,
                                 renesas_ipmmu_utlb_as(ipmmu, first_utlb + i));
    }
    bench_add(gen, part, dev, addr);
}

static void bench_init(MachineState *machine)
{
    MemoryRegion *high = g_new(MemoryRegion, 1);

    cpu_create(machine->cpu_type);

    memory_region_add_subregion(get_system_memory(), BENCH_LOW_RAM,
                                machine->ram);
    memory_region_init_ram(high, NULL, "bench.high", BENCH_HIGH_RAM_SIZE,
                           &error_fatal);
    memory_region_add_subregion(get_system_memory(), BENCH_HIGH_RAM, high);

    for (unsigned i = 0; i < ARRAY_SIZE(generations); i++) {
        const char *gen = generations[i].name;
        hwaddr base = generations[i].base;
        RenesasIPMMUState *root = bench_ipmmu(gen, "root", NULL, base);
        RenesasIPMMUState *cache0 = root;
        RenesasIPMMUState *cache1 = root;

        if (generations[i].caches) {
            cache0 = bench_ipmmu(gen, "cache0", root, base + 0x100000);
            cache1 = bench_ipmmu(gen, "cache1", root, base + 0x200000);
        }
        bench_dmac(gen, "dmac0", cache0, 0, base + 0x300000);
        bench_dmac(gen, "dmac1", cache1,
                   generations[i].utlbs - RCAR_DMAC_CHANNELS, base + 0x400000);
    }
}

static char *bench_get_unkind(Object *obj, Error **errp)
{
    return g_strdup(IPMMU_BENCH(obj)->unkind);
}

static void bench_set_unkind(Object *obj, const char *value, Error **errp)
{
    g_free(IPMMU_BENCH(obj)->unkind);
    IPMMU_BENCH(obj)->unkind = g_strdup(value);
}

static void bench_class_init(ObjectClass *oc, void *data)
{
    MachineClass *mc = MACHINE_CLASS(oc);

    mc->desc = "Bench for the Renesas IPMMU and R-Car SYS-DMAC (qtest only)";
    mc->init = bench_init;
    mc->max_cpus = 1;
    mc->default_cpu_type = ARM_CPU_TYPE_NAME("cortex-a57");
    mc->default_ram_size = 64 * MiB;
    mc->default_ram_id = "bench.ram";
    mc->no_serial = 1;
    mc->no_parallel = 1;
    mc->no_floppy = 1;
    mc->no_cdrom = 1;
    object_class_property_add_str(oc, "ipmmu-unkind", bench_get_unkind,
                                  bench_set_unkind);
}

static const TypeInfo bench_types[] = {
    {
        .name = TYPE_IPMMU_BENCH,
        .parent = TYPE_MACHINE,
        .instance_size = sizeof(IpmmuBenchState),
        .class_init = bench_class_init,
    },
};

DEFINE_TYPES(bench_types)
