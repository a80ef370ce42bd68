/*
 * Renesas SDHI of R-Car Gen3: SD card and eMMC host with its own DMAC
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * QEMU interface:
 *  + sysbus MMIO region 0: the registers
 *  + sysbus IRQ 0: level
 *  + bus "sd-bus": where a card goes
 *  + named GPIO output "inserted": whether a card is there
 *  + named GPIO input "power": of the card, on unless connected; the card
 *    forgets what it was told when it is switched on
 *  + renesas_sdhi_set_dma_as(): where the DMAC's transactions go
 *  + property "version": what the VERSION register says
 *  + QOM "guest-errors", "dma-transfers", "dma-blocks", "pio-blocks"
 *    (uint64, ro): counted since QEMU started, not affected by reset
 */

#ifndef HW_SD_RENESAS_SDHI_H
#define HW_SD_RENESAS_SDHI_H

#include "exec/memory.h"
#include "hw/sd/sd.h"
#include "hw/sysbus.h"
#include "qom/object.h"

#define TYPE_RENESAS_SDHI "renesas-sdhi"
OBJECT_DECLARE_SIMPLE_TYPE(RenesasSdhiState, RENESAS_SDHI)

#define RENESAS_SDHI_MMIO_SIZE  0x2000
#define RENESAS_SDHI_MAX_BLOCK  512

#define RENESAS_SDHI_VERSION_SD     0xcc10  /* SD cards only */
#define RENESAS_SDHI_VERSION_SDMMC  0xcd10

/* Lost at reset */
typedef struct RenesasSdhiRegs {
    uint32_t values[RENESAS_SDHI_MMIO_SIZE / 8];    /* registers are 8 apart */

    /* The transfer that the last command began */
    bool reading;
    bool writing;
    bool stop_at_end;           /* with a CMD12 of the controller's own */
    uint32_t blocks_left;
    bool dma_running;

    /* One block, between the card and the data port */
    uint8_t block[RENESAS_SDHI_MAX_BLOCK];
    unsigned position;
} RenesasSdhiRegs;

struct RenesasSdhiState {
    SysBusDevice parent_obj;

    MemoryRegion iomem;
    SDBus bus;
    qemu_irq irq;
    qemu_irq inserted;
    AddressSpace *dma_as;
    QEMUBH *dma_bh;
    QEMUTimer *data_timeout;
    VMChangeStateEntry *vm_change;
    uint16_t version;

    RenesasSdhiRegs regs;

    /* Never reset */
    bool powered;
    uint64_t guest_errors;
    uint64_t dma_transfers;
    uint64_t dma_blocks;
    uint64_t pio_blocks;
};

/* Without a call, the DMAC sees the system's memory untranslated */
void renesas_sdhi_set_dma_as(RenesasSdhiState *s, AddressSpace *as);

#endif
