/*
 * R-Car H3 (R8A77951) on the Starter Kit Premier (ULCB): the machine
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Addresses and interrupts are those of Linux' r8a77951.dtsi and
 * r8a77951-ulcb.dts, and devices have the labels that they have there.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "qemu/error-report.h"
#include "exec/address-spaces.h"
#include "hw/arm/rcar_h3.h"
#include "hw/misc/rcar_soc.h"
#include "hw/misc/renesas_ipmmu.h"
#include "hw/qdev-properties.h"
#include "hw/resettable.h"
#include "hw/sysbus.h"
#include "system/reset.h"
#include "system/runstate.h"
#include "target/arm/arm-powerctl.h"

/* H3, cut 3.0 */
#define RCAR_H3_PRR_DEFAULT 0x00004f20

/* The banks of the device tree; the first 128 MiB are the secure world's */
static const struct {
    hwaddr base;
    uint64_t offset;
    uint64_t size;
} ram_banks[] = {
    { RCAR_H3_RAM_LOW, 128 * MiB, RCAR_H3_RAM_LOW_SIZE },
    { 0x500000000, 1 * GiB, 1 * GiB },
    { 0x600000000, 2 * GiB, 1 * GiB },
    { 0x700000000, 3 * GiB, 1 * GiB },
};

/* Devices without interrupts or other wires */
static const struct {
    const char *name;
    const char *type;
    hwaddr base;
} plain_devices[] = {
    { "pfc", TYPE_RCAR_PFC, 0xe6060000 },
    { "cpg", TYPE_RCAR_CPG, 0xe6150000 },
    { "rst", TYPE_RCAR_RST, 0xe6160000 },
    { "intc_ex", TYPE_RCAR_INTC_EX, 0xe61c0000 },
};

void rcar_h3_add_device(RcarH3State *s, const char *name, DeviceState *dev,
                        hwaddr base)
{
    object_property_add_child(OBJECT(s), name, OBJECT(dev));
    sysbus_realize_and_unref(SYS_BUS_DEVICE(dev), &error_fatal);
    sysbus_mmio_map(SYS_BUS_DEVICE(dev), 0, base);
}

qemu_irq rcar_h3_spi(RcarH3State *s, unsigned n)
{
    return qdev_get_gpio_in(s->gic, n);
}

static void create_ram(RcarH3State *s, MachineState *machine)
{
    MemoryRegion *sysmem = get_system_memory();

    for (int i = 0; i < ARRAY_SIZE(ram_banks); i++) {
        g_autofree char *name = g_strdup_printf("ram-bank%d", i);

        memory_region_init_alias(&s->ram_banks[i], OBJECT(s), name,
                                 machine->ram, ram_banks[i].offset,
                                 ram_banks[i].size);
        memory_region_add_subregion(sysmem, ram_banks[i].base,
                                    &s->ram_banks[i]);
    }
}

static void create_system_devices(RcarH3State *s)
{
    DeviceState *dev;

    /* What no device claims: a read gives 0, and is held against the guest */
    dev = qdev_new(TYPE_RCAR_NO_DEVICE);
    object_property_add_child(OBJECT(s), "no-device", OBJECT(dev));
    sysbus_realize_and_unref(SYS_BUS_DEVICE(dev), &error_fatal);
    sysbus_mmio_map_overlap(SYS_BUS_DEVICE(dev), 0, 0xe0000000, -1000);

    for (int i = 0; i < ARRAY_SIZE(plain_devices); i++) {
        rcar_h3_add_device(s, plain_devices[i].name,
                           qdev_new(plain_devices[i].type),
                           plain_devices[i].base);
    }

    dev = qdev_new(TYPE_RCAR_SYSC);
    s->sysc = RCAR_SYSC(dev);
    rcar_h3_add_device(s, "sysc", dev, 0xe6180000);

    dev = qdev_new(TYPE_RCAR_PRR);
    qdev_prop_set_uint32(dev, "value", s->prr);
    rcar_h3_add_device(s, "chipid", dev, 0xfff00044);
}

/* All devices, but for a GICv3: the firmware saves it, and brings it back */
static void reset_devices(RcarH3State *s, ResetType type)
{
    BusState *bus = sysbus_get_default();
    BusChild *kid;

    if (!s->has_gic_v3) {
        resettable_reset(OBJECT(bus), type);
        return;
    }
    QTAILQ_FOREACH(kid, &bus->children, sibling) {
        if (kid->child != s->gic) {
            resettable_reset(OBJECT(kid->child), type);
        }
    }
}

/*
 * SYSTEM_SUSPEND takes the power from everything but RAM, which refreshes
 * itself. Devices forget at once, so that whoever looks into a suspended
 * machine sees what is left. This is no reset of the machine, which would
 * load the kernel into RAM again.
 */
static void rcar_h3_suspend(Notifier *notifier, void *data)
{
    RcarH3State *s = container_of(notifier, RcarH3State, suspend_notifier);

    renesas_ipmmu_set_falling_asleep(true);
    reset_devices(s, RESET_TYPE_COLD);
    renesas_ipmmu_set_falling_asleep(false);
}

static void rcar_h3_wakeup(MachineState *machine)
{
    reset_devices(RCAR_H3_MACHINE(machine), RESET_TYPE_WAKEUP);
    arm_psci_system_resume();
}

void rcar_h3_support_suspend(RcarH3State *s)
{
    arm_psci_support_system_suspend();
    qemu_register_wakeup_support();
    s->suspend_notifier.notify = rcar_h3_suspend;
    qemu_register_suspend_notifier(&s->suspend_notifier);
}

static void rcar_h3_init(MachineState *machine)
{
    RcarH3State *s = RCAR_H3_MACHINE(machine);

    if (machine->ram_size != RCAR_H3_RAM_SIZE) {
        error_report("this board has 4 GiB of RAM, not more, not less");
        exit(1);
    }
    if (machine->smp.cpus > 4 &&
        strcmp(machine->cpu_type, MACHINE_GET_CLASS(s)->default_cpu_type)) {
        error_report("there are four CPUs of this type at most");
        exit(1);
    }
    create_ram(s, machine);
    rcar_h3_create_cpus(s);
    create_system_devices(s);
    rcar_h3_create_ipmmus(s);
    rcar_h3_create_dmacs(s);
    rcar_h3_create_serial_ports(s);
    rcar_h3_create_gpios(s);
    rcar_h3_create_storage(s);
    rcar_h3_create_pcie(s);
    if (s->extra_ipmmu) {
        rcar_h3_create_extra_ipmmu(s, s->extra_ipmmu);
    }
    if (s->traffic) {
        rcar_h3_create_traffic(s);
    }

    rcar_h3_support_suspend(s);
    s->bootinfo.loader_start = RCAR_H3_RAM_LOW;
    s->bootinfo.ram_size = RCAR_H3_RAM_LOW_SIZE;
    rcar_h3_boot(s);
}

static int add_guest_errors(Object *child, void *opaque)
{
    uint64_t *sum = opaque;

    if (object_property_find(child, "guest-errors")) {
        *sum += object_property_get_uint(child, "guest-errors", &error_abort);
    }
    return 0;
}

static void get_guest_errors(Object *obj, Visitor *v, const char *name,
                             void *opaque, Error **errp)
{
    uint64_t sum = 0;

    object_child_foreach(obj, add_guest_errors, &sum);
    visit_type_uint64(v, name, &sum, errp);
}

static void get_prr(Object *obj, Visitor *v, const char *name, void *opaque,
                    Error **errp)
{
    visit_type_uint32(v, name, &RCAR_H3_MACHINE(obj)->prr, errp);
}

static void set_prr(Object *obj, Visitor *v, const char *name, void *opaque,
                    Error **errp)
{
    visit_type_uint32(v, name, &RCAR_H3_MACHINE(obj)->prr, errp);
}

static bool get_power_areas(Object *obj, Error **errp)
{
    return RCAR_H3_MACHINE(obj)->power_areas;
}

static void set_power_areas(Object *obj, bool value, Error **errp)
{
    RCAR_H3_MACHINE(obj)->power_areas = value;
}

static char *get_extra_ipmmu(Object *obj, Error **errp)
{
    return g_strdup(RCAR_H3_MACHINE(obj)->extra_ipmmu);
}

static void set_extra_ipmmu(Object *obj, const char *value, Error **errp)
{
    RcarH3State *s = RCAR_H3_MACHINE(obj);

    g_free(s->extra_ipmmu);
    s->extra_ipmmu = g_strdup(value);
}

static char *get_ipmmu_unkind(Object *obj, Error **errp)
{
    return g_strdup(RCAR_H3_MACHINE(obj)->ipmmu_unkind);
}

static void set_ipmmu_unkind(Object *obj, const char *value, Error **errp)
{
    RcarH3State *s = RCAR_H3_MACHINE(obj);

    g_free(s->ipmmu_unkind);
    s->ipmmu_unkind = g_strdup(value);
}

static bool get_traffic(Object *obj, Error **errp)
{
    return RCAR_H3_MACHINE(obj)->traffic;
}

static void set_traffic(Object *obj, bool value, Error **errp)
{
    RCAR_H3_MACHINE(obj)->traffic = value;
}

static void add_properties(ObjectClass *klass)
{
    object_class_property_add(klass, "prr", "uint32", get_prr, set_prr,
                              NULL, NULL);
    object_class_property_set_description(klass, "prr",
        "Product register: 0x4f20 is H3 cut 3.0");

    object_class_property_add_bool(klass, "power-areas",
                                   get_power_areas, set_power_areas);
    object_class_property_set_description(klass, "power-areas",
        "Devices lose their state when SYSC powers their area off");

    object_class_property_add_str(klass, "extra-ipmmu",
                                  get_extra_ipmmu, set_extra_ipmmu);
    object_class_property_set_description(klass, "extra-ipmmu",
        "gen2, gen3 or gen4: one more IPMMU with a DMA controller behind it");

    object_class_property_add_str(klass, "ipmmu-unkind",
                                  get_ipmmu_unkind, set_ipmmu_unkind);
    object_class_property_set_description(klass, "ipmmu-unkind",
        "Words joined by '+', or all: how every IPMMU is unkind");

    object_class_property_add_bool(klass, "traffic",
                                   get_traffic, set_traffic);
    object_class_property_set_description(klass, "traffic",
        "Two bus masters that never stop, for tests");

    object_class_property_add(klass, "guest-errors", "uint64",
                              get_guest_errors, NULL, NULL, NULL);
    object_class_property_set_description(klass, "guest-errors",
        "Accesses to registers that do not exist, since QEMU started");
}

static void rcar_h3_instance_init(Object *obj)
{
    RCAR_H3_MACHINE(obj)->prr = RCAR_H3_PRR_DEFAULT;
}

static void rcar_h3_instance_finalize(Object *obj)
{
    g_free(RCAR_H3_MACHINE(obj)->extra_ipmmu);
    g_free(RCAR_H3_MACHINE(obj)->ipmmu_unkind);
}

static void rcar_h3_class_init(ObjectClass *klass, void *data)
{
    /* No H3 has the second one: it is there to run 32-bit kernels */
    static const char * const cpu_types[] = {
        ARM_CPU_TYPE_NAME("cortex-a57"),
        ARM_CPU_TYPE_NAME("cortex-a15"),
        NULL
    };
    MachineClass *mc = MACHINE_CLASS(klass);

    mc->desc = "R-Car H3 Starter Kit Premier (Cortex-A57)";
    mc->default_cpu_type = cpu_types[0];
    mc->valid_cpu_types = cpu_types;
    mc->init = rcar_h3_init;
    mc->wakeup = rcar_h3_wakeup;
    mc->default_cpus = 4;
    mc->max_cpus = RCAR_H3_MAX_CPUS;
    mc->default_ram_size = RCAR_H3_RAM_SIZE;
    mc->default_ram_id = "rcar-h3.ram";
    mc->no_floppy = true;
    mc->no_cdrom = true;
    mc->no_parallel = true;
    add_properties(klass);
}

static const TypeInfo rcar_h3_type = {
    .name = TYPE_RCAR_H3_MACHINE,
    .parent = TYPE_MACHINE,
    .instance_size = sizeof(RcarH3State),
    .instance_init = rcar_h3_instance_init,
    .instance_finalize = rcar_h3_instance_finalize,
    .class_init = rcar_h3_class_init,
};

static void rcar_h3_register_types(void)
{
    type_register_static(&rcar_h3_type);
}

type_init(rcar_h3_register_types)
