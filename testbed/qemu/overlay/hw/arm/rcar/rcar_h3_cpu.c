/*
 * R-Car H3: CPUs, interrupt controller and timers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/arm/rcar_h3.h"
#include "hw/qdev-properties.h"
#include "target/arm/cpu.h"

#define NUM_SPI         480

static const hwaddr gic_base[RCAR_GIC_400_REGIONS] = {
    0xf1010000, 0xf1020000, 0xf1040000, 0xf1060000,
};

static const RcarPpis ppis = {
    .maintenance = 9,
    .timer = {
        [GTIMER_PHYS] = 14,
        [GTIMER_VIRT] = 11,
        [GTIMER_HYP] = 10,
        [GTIMER_SEC] = 13,
    },
};

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

static void create_cluster(RcarH3State *s, unsigned c, unsigned num_cpus)
{
    DeviceState *cluster = rcar_h3_new_cluster(s, c);
    const char *cpu_type = clusters[c].cpu_type ?: MACHINE(s)->cpu_type;

    for (unsigned i = 0; i < num_cpus; i++) {
        rcar_h3_create_cpu(s, OBJECT(cluster), cpu_type,
                           clusters[c].mpidr + i);
    }
    qdev_realize_and_unref(cluster, NULL, &error_fatal);
}

void rcar_h3_create_cpus(RcarH3State *s)
{
    unsigned num_cpus = MACHINE(s)->smp.cpus;
    unsigned num_a57 = MIN(num_cpus, CPUS_PER_CLUSTER);

    create_cluster(s, 0, num_a57);
    if (num_cpus > num_a57) {
        create_cluster(s, 1, num_cpus - num_a57);
    }
    rcar_h3_create_gic_400(s, NUM_SPI, gic_base);
    rcar_h3_connect_cpus(s, &ppis);
    for (unsigned n = 0; n < num_cpus; n++) {
        unsigned pmu_spi = clusters[n / CPUS_PER_CLUSTER].pmu_spi;

        qdev_connect_gpio_out_named(DEVICE(s->cpus[n]), "pmu-interrupt", 0,
            rcar_h3_spi(s, pmu_spi + n % CPUS_PER_CLUSTER));
    }
}
