/*
 * PCI Express host bridge of R-Car Gen2 and Gen3
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * QEMU interface:
 *  + sysbus MMIO region 0: the registers
 *  + sysbus MMIO regions 1 to 4: where the CPU reaches the outbound windows
 *  + sysbus IRQ 0: INTx and MSI, level
 *  + rcar_pcie_set_dma_as(): where transactions that come through inbound
 *    windows with an OSID go
 *  + property "osid" (bool): function n of the card has OSID n + 1, by which a
 *    host of Gen4 tells the IPMMU the requester, and the root port has ACS. All
 *    else has OSID 0
 *  + a PCI bus with the name that the device has in its parent: the slot, for
 *    one device of up to eight functions (-device TYPE,bus=NAME,addr=0.N)
 *  + QOM "guest-errors" (uint64, ro), as in all register blocks
 *  + QOM "msis" (uint64, ro): messages received since QEMU started
 */

#ifndef HW_PCI_HOST_RCAR_PCIE_H
#define HW_PCI_HOST_RCAR_PCIE_H

#include "hw/misc/rcar_regs.h"
#include "hw/pci/pci_bridge.h"
#include "hw/pci/pci_host.h"
#include "qom/object.h"

#define RCAR_PCIE_INBOUND   6
#define RCAR_PCIE_OUTBOUND  4
#define RCAR_PCIE_INTX      4
#define RCAR_PCIE_OSIDS     9

/* The bus side: what the registers open windows into */
#define TYPE_RCAR_PCIE_BRIDGE "rcar-pcie-bridge"
OBJECT_DECLARE_SIMPLE_TYPE(RcarPcieBridgeState, RCAR_PCIE_BRIDGE)

struct RcarPcieBridgeState {
    PCIHostState parent_obj;

    const char *bus_name;       /* set before it is realized */
    PCIBridge root_port;
    MemoryRegion mem;           /* seen by the CPU, through outbound windows */
    MemoryRegion mem_devices;
    MemoryRegion io;
    MemoryRegion io_devices;
    bool has_osids;
    /* Seen by devices with each OSID; inbound windows are in it */
    MemoryRegion dma[RCAR_PCIE_OSIDS];
    AddressSpace dma_as[RCAR_PCIE_OSIDS];
    qemu_irq intx[RCAR_PCIE_INTX];
};

/* The slot's device has this function, and it answers; NULL otherwise */
PCIDevice *rcar_pcie_bridge_find(RcarPcieBridgeState *b, unsigned bus,
                                 unsigned devfn);

/* How many OSIDs there are */
unsigned rcar_pcie_bridge_osids(const RcarPcieBridgeState *b);

/* Whether there is a device in the slot */
bool rcar_pcie_bridge_has_device(RcarPcieBridgeState *b);

/* The registers */
#define TYPE_RCAR_PCIE "rcar-pcie"
OBJECT_DECLARE_TYPE(RcarPcieState, RcarPcieClass, RCAR_PCIE)

typedef struct RcarPcieOutbound {
    MemoryRegion cpu;           /* fixed, in the SoC's memory map */
    MemoryRegion mem;           /* one of these at a time is in it */
    MemoryRegion io;
} RcarPcieOutbound;

struct RcarPcieState {
    RcarRegsState parent_obj;

    RcarPcieBridgeState bridge;
    RcarPcieOutbound outbound[RCAR_PCIE_OUTBOUND];
    MemoryRegion inbound[RCAR_PCIE_OSIDS][RCAR_PCIE_INBOUND];
    MemoryRegion msi[RCAR_PCIE_OSIDS];
    AddressSpace *dma_as[RCAR_PCIE_OSIDS];
    uint8_t intx;               /* levels of the lines */
    uint64_t msis;
    qemu_irq irq;
};

struct RcarPcieClass {
    RcarRegsClass parent_class;

    ResettablePhases parent_phases;
};

/* To be called before @s is realized, for each OSID that there is */
void rcar_pcie_set_dma_as(RcarPcieState *s, unsigned osid, AddressSpace *as);

#endif
