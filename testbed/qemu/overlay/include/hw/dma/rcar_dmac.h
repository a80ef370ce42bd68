/*
 * R-Car SYS-DMAC (Direct Memory Access Controller for System)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * QEMU interface:
 *  + property "gen4" (bool): the channels have a region of their own
 *  + sysbus MMIO region 0: the registers; 1, with "gen4": those of the channels
 *  + sysbus IRQ 0: address error of any channel, level
 *  + sysbus IRQs 1 to 16: channels 0 to 15, level
 *  + GPIO inputs "request", 0 to 255: what a peripheral asks with, by its
 *    MID/RID, level
 *  + rcar_dmac_set_channel_as(): where a channel's transactions go
 *  + QOM "guest-errors" (uint64, ro): counted since QEMU started, not affected
 *    by reset
 *  + QOM "cut-short" (uint64, ro): channels that a reset found busy, or with an
 *    unanswered interrupt; counted likewise
 */

#ifndef HW_DMA_RCAR_DMAC_H
#define HW_DMA_RCAR_DMAC_H

#include "exec/memory.h"
#include "hw/sysbus.h"
#include "qemu/bitmap.h"
#include "qom/object.h"

#define TYPE_RCAR_DMAC "rcar-dmac"
OBJECT_DECLARE_SIMPLE_TYPE(RcarDMACState, RCAR_DMAC)

#define RCAR_DMAC_CHANNELS 16
/* As many as eight bits of DMARS can name */
#define RCAR_DMAC_REQUESTS 256

/* Lost at reset, and by a write to DMACHCLR */
typedef struct RcarDMACRegs {
    uint32_t sar;
    uint32_t dar;
    uint32_t tcr;
    uint32_t chcr;
    uint32_t chcrb;
    uint32_t fixsar;
    uint32_t fixdar;
    uint32_t fixdpbase;
    uint32_t rs;
    uint32_t dpbase;
    uint32_t dpcr;

    /* Units still to be moved of the current TCR or descriptor */
    uint32_t remaining;
    bool stage_running;
} RcarDMACRegs;

typedef struct RcarDMACChannel {
    RcarDMACState *dmac;
    AddressSpace *as;
    qemu_irq irq;
    QEMUBH *bh;
    QEMUTimer *next_slice;
    RcarDMACRegs regs;
} RcarDMACChannel;

struct RcarDMACState {
    SysBusDevice parent_obj;

    bool gen4;
    MemoryRegion iomem;
    MemoryRegion channels;      /* on Gen4 */
    qemu_irq error_irq;
    VMChangeStateEntry *vm_change;

    /* What the inputs say; a reset is no affair of theirs */
    DECLARE_BITMAP(requests, RCAR_DMAC_REQUESTS);
    uint16_t dmaor;
    RcarDMACChannel chan[RCAR_DMAC_CHANNELS];

    /* Never reset */
    uint64_t guest_errors;
    uint64_t cut_short;
};

/* Without a call, a channel sees the system's memory untranslated */
void rcar_dmac_set_channel_as(RcarDMACState *s, unsigned chan,
                              AddressSpace *as);

#endif
