/*
 * R-Car SYS-DMAC (Direct Memory Access Controller for System)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What Linux's rcar-dmac driver uses of the controller: register mode, and
 * descriptor mode with the descriptors in memory, once or endlessly. This is
 * the layout of Gen2 and Gen3; for that of Gen4's channels see
 * rcar_dmac_gen4.c.
 * Decisions where that driver is silent:
 *
 * - Every register is 0 after reset. Offsets without a register (DMASEC, the
 *   descriptor memory of the DMAC itself, ...) and accesses of another size
 *   than the register's are counted in "guest-errors"; the former do nothing,
 *   the latter are bus errors.
 * - A transaction that fails - refused by the IPMMU, or with nothing at its
 *   address - and an address that is not a multiple of the transfer unit set
 *   CHCR.CAE and stop the channel until CAE is cleared. SAR and DAR are left at
 *   the start of the page or the unit that failed.
 * - DMAOR.AE, and the error interrupt, is whether any channel has CAE. Other
 *   channels go on.
 * - Clearing CHCR.DE pauses, setting it again goes on where the channel was.
 *   Writing TCR, or CHCRB.DRST, restarts it.
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "exec/address-spaces.h"
#include "hw/irq.h"
#include "hw/qdev-properties.h"
#include "hw/resettable.h"
#include "migration/vmstate.h"
#include "system/runstate.h"
#include "rcar_dmac_internal.h"

#define MMIO_SIZE       0x10000
#define MMIO_SIZE_GEN4  0x1000          /* without the channels */

bool rcar_dmac_channel_interrupt(const RcarDMACChannel *ch)
{
    uint32_t chcr = ch->regs.chcr;

    return ((chcr & R_CHCR_TE_MASK) && (chcr & R_CHCR_IE_MASK)) ||
           ((chcr & R_CHCR_DSE_MASK) && (chcr & R_CHCR_DSIE_MASK)) ||
           ((chcr & R_CHCR_CAE_MASK) && (chcr & R_CHCR_CAIE_MASK));
}

bool rcar_dmac_address_error(const RcarDMACState *s)
{
    for (unsigned i = 0; i < RCAR_DMAC_CHANNELS; i++) {
        if (s->chan[i].regs.chcr & R_CHCR_CAE_MASK) {
            return true;
        }
    }

    return false;
}

void rcar_dmac_update_irq(RcarDMACChannel *ch)
{
    qemu_set_irq(ch->irq, rcar_dmac_channel_interrupt(ch));
    qemu_set_irq(ch->dmac->error_irq, rcar_dmac_address_error(ch->dmac));
}

void rcar_dmac_clear_channel(RcarDMACChannel *ch)
{
    qemu_bh_cancel(ch->bh);
    timer_del(ch->next_slice);
    memset(&ch->regs, 0, sizeof(ch->regs));
    rcar_dmac_update_irq(ch);
}

/* A slice that was due when the machine stopped has been skipped */
static void rcar_dmac_vm_change(void *opaque, bool running, RunState state)
{
    RcarDMACState *s = opaque;

    for (unsigned i = 0; running && i < RCAR_DMAC_CHANNELS; i++) {
        rcar_dmac_kick(&s->chan[i]);
    }
}

void rcar_dmac_set_channel_as(RcarDMACState *s, unsigned chan,
                              AddressSpace *as)
{
    assert(chan < RCAR_DMAC_CHANNELS);
    s->chan[chan].as = as;
}

static void rcar_dmac_reset_hold(Object *obj, ResetType type)
{
    RcarDMACState *s = RCAR_DMAC(obj);

    for (unsigned i = 0; i < RCAR_DMAC_CHANNELS; i++) {
        RcarDMACChannel *ch = &s->chan[i];

        if (rcar_dmac_can_run(ch) || rcar_dmac_channel_interrupt(ch)) {
            s->cut_short++;
        }
        rcar_dmac_clear_channel(ch);
    }
    s->dmaor = 0;
}

static void rcar_dmac_realize(DeviceState *dev, Error **errp)
{
    RcarDMACState *s = RCAR_DMAC(dev);

    memory_region_init_io(&s->iomem, OBJECT(s), &rcar_dmac_ops, s,
                          TYPE_RCAR_DMAC, s->gen4 ? MMIO_SIZE_GEN4 : MMIO_SIZE);
    sysbus_init_mmio(SYS_BUS_DEVICE(s), &s->iomem);
    if (s->gen4) {
        rcar_dmac_gen4_init(s);
    }
    for (unsigned i = 0; i < RCAR_DMAC_CHANNELS; i++) {
        s->chan[i].bh = qemu_bh_new_guarded(rcar_dmac_transfer, &s->chan[i],
                                            &dev->mem_reentrancy_guard);
        s->chan[i].next_slice = timer_new_ns(QEMU_CLOCK_VIRTUAL,
                                             rcar_dmac_next_slice,
                                             &s->chan[i]);
    }
    s->vm_change = qemu_add_vm_change_state_handler(rcar_dmac_vm_change, s);
}

static void rcar_dmac_unrealize(DeviceState *dev)
{
    RcarDMACState *s = RCAR_DMAC(dev);

    qemu_del_vm_change_state_handler(s->vm_change);
    for (unsigned i = 0; i < RCAR_DMAC_CHANNELS; i++) {
        timer_free(s->chan[i].next_slice);
        qemu_bh_delete(s->chan[i].bh);
    }
}

static void rcar_dmac_init(Object *obj)
{
    RcarDMACState *s = RCAR_DMAC(obj);
    SysBusDevice *sbd = SYS_BUS_DEVICE(obj);

    sysbus_init_irq(sbd, &s->error_irq);
    qdev_init_gpio_in_named(DEVICE(obj), rcar_dmac_request, "request",
                            RCAR_DMAC_REQUESTS);
    for (unsigned i = 0; i < RCAR_DMAC_CHANNELS; i++) {
        s->chan[i].dmac = s;
        s->chan[i].as = &address_space_memory;
        sysbus_init_irq(sbd, &s->chan[i].irq);
    }
    object_property_add_uint64_ptr(obj, "guest-errors", &s->guest_errors,
                                   OBJ_PROP_FLAG_READ);
    object_property_add_uint64_ptr(obj, "cut-short", &s->cut_short,
                                   OBJ_PROP_FLAG_READ);
}

static const Property rcar_dmac_properties[] = {
    DEFINE_PROP_BOOL("gen4", RcarDMACState, gen4, false),
};

static const VMStateDescription vmstate_rcar_dmac = {
    .name = TYPE_RCAR_DMAC,
    .unmigratable = 1,
};

static void rcar_dmac_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    ResettableClass *rc = RESETTABLE_CLASS(klass);

    dc->desc = "R-Car SYS-DMAC";
    dc->realize = rcar_dmac_realize;
    dc->unrealize = rcar_dmac_unrealize;
    dc->vmsd = &vmstate_rcar_dmac;
    device_class_set_props(dc, rcar_dmac_properties);
    rc->phases.hold = rcar_dmac_reset_hold;
}

static const TypeInfo rcar_dmac_types[] = {
    {
        .name = TYPE_RCAR_DMAC,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(RcarDMACState),
        .instance_init = rcar_dmac_init,
        .class_init = rcar_dmac_class_init,
    },
};

DEFINE_TYPES(rcar_dmac_types)
