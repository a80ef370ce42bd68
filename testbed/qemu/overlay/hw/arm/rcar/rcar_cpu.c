/*
 * R-Car: CPUs, their interrupt controller and timers, for any machine
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qobject/qlist.h"
#include "exec/address-spaces.h"
#include "hw/arm/rcar_h3.h"
#include "hw/cpu/cluster.h"
#include "hw/intc/arm_gic.h"
#include "hw/intc/arm_gicv3.h"
#include "hw/qdev-properties.h"
#include "target/arm/cpu.h"

/* EXTAL (16.67 MHz) / 2 */
#define COUNTER_HZ      8333333

/* MIDR of an H3's */
#define CORTEX_A57_R1P3 0x411fd073

/* Its CPUs are of one type, and are added before it is realized */
DeviceState *rcar_h3_new_cluster(RcarH3State *s, unsigned id)
{
    DeviceState *cluster = qdev_new(TYPE_CPU_CLUSTER);
    g_autofree char *name = g_strdup_printf("cluster%u", id);

    object_property_add_child(OBJECT(s), name, OBJECT(cluster));
    qdev_prop_set_uint32(cluster, "cluster-id", id);
    return cluster;
}

void rcar_h3_create_cpu(RcarH3State *s, Object *parent, const char *type,
                        uint64_t mpidr)
{
    Object *cpu = object_new(type);

    object_property_add_child(parent, "cpu[*]", cpu);
    object_property_set_bool(cpu, "has_el3", false, &error_abort);
    object_property_set_int(cpu, "mp-affinity", mpidr, &error_abort);
    if (!strcmp(type, ARM_CPU_TYPE_NAME("cortex-a57"))) {
        object_property_set_int(cpu, "midr", CORTEX_A57_R1P3, &error_abort);
    }
    object_property_set_int(cpu, "cntfrq", COUNTER_HZ, &error_abort);
    qdev_realize(DEVICE(cpu), NULL, &error_fatal);
    s->cpus[s->num_cpus++] = ARM_CPU(cpu);
    object_unref(cpu);
}

/*
 * The interfaces of GIC-400 are two pages of 4 KiB. The bus leaves out
 * address lines 15:12, so that each page repeats over 64 KiB.
 */
static void map_gic_interface(RcarH3State *s, int mmio, hwaddr base)
{
    MemoryRegion *pages = sysbus_mmio_get_region(SYS_BUS_DEVICE(s->gic), mmio);
    unsigned first = mmio == 1 ? 0 : 32;

    for (unsigned i = 0; i < 32; i++) {
        MemoryRegion *alias = &s->gic_pages[first + i];
        hwaddr page = i < 16 ? 0 : 0x1000;

        memory_region_init_alias(alias, OBJECT(s), "gic-page", pages, page,
                                 0x1000);
        memory_region_add_subregion(get_system_memory(), base + i * 0x1000,
                                    alias);
    }
}

static SysBusDevice *new_gic(RcarH3State *s, const char *type, unsigned num_spi)
{
    DeviceState *gic = qdev_new(type);

    s->gic = gic;
    s->num_spi = num_spi;
    object_property_add_child(OBJECT(s), "gic", OBJECT(gic));
    qdev_prop_set_uint32(gic, "num-cpu", s->num_cpus);
    qdev_prop_set_uint32(gic, "num-irq", num_spi + 32);
    return SYS_BUS_DEVICE(gic);
}

void rcar_h3_create_gic_400(RcarH3State *s, unsigned num_spi,
                            const hwaddr base[RCAR_GIC_400_REGIONS])
{
    SysBusDevice *gic = new_gic(s, TYPE_ARM_GIC, num_spi);

    qdev_prop_set_uint32(s->gic, "revision", 2);
    qdev_prop_set_bit(s->gic, "has-virtualization-extensions", true);
    sysbus_realize_and_unref(gic, &error_fatal);

    sysbus_mmio_map(gic, 0, base[0]);
    map_gic_interface(s, 1, base[1]);
    sysbus_mmio_map(gic, 2, base[2]);
    map_gic_interface(s, 3, base[3]);
}

void rcar_h3_create_gic_v3(RcarH3State *s, unsigned num_spi,
                           hwaddr distributor, hwaddr redistributors)
{
    SysBusDevice *gic = new_gic(s, TYPE_ARM_GICV3, num_spi);
    QList *counts = qlist_new();

    s->has_gic_v3 = true;
    qlist_append_int(counts, s->num_cpus);
    qdev_prop_set_array(s->gic, "redist-region-count", counts);
    qdev_prop_set_uint32(s->gic, "revision", 3);
    sysbus_realize_and_unref(gic, &error_fatal);

    sysbus_mmio_map(gic, 0, distributor);
    sysbus_mmio_map(gic, 1, redistributors);
}

static qemu_irq gic_ppi(RcarH3State *s, unsigned cpu, unsigned ppi)
{
    return qdev_get_gpio_in(s->gic, s->num_spi + cpu * 32 + 16 + ppi);
}

void rcar_h3_connect_cpus(RcarH3State *s, const RcarPpis *ppis)
{
    static const int gic_out[] = {
        ARM_CPU_IRQ, ARM_CPU_FIQ, ARM_CPU_VIRQ, ARM_CPU_VFIQ,
    };
    SysBusDevice *gic = SYS_BUS_DEVICE(s->gic);

    for (unsigned n = 0; n < s->num_cpus; n++) {
        DeviceState *cpu = DEVICE(s->cpus[n]);
        qemu_irq maintenance = gic_ppi(s, n, ppis->maintenance);

        for (int i = 0; i < ARRAY_SIZE(ppis->timer); i++) {
            if (ppis->timer[i]) {
                qdev_connect_gpio_out(cpu, i, gic_ppi(s, n, ppis->timer[i]));
            }
        }
        for (int i = 0; i < ARRAY_SIZE(gic_out); i++) {
            sysbus_connect_irq(gic, i * s->num_cpus + n,
                               qdev_get_gpio_in(cpu, gic_out[i]));
        }
        if (s->has_gic_v3) {
            qdev_connect_gpio_out_named(cpu, "gicv3-maintenance-interrupt", 0,
                                        maintenance);
        } else {
            sysbus_connect_irq(gic, ARRAY_SIZE(gic_out) * s->num_cpus + n,
                               maintenance);
        }
    }
}
