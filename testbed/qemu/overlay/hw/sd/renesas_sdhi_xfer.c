/*
 * Renesas SDHI: commands and data
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A command is answered at once. Data moves block by block: through the data
 * port, as the guest reads or writes it, or in slices by the DMAC, each slice
 * a bottom half.
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/log.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "qemu/units.h"
#include "system/dma.h"
#include "system/runstate.h"
#include "renesas_sdhi_internal.h"

/* What one bottom half moves at most */
#define SLICE_BYTES     (64 * KiB)
/* How long a card may keep its data lines silent */
#define DATA_TIMEOUT_NS (100 * SCALE_MS)

#define CMD_STOP_TRANSMISSION 12

static bool transferring(RenesasSdhiState *s)
{
    return s->regs.reading || s->regs.writing;
}

static bool by_dma(RenesasSdhiState *s)
{
    return FIELD_EX32(*sdhi_reg(s, CC_EXT_MODE), CC_EXT_MODE, DMA);
}

static unsigned block_size(RenesasSdhiState *s)
{
    return MIN(*sdhi_reg(s, SD_SIZE), RENESAS_SDHI_MAX_BLOCK);
}

static bool card_ready(RenesasSdhiState *s)
{
    return s->regs.reading ? sdbus_data_ready(&s->bus)
                           : sdbus_receive_ready(&s->bus);
}

/*
 * The response registers hold bits 127:8 of a long response, so that a short
 * one, whose bits 39:8 are its argument, fills the first two.
 */
static void store_response(RenesasSdhiState *s, const uint8_t *response,
                           int len)
{
    if (len == 4) {
        *sdhi_reg(s, SD_RSP(0)) = lduw_be_p(response + 2);
        *sdhi_reg(s, SD_RSP(1)) = lduw_be_p(response);
        return;
    }
    for (int n = 0; n < 7; n++) {
        *sdhi_reg(s, SD_RSP(n)) = lduw_be_p(response + 13 - 2 * n);
    }
    *sdhi_reg(s, SD_RSP(7)) = response[0];
}

/* The length of the card's response; 0 if there is none */
static int send_command(RenesasSdhiState *s, unsigned index, uint32_t arg)
{
    uint8_t response[16];
    SDRequest request = { .cmd = index, .arg = arg };
    int len;

    if (!s->powered ||
        !FIELD_EX32(*sdhi_reg(s, SD_CLK_CTRL), CLK_CTRL, ENABLE)) {
        return 0;
    }
    len = sdbus_do_command(&s->bus, &request, response);
    if (len) {
        store_response(s, response, len);
    }
    return len;
}

static void end_transfer(RenesasSdhiState *s, uint32_t info)
{
    if (s->regs.stop_at_end) {
        send_command(s, CMD_STOP_TRANSMISSION, 0);
    }
    renesas_sdhi_abort(s);
    renesas_sdhi_raise(s, info | R_INFO_ACCESS_END_MASK);
}

/* The guest ends an open-ended transfer */
void renesas_sdhi_stop(RenesasSdhiState *s)
{
    if (transferring(s)) {
        s->regs.stop_at_end = true;
        end_transfer(s, 0);
    }
}

/* Forgets the transfer; the card is not told */
void renesas_sdhi_abort(RenesasSdhiState *s)
{
    timer_del(s->data_timeout);
    qemu_bh_cancel(s->dma_bh);
    s->regs.reading = false;
    s->regs.writing = false;
    s->regs.stop_at_end = false;
}

void renesas_sdhi_data_timeout(void *opaque)
{
    RenesasSdhiState *s = opaque;

    s->regs.stop_at_end = false;
    end_transfer(s, R_INFO_DATA_TIMEOUT_MASK);
}

/* Makes the data port ready for a block */
static void offer_block(RenesasSdhiState *s)
{
    s->regs.position = 0;
    if (s->regs.reading) {
        sdbus_read_data(&s->bus, s->regs.block, block_size(s));
        renesas_sdhi_raise(s, R_INFO_READ_READY_MASK);
    } else {
        renesas_sdhi_raise(s, R_INFO_WRITE_READY_MASK);
    }
}

static void begin_transfer(RenesasSdhiState *s)
{
    uint32_t cmd = *sdhi_reg(s, SD_CMD);
    bool multi = FIELD_EX32(cmd, CMD, MULTI);
    bool counted = FIELD_EX32(*sdhi_reg(s, SD_STOP), STOP, SEC);

    s->regs.reading = FIELD_EX32(cmd, CMD, READ);
    s->regs.writing = !s->regs.reading;
    s->regs.stop_at_end = multi && counted && !FIELD_EX32(cmd, CMD, NO_CMD12);
    s->regs.blocks_left = !multi ? 1 :
                          counted ? *sdhi_reg(s, SD_SECCNT) : UINT32_MAX;

    if (!s->regs.blocks_left || !block_size(s)) {
        renesas_sdhi_guest_error(s, "transfer of nothing", SD_CMD);
        renesas_sdhi_abort(s);
    } else if (!card_ready(s)) {
        timer_mod(s->data_timeout,
                  qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL) + DATA_TIMEOUT_NS);
    } else if (by_dma(s)) {
        renesas_sdhi_dma_kick(s);
    } else {
        offer_block(s);
    }
}

/* SD_CMD was written */
void renesas_sdhi_command(RenesasSdhiState *s)
{
    uint32_t cmd = *sdhi_reg(s, SD_CMD);
    unsigned expected = FIELD_EX32(cmd, CMD, RESPONSE);
    uint32_t arg = *sdhi_reg(s, SD_ARG0) | *sdhi_reg(s, SD_ARG1) << 16;
    int len;

    if (transferring(s) ||
        !FIELD_EX32(*sdhi_reg(s, SOFT_RST), SOFT_RST, RUN)) {
        renesas_sdhi_guest_error(s, "command in a wrong moment", SD_CMD);
        renesas_sdhi_raise(s, R_INFO_ILLEGAL_ACCESS_MASK);
        return;
    }

    len = send_command(s, FIELD_EX32(cmd, CMD, INDEX), arg);
    if (expected != CMD_RESPONSE_NONE &&
        !(expected == CMD_RESPONSE_AUTO && !FIELD_EX32(cmd, CMD, INDEX)) &&
        (!len || (expected == CMD_RESPONSE_R2) != (len == 16))) {
        renesas_sdhi_raise(s, R_INFO_RESPONSE_TIMEOUT_MASK);
        return;
    }
    renesas_sdhi_raise(s, R_INFO_RESPONSE_END_MASK);
    if (FIELD_EX32(cmd, CMD, DATA)) {
        begin_transfer(s);
    }
}

/* The guest has read or written a block through the data port */
static void end_block(RenesasSdhiState *s)
{
    s->pio_blocks++;
    if (--s->regs.blocks_left) {
        offer_block(s);
    } else {
        end_transfer(s, 0);
    }
}

static bool port_usable(RenesasSdhiState *s, bool transfer)
{
    if (transfer && !by_dma(s) && !timer_pending(s->data_timeout)) {
        return true;
    }
    renesas_sdhi_guest_error(s, "data port without a block", SD_BUF0);
    return false;
}

/* An access may be wider than what is left of the block */
uint64_t renesas_sdhi_port_read(RenesasSdhiState *s, unsigned size)
{
    uint8_t bytes[8] = { 0 };
    unsigned len;

    if (!port_usable(s, s->regs.reading)) {
        return 0;
    }
    len = MIN(size, block_size(s) - s->regs.position);
    memcpy(bytes, s->regs.block + s->regs.position, len);
    s->regs.position += len;
    if (s->regs.position == block_size(s)) {
        end_block(s);
    }
    return ldn_le_p(bytes, size);
}

void renesas_sdhi_port_write(RenesasSdhiState *s, uint64_t value,
                             unsigned size)
{
    uint8_t bytes[8];
    unsigned len;

    if (!port_usable(s, s->regs.writing)) {
        return;
    }
    len = MIN(size, block_size(s) - s->regs.position);
    stn_le_p(bytes, size, value);
    memcpy(s->regs.block + s->regs.position, bytes, len);
    s->regs.position += len;
    if (s->regs.position == block_size(s)) {
        sdbus_write_data(&s->bus, s->regs.block, block_size(s));
        end_block(s);
    }
}

static bool dma_upstream(RenesasSdhiState *s)
{
    return FIELD_EX32(*sdhi_reg(s, DM_CM_DTRAN_MODE), DTRAN_MODE, UPSTREAM);
}

static bool dma_can_run(RenesasSdhiState *s)
{
    return s->regs.dma_running && transferring(s) && by_dma(s) &&
           dma_upstream(s) == s->regs.reading &&
           !timer_pending(s->data_timeout);
}

/* Something that may have made the DMAC ready has happened */
void renesas_sdhi_dma_kick(RenesasSdhiState *s)
{
    if (dma_can_run(s)) {
        qemu_bh_schedule(s->dma_bh);
    }
}

/*
 * The DMAC stops, and the transfer hangs: the card waits for the controller,
 * which gets no data, until the guest resets it.
 */
static void dma_error(RenesasSdhiState *s, hwaddr addr)
{
    qemu_log_mask(CPU_LOG_MMU, "%s: DMA error at 0x%" HWADDR_PRIx "\n",
                  object_get_canonical_path_component(OBJECT(s)), addr);
    s->regs.dma_running = false;
    *sdhi_reg(s, DM_CM_INFO2) |= dma_upstream(s) ? DM_INFO2_UPSTREAM
                                                 : DM_DOWNSTREAM;
    renesas_sdhi_update_irq(s);
}

static bool dma_block(RenesasSdhiState *s, hwaddr addr)
{
    unsigned len = block_size(s);

    if (s->regs.reading) {
        sdbus_read_data(&s->bus, s->regs.block, len);
        return dma_memory_write(s->dma_as, addr, s->regs.block, len,
                                MEMTXATTRS_UNSPECIFIED) == MEMTX_OK;
    }
    if (dma_memory_read(s->dma_as, addr, s->regs.block, len,
                        MEMTXATTRS_UNSPECIFIED) != MEMTX_OK) {
        return false;
    }
    sdbus_write_data(&s->bus, s->regs.block, len);
    return true;
}

static void dma_end(RenesasSdhiState *s)
{
    s->dma_transfers++;
    s->regs.dma_running = false;
    *sdhi_reg(s, DM_CM_INFO1) |= dma_upstream(s) ? DM_INFO1_UPSTREAM
                                                 : DM_DOWNSTREAM;
    end_transfer(s, 0);
}

/* The bottom half */
void renesas_sdhi_dma(void *opaque)
{
    RenesasSdhiState *s = opaque;
    uint32_t *addr = sdhi_reg(s, DM_DTRAN_ADDR);

    if (!runstate_is_running()) {
        return;
    }
    for (size_t moved = 0; moved < SLICE_BYTES && dma_can_run(s);
         moved += block_size(s)) {
        if (!dma_block(s, *addr)) {
            dma_error(s, *addr);
            return;
        }
        s->dma_blocks++;
        *addr += block_size(s);
        if (!--s->regs.blocks_left) {
            dma_end(s);
            return;
        }
    }
    renesas_sdhi_dma_kick(s);
}
