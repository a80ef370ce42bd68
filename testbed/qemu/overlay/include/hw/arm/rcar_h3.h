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
#include "hw/misc/renesas_ipmmu.h"
#include "qemu/notify.h"
#include "qemu/units.h"
#include "target/arm/cpu-qom.h"
#include "target/arm/gtimer.h"

#define TYPE_RCAR_H3_MACHINE MACHINE_TYPE_NAME("rcar-h3")
OBJECT_DECLARE_SIMPLE_TYPE(RcarH3State, RCAR_H3_MACHINE)

#define RCAR_H3_MAX_CPUS    8
#define RCAR_H3_RAM_SIZE    (4 * GiB)

/* The first bank, without the part that belongs to the secure world */
#define RCAR_H3_RAM_LOW         0x48000000
#define RCAR_H3_RAM_LOW_SIZE    0x38000000

/* GIC-400: distributor, CPU interface, and those of its virtualization */
#define RCAR_GIC_400_REGIONS    4

/* Private interrupts, numbered from 0 as in the device tree; 0: not wired */
typedef struct RcarPpis {
    unsigned maintenance;
    unsigned timer[NUM_GTIMERS];
} RcarPpis;

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
    unsigned num_cpus;
    DeviceState *gic;
    bool has_gic_v3;
    unsigned num_spi;
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

/* Parts of any machine's CPUs, in the order of their use: rcar_cpu.c */
DeviceState *rcar_h3_new_cluster(RcarH3State *s, unsigned id);
void rcar_h3_create_cpu(RcarH3State *s, Object *cluster, const char *type,
                        uint64_t mpidr);
void rcar_h3_create_gic_400(RcarH3State *s, unsigned num_spi,
                            const hwaddr base[RCAR_GIC_400_REGIONS]);
void rcar_h3_create_gic_v3(RcarH3State *s, unsigned num_spi,
                           hwaddr distributor, hwaddr redistributors);
void rcar_h3_connect_cpus(RcarH3State *s, const RcarPpis *ppis);

/* CPUs, interrupt controller and timers: rcar_h3_cpu.c */
void rcar_h3_create_cpus(RcarH3State *s);

/* IPMMUs, and the bus masters behind them: rcar_h3_ipmmu.c */
RenesasIPMMUState *rcar_h3_new_ipmmu(RcarH3State *s, const char *name,
                                     hwaddr base, const char *generation,
                                     RenesasIPMMUState *root);
void rcar_h3_create_ipmmus(RcarH3State *s);
void rcar_h3_create_dmacs(RcarH3State *s);
void rcar_h3_create_extra_ipmmu(RcarH3State *s, const char *generation);
void rcar_h3_create_traffic(RcarH3State *s);

/* Serial ports, with the DMA controllers at hand: rcar_h3_serial.c */
void rcar_h3_create_serial_ports(RcarH3State *s);

/* GPIO, and the SD card slot and eMMC that are wired to it: rcar_h3_storage.c */
DeviceState *rcar_h3_new_sdhi(RcarH3State *s, const char *name, hwaddr base,
                              bool is_emmc, AddressSpace *dma);
/* Puts the card of -drive if=sd,index=@index into @sdhi, if there is one */
void rcar_h3_insert_card(DeviceState *sdhi, bool is_emmc, int index);
void rcar_h3_create_gpios(RcarH3State *s);
void rcar_h3_create_storage(RcarH3State *s);

/* PCI Express, each host with a slot: rcar_h3_pcie.c */
void rcar_h3_create_pcie(RcarH3State *s);

/* PSCI SYSTEM_SUSPEND, in which everything but RAM loses its power */
void rcar_h3_support_suspend(RcarH3State *s);

/*
 * What firmware does until the kernel's entry point: rcar_h3_boot.c. The caller
 * has said in bootinfo where the RAM is.
 */
void rcar_h3_boot(RcarH3State *s);

#endif
