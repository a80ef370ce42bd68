/*
 * Renesas SCIF: serial communication interface with FIFO
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * QEMU interface:
 *  + sysbus MMIO region 0: the registers
 *  + sysbus IRQ 0: the combined interrupt, level
 *  + GPIO outputs "tx-request", "rx-request", as many as there may be DMA
 *    controllers: the FIFO has room, has data
 *  + property "chardev"
 *  + property "hscif" (bool): it is an HSCIF, the fast variant
 *  + QOM "guest-errors" (uint64, ro): not affected by reset
 *
 * A character that arrives while the machine is suspended wakes it, and is
 * lost: the receiver had no clock.
 */

#ifndef HW_CHAR_RENESAS_SCIF_H
#define HW_CHAR_RENESAS_SCIF_H

#include "chardev/char-fe.h"
#include "hw/sysbus.h"
#include "qemu/fifo8.h"
#include "qom/object.h"

#define TYPE_RENESAS_SCIF "renesas-scif"
OBJECT_DECLARE_SIMPLE_TYPE(RenesasSCIFState, RENESAS_SCIF)

/* The most that are wired to one port */
#define RENESAS_SCIF_DMACS 2

struct RenesasSCIFState {
    SysBusDevice parent_obj;

    MemoryRegion mmio;
    qemu_irq irq;
    qemu_irq tx_request[RENESAS_SCIF_DMACS];
    qemu_irq rx_request[RENESAS_SCIF_DMACS];
    CharBackend chr;
    bool hscif;
    guint tx_watch;         /* set while the backend cannot take more */

    Fifo8 tx;
    Fifo8 rx;
    uint16_t scsmr;
    uint16_t scbrr;
    uint16_t scscr;
    uint16_t errors;        /* the error bits of SCFSR, until cleared */
    uint16_t scfcr;
    uint16_t scsptr;
    uint16_t sclsr;
    uint16_t dl;
    uint16_t cks;
    uint16_t hscif_regs[3]; /* HSSRR, HSRTRGR, HSTTRGR */

    uint64_t guest_errors;
};

#endif
