/*
 * Renesas SDHI: shared by its two source files
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_SD_RENESAS_SDHI_INTERNAL_H
#define HW_SD_RENESAS_SDHI_INTERNAL_H

#include "hw/registerfields.h"
#include "hw/sd/renesas_sdhi.h"

/* Offsets; every register has 8 bytes of the address space */
#define SD_CMD          0x000
#define SD_ARG0         0x010
#define SD_ARG1         0x018
#define SD_STOP         0x020
#define SD_SECCNT       0x028
#define SD_RSP(n)       (0x030 + 8 * (n))       /* 8 times 16 bits */
#define SD_INFO1        0x070
#define SD_INFO2        0x078
#define SD_INFO1_MASK   0x080
#define SD_INFO2_MASK   0x088
#define SD_CLK_CTRL     0x090
#define SD_SIZE         0x098
#define SD_OPTION       0x0a0
#define SD_BUF0         0x0c0
#define SDIO_MODE       0x0d0
#define SDIO_INFO1      0x0d8
#define SDIO_INFO1_MASK 0x0e0
#define CC_EXT_MODE     0x360
#define SOFT_RST        0x380
#define VERSION         0x388
#define HOST_MODE       0x390
#define SDIF_MODE       0x398
#define DM_CM_DTRAN_MODE    0x820
#define DM_CM_DTRAN_CTRL    0x828
#define DM_CM_RST           0x830
#define DM_CM_INFO1         0x840
#define DM_CM_INFO1_MASK    0x848
#define DM_CM_INFO2         0x850
#define DM_CM_INFO2_MASK    0x858
#define DM_DTRAN_ADDR       0x880
#define SCC_DTCNTL      0x1000
#define SCC_RVSREQ      0x1028
#define SCC_SMPCMP      0x1030
#define SCC_TMPPORT2    0x1038
#define SCC_TMPPORT3    0x1050
#define SCC_TMPPORT7    0x1070

FIELD(CMD, INDEX, 0, 6)
FIELD(CMD, RESPONSE, 8, 3)
    #define CMD_RESPONSE_AUTO   0       /* as usual for the command */
    #define CMD_RESPONSE_NONE   3
    #define CMD_RESPONSE_R2     6
FIELD(CMD, DATA, 11, 1)
FIELD(CMD, READ, 12, 1)
FIELD(CMD, MULTI, 13, 1)
FIELD(CMD, NO_CMD12, 14, 1)

FIELD(STOP, STP, 0, 1)
FIELD(STOP, SEC, 8, 1)

/* SD_INFO1 in the low half, SD_INFO2 in the high one; cleared by writing 0 */
FIELD(INFO, RESPONSE_END, 0, 1)
FIELD(INFO, ACCESS_END, 2, 1)
FIELD(INFO, REMOVED, 3, 1)
FIELD(INFO, INSERTED, 4, 1)
FIELD(INFO, CARD, 5, 1)                 /* live */
FIELD(INFO, WRITABLE, 7, 1)             /* live */
FIELD(INFO, DATA_TIMEOUT, 19, 1)
FIELD(INFO, RESPONSE_TIMEOUT, 22, 1)
FIELD(INFO, DAT0, 23, 1)                /* live */
FIELD(INFO, READ_READY, 24, 1)
FIELD(INFO, WRITE_READY, 25, 1)
FIELD(INFO, CLOCK_IDLE, 29, 1)          /* live */
FIELD(INFO, BUSY, 30, 1)                /* live */
FIELD(INFO, ILLEGAL_ACCESS, 31, 1)
#define INFO_LATCHED    0x837f031d
#define INFO_MASK_RESET 0x8b7f031d

FIELD(CLK_CTRL, ENABLE, 8, 1)
FIELD(CC_EXT_MODE, DMA, 1, 1)
FIELD(SOFT_RST, RUN, 0, 1)

FIELD(DTRAN_MODE, INCREMENT, 0, 1)
FIELD(DTRAN_MODE, UPSTREAM, 16, 1)      /* from the card */
FIELD(DTRAN_CTRL, START, 0, 1)
FIELD(DM_RST, CHANNELS, 8, 2)           /* running, unless 0 */

/* The same bits in DM_CM_INFO1 (end) and DM_CM_INFO2 (error) */
#define DM_DOWNSTREAM   (1u << 16)
#define DM_INFO1_UPSTREAM (1u << 20)
#define DM_INFO2_UPSTREAM (1u << 17)

static inline uint32_t *sdhi_reg(RenesasSdhiState *s, hwaddr offset)
{
    return &s->regs.values[offset / 8];
}

/* Sets latched bits of SD_INFO1 and SD_INFO2, and tells the CPU */
void renesas_sdhi_raise(RenesasSdhiState *s, uint32_t info);
void renesas_sdhi_update_irq(RenesasSdhiState *s);
void renesas_sdhi_guest_error(RenesasSdhiState *s, const char *what,
                              hwaddr offset);

/* renesas_sdhi_xfer.c */
void renesas_sdhi_command(RenesasSdhiState *s);
void renesas_sdhi_stop(RenesasSdhiState *s);
void renesas_sdhi_abort(RenesasSdhiState *s);
uint64_t renesas_sdhi_port_read(RenesasSdhiState *s, unsigned size);
void renesas_sdhi_port_write(RenesasSdhiState *s, uint64_t value,
                             unsigned size);
void renesas_sdhi_dma_kick(RenesasSdhiState *s);
void renesas_sdhi_dma(void *opaque);
void renesas_sdhi_data_timeout(void *opaque);

#endif
