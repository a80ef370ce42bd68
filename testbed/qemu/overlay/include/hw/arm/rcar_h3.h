/*
 * R-Car H3 (R8A77951) on the Starter Kit Premier (ULCB)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_ARM_RCAR_H3_H
#define HW_ARM_RCAR_H3_H

#include "hw/arm/boot.h"
#include "hw/boards.h"
#include "hw/misc/rcar_sysc.h"
#include "qemu/notify.h"
#include "qemu/units.h"
#include "target/arm/cpu-qom.h"

#define TYPE_RCAR_H3_MACHINE MACHINE_TYPE_NAME("rcar-h3")
OBJECT_DECLARE_SIMPLE_TYPE(RcarH3State, RCAR_H3_MACHINE)

#define RCAR_H3_MAX_CPUS    8
#define RCAR_H3_RAM_SIZE    (4 * GiB)

/* The first bank, without the part that belongs to the secure world */
#define RCAR_H3_RAM_LOW         0x48000000
#define RCAR_H3_RAM_LOW_SIZE    0x38000000

struct RcarH3State {
    MachineState parent_obj;

    /* Properties */
    uint32_t prr;
    bool power_areas;
    char *extra_ipmmu;
    char *ipmmu_unkind;
    bool traffic;

    struct arm_boot_info bootinfo;
    MemoryRegion ram_banks[4];
    MemoryRegion gic_pages[64];
    ARMCPU *cpus[RCAR_H3_MAX_CPUS];
    DeviceState *gic;
    RcarSyscState *sysc;
    Notifier suspend_notifier;
};

/*
 * Makes @dev the child @name of the machine (the label that the device tree
 * has for it), realizes it, and maps its registers at @base.
 */
void rcar_h3_add_device(RcarH3State *s, const char *name, DeviceState *dev,
                        hwaddr base);

/* Input @n of the interrupt controller, numbered as GIC_SPI in device trees */
qemu_irq rcar_h3_spi(RcarH3State *s, unsigned n);

/* CPUs, interrupt controller and timers: rcar_h3_cpu.c */
void rcar_h3_create_cpus(RcarH3State *s);

/* IPMMUs, and the bus masters behind them: rcar_h3_ipmmu.c */
void rcar_h3_create_ipmmus(RcarH3State *s);
void rcar_h3_create_dmacs(RcarH3State *s);
void rcar_h3_create_extra_ipmmu(RcarH3State *s, const char *generation);
void rcar_h3_create_traffic(RcarH3State *s);

/* Serial ports, with the DMA controllers at hand: rcar_h3_serial.c */
void rcar_h3_create_serial_ports(RcarH3State *s);

/* GPIO, and the SD card slot and eMMC that are wired to it: rcar_h3_storage.c */
void rcar_h3_create_gpios(RcarH3State *s);
void rcar_h3_create_storage(RcarH3State *s);

/* PCI Express, each host with a slot: rcar_h3_pcie.c */
void rcar_h3_create_pcie(RcarH3State *s);

/* What firmware does until the kernel's entry point: rcar_h3_boot.c */
void rcar_h3_boot(RcarH3State *s);

#endif
