/*
 * R-Car SYS-DMAC: shared by the parts of the model
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_DMA_RCAR_DMAC_INTERNAL_H
#define HW_DMA_RCAR_DMAC_INTERNAL_H

#include "hw/dma/rcar_dmac.h"
#include "hw/registerfields.h"

FIELD(DMAOR, DME, 0, 1)
FIELD(DMAOR, AE, 2, 1)
FIELD(DMAOR, PRI, 8, 2)

FIELD(CHCR, DE, 0, 1)
FIELD(CHCR, TE, 1, 1)
FIELD(CHCR, IE, 2, 1)
FIELD(CHCR, TS_LOW, 3, 2)
FIELD(CHCR, RS, 8, 4)
FIELD(CHCR, SM, 12, 2)
FIELD(CHCR, DM, 14, 2)
FIELD(CHCR, DSIE, 18, 1)
FIELD(CHCR, DSE, 19, 1)
FIELD(CHCR, TS_HIGH, 20, 2)
FIELD(CHCR, DPB, 22, 1)
FIELD(CHCR, RPT_TCR, 25, 1)
FIELD(CHCR, RPT_DAR, 26, 1)
FIELD(CHCR, RPT_SAR, 27, 1)
FIELD(CHCR, DPM, 28, 2)
FIELD(CHCR, CAIE, 30, 1)
FIELD(CHCR, CAE, 31, 1)

/* Set by hardware; the guest can only clear them, by writing 0 */
#define CHCR_FLAGS (R_CHCR_TE_MASK | R_CHCR_DSE_MASK | R_CHCR_CAE_MASK)

#define CHCR_RS_AUTO        4
#define CHCR_RS_DMARS       8

#define CHCR_MODE_FIXED     0
#define CHCR_MODE_INC       1
#define CHCR_MODE_DEC       2

#define CHCR_DPM_OFF        0
#define CHCR_DPM_ONCE       1
#define CHCR_DPM_REPEAT     2
#define CHCR_DPM_INFINITE   3

FIELD(CHCRB, DRST, 15, 1)
FIELD(CHCRB, DPTR, 16, 8)
FIELD(CHCRB, DCNT, 24, 8)

FIELD(DPBASE, SEL, 0, 1)
FIELD(DPCR, DIPT, 24, 8)

#define DMATCR_MASK 0x00ffffff

/* The one register of a channel that is of 16 bits */
#define DMARS       0x40

/* rcar_dmac.c */
bool rcar_dmac_channel_interrupt(const RcarDMACChannel *ch);
bool rcar_dmac_address_error(const RcarDMACState *s);
void rcar_dmac_update_irq(RcarDMACChannel *ch);
void rcar_dmac_clear_channel(RcarDMACChannel *ch);

/* rcar_dmac_regs.c */
extern const MemoryRegionOps rcar_dmac_ops;
void rcar_dmac_guest_error(RcarDMACState *s, const char *what, hwaddr offset);
bool rcar_dmac_chan_read(RcarDMACChannel *ch, hwaddr reg, uint64_t *value);
bool rcar_dmac_chan_write(RcarDMACChannel *ch, hwaddr reg, uint32_t value);

/* rcar_dmac_gen4.c */
void rcar_dmac_gen4_init(RcarDMACState *s);

/* rcar_dmac_xfer.c */
bool rcar_dmac_can_run(const RcarDMACChannel *ch);
void rcar_dmac_kick(RcarDMACChannel *ch);
void rcar_dmac_transfer(void *opaque);
void rcar_dmac_next_slice(void *opaque);
void rcar_dmac_request(void *opaque, int mid_rid, int level);

#endif
