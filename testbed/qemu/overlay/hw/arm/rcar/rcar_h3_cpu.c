/*
 * R-Car H3: CPUs, interrupt controller and timers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "exec/address-spaces.h"
#include "hw/arm/rcar_h3.h"
#include "hw/cpu/cluster.h"
#include "hw/intc/arm_gic.h"
#include "hw/qdev-properties.h"
#include "target/arm/cpu.h"
#include "target/arm/gtimer.h"

#define NUM_SPI         480

#define GICD_BASE       0xf1010000
#define GICC_BASE       0xf1020000
#define GICH_BASE       0xf1040000
#define GICV_BASE       0xf1060000

/* Private interrupts, numbered from 0 as in the device tree */
#define PPI_MAINTENANCE 9
#define PPI_HYP_TIMER   10
#define PPI_VIRT_TIMER  11
#define PPI_SEC_TIMER   13
#define PPI_PHYS_TIMER  14

/* EXTAL (16.67 MHz) / 2 */
#define COUNTER_HZ      8333333

/*
 * Two clusters; the second one is there with more than four CPUs only. The
 * first one's CPUs are the machine's to choose.
 */
static const struct {
    const char *cpu_type;
    uint64_t mpidr;             /* of its first CPU */
    unsigned pmu_spi;
} clusters[] = {
    { NULL, 0x000, 72 },
    { ARM_CPU_TYPE_NAME("cortex-a53"), 0x100, 84 },
};

#define CPUS_PER_CLUSTER 4

/* MIDR of an H3's */
#define CORTEX_A57_R1P3  0x411fd073

static void create_cluster(RcarH3State *s, unsigned c, unsigned num_cpus)
{
    DeviceState *cluster = qdev_new(TYPE_CPU_CLUSTER);
    const char *cpu_type = clusters[c].cpu_type ?: MACHINE(s)->cpu_type;
    g_autofree char *cluster_name = g_strdup_printf("cluster%u", c);

    object_property_add_child(OBJECT(s), cluster_name, OBJECT(cluster));
    qdev_prop_set_uint32(cluster, "cluster-id", c);

    for (unsigned i = 0; i < num_cpus; i++) {
        Object *cpu = object_new(cpu_type);

        object_property_add_child(OBJECT(cluster), "cpu[*]", cpu);
        object_property_set_bool(cpu, "has_el3", false, &error_abort);
        object_property_set_int(cpu, "mp-affinity", clusters[c].mpidr + i,
                                &error_abort);
        if (!strcmp(cpu_type, ARM_CPU_TYPE_NAME("cortex-a57"))) {
            object_property_set_int(cpu, "midr", CORTEX_A57_R1P3, &error_abort);
        }
        object_property_set_int(cpu, "cntfrq", COUNTER_HZ, &error_abort);
        qdev_realize(DEVICE(cpu), NULL, &error_fatal);
        s->cpus[c * CPUS_PER_CLUSTER + i] = ARM_CPU(cpu);
        object_unref(cpu);
    }
    qdev_realize_and_unref(cluster, NULL, &error_fatal);
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

static void create_gic(RcarH3State *s, unsigned num_cpus)
{
    DeviceState *gic = qdev_new(TYPE_ARM_GIC);
    SysBusDevice *sbd = SYS_BUS_DEVICE(gic);

    s->gic = gic;
    object_property_add_child(OBJECT(s), "gic", OBJECT(gic));
    qdev_prop_set_uint32(gic, "num-cpu", num_cpus);
    qdev_prop_set_uint32(gic, "num-irq", NUM_SPI + 32);
    qdev_prop_set_uint32(gic, "revision", 2);
    qdev_prop_set_bit(gic, "has-virtualization-extensions", true);
    sysbus_realize_and_unref(sbd, &error_fatal);

    sysbus_mmio_map(sbd, 0, GICD_BASE);
    map_gic_interface(s, 1, GICC_BASE);
    sysbus_mmio_map(sbd, 2, GICH_BASE);
    map_gic_interface(s, 3, GICV_BASE);
}

static qemu_irq gic_ppi(RcarH3State *s, unsigned cpu, unsigned ppi)
{
    return qdev_get_gpio_in(s->gic, NUM_SPI + cpu * 32 + 16 + ppi);
}

static void connect_cpu(RcarH3State *s, unsigned n, unsigned num_cpus)
{
    static const int timer_ppi[] = {
        [GTIMER_PHYS] = PPI_PHYS_TIMER,
        [GTIMER_VIRT] = PPI_VIRT_TIMER,
        [GTIMER_HYP] = PPI_HYP_TIMER,
        [GTIMER_SEC] = PPI_SEC_TIMER,
    };
    static const int gic_out[] = {
        ARM_CPU_IRQ, ARM_CPU_FIQ, ARM_CPU_VIRQ, ARM_CPU_VFIQ,
    };
    SysBusDevice *sbd = SYS_BUS_DEVICE(s->gic);
    DeviceState *cpu = DEVICE(s->cpus[n]);
    unsigned pmu_spi = clusters[n / CPUS_PER_CLUSTER].pmu_spi;

    for (int i = 0; i < ARRAY_SIZE(timer_ppi); i++) {
        qdev_connect_gpio_out(cpu, i, gic_ppi(s, n, timer_ppi[i]));
    }
    for (int i = 0; i < ARRAY_SIZE(gic_out); i++) {
        sysbus_connect_irq(sbd, i * num_cpus + n,
                           qdev_get_gpio_in(cpu, gic_out[i]));
    }
    sysbus_connect_irq(sbd, ARRAY_SIZE(gic_out) * num_cpus + n,
                       gic_ppi(s, n, PPI_MAINTENANCE));
    qdev_connect_gpio_out_named(cpu, "pmu-interrupt", 0,
                                rcar_h3_spi(s, pmu_spi + n % CPUS_PER_CLUSTER));
}

void rcar_h3_create_cpus(RcarH3State *s)
{
    unsigned num_cpus = MACHINE(s)->smp.cpus;
    unsigned num_a57 = MIN(num_cpus, CPUS_PER_CLUSTER);

    create_cluster(s, 0, num_a57);
    if (num_cpus > num_a57) {
        create_cluster(s, 1, num_cpus - num_a57);
    }
    create_gic(s, num_cpus);
    for (unsigned n = 0; n < num_cpus; n++) {
        connect_cpu(s, n, num_cpus);
    }
}
