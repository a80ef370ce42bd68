/*
 * R-Car SYS-DMAC of Gen4: where it differs from that of Gen3
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Channels have a page each, in a region of their own, and a register that
 * clears the channel instead of a bit in one for all.
 */

#include "qemu/osdep.h"
#include "rcar_dmac_internal.h"

#define CHAN_STRIDE     0x1000
#define DMACHCLR        0x100

static RcarDMACChannel *channel(RcarDMACState *s, hwaddr offset)
{
    return &s->chan[offset / CHAN_STRIDE];
}

static uint64_t gen4_read(void *opaque, hwaddr offset, unsigned size)
{
    RcarDMACState *s = opaque;
    uint64_t value = 0;

    if (!rcar_dmac_chan_read(channel(s, offset), offset % CHAN_STRIDE,
                             &value)) {
        rcar_dmac_guest_error(s, "read of no channel register", offset);
    }
    return value;
}

static void gen4_write(void *opaque, hwaddr offset, uint64_t value,
                       unsigned size)
{
    RcarDMACState *s = opaque;
    RcarDMACChannel *ch = channel(s, offset);
    hwaddr reg = offset % CHAN_STRIDE;

    if (reg == DMACHCLR) {
        if (value & 1) {
            rcar_dmac_clear_channel(ch);
        }
    } else if (!rcar_dmac_chan_write(ch, reg, value)) {
        rcar_dmac_guest_error(s, "write to no channel register", offset);
    }
}

static bool gen4_accepts(void *opaque, hwaddr offset, unsigned size,
                         bool is_write, MemTxAttrs attrs)
{
    if (size == (offset % CHAN_STRIDE == DMARS ? 2 : 4)) {
        return true;
    }
    rcar_dmac_guest_error(opaque, "access of a wrong size", offset);
    return false;
}

static const MemoryRegionOps gen4_ops = {
    .read = gen4_read,
    .write = gen4_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid.min_access_size = 1,
    .valid.max_access_size = 8,
    .valid.accepts = gen4_accepts,
    .impl.min_access_size = 2,
    .impl.max_access_size = 4,
};

void rcar_dmac_gen4_init(RcarDMACState *s)
{
    memory_region_init_io(&s->channels, OBJECT(s), &gen4_ops, s,
                          TYPE_RCAR_DMAC "-channels",
                          RCAR_DMAC_CHANNELS * CHAN_STRIDE);
    sysbus_init_mmio(SYS_BUS_DEVICE(s), &s->channels);
}
