/*
 * Renesas SCIF: serial communication interface with FIFO
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The variant of R-Car, with a baud rate generator for external clocks.
 * Characters take no time: baud rate, parity and frame length are stored and
 * have no effect. The status bits about the FIFOs follow their fill levels,
 * so that clearing one whose cause persists changes nothing. HSCIF, the fast
 * one, has larger FIFOs; its own registers for triggers have no effect, those of
 * SCIF have.
 *
 * Linux enables no interrupt for data that a DMA controller moves. By decision,
 * requests depend on the FIFOs, TE and RE alone: one to transmit while TDFE is
 * 1, one to receive while the FIFO is not empty.
 */

#include "qemu/osdep.h"
#include "qemu/log.h"
#include "qemu/module.h"
#include "hw/char/renesas_scif.h"
#include "hw/irq.h"
#include "hw/qdev-properties.h"
#include "hw/qdev-properties-system.h"
#include "system/runstate.h"

#define FIFO_SIZE       16
#define HSCIF_FIFO_SIZE 128
#define SCIF_MMIO_SIZE  0x60

enum {
    SCSMR = 0x00,
    SCBRR = 0x04,
    SCSCR = 0x08,
    SCFTDR = 0x0c,
    SCFSR = 0x10,
    SCFRDR = 0x14,
    SCFCR = 0x18,
    SCFDR = 0x1c,
    SCSPTR = 0x20,
    SCLSR = 0x24,
    SCDL = 0x30,
    SCCKS = 0x34,
    HSSRR = 0x40,
    HSRTRGR = 0x54,
    HSTTRGR = 0x58,
};

#define SCSCR_TIE   0x80
#define SCSCR_RIE   0x40
#define SCSCR_TE    0x20
#define SCSCR_RE    0x10
#define SCSCR_REIE  0x08

#define SCFSR_ER    0x80
#define SCFSR_TEND  0x40
#define SCFSR_TDFE  0x20
#define SCFSR_BRK   0x10
#define SCFSR_RDF   0x02
#define SCFSR_DR    0x01
#define SCFSR_ERRORS (SCFSR_ER | SCFSR_BRK)

#define SCFCR_TFRST 0x04
#define SCFCR_RFRST 0x02

#define SCLSR_ORER  0x01

/* Fill levels that SCFCR.RTRG and SCFCR.TTRG select */
static const uint8_t rx_trigger[4] = { 1, 4, 8, 14 };
static const uint8_t tx_trigger[4] = { 8, 4, 2, 0 };

static uint16_t scif_status(RenesasSCIFState *s)
{
    uint32_t tx = fifo8_num_used(&s->tx);
    uint32_t rx = fifo8_num_used(&s->rx);
    uint16_t status = s->errors;

    if (tx == 0) {
        status |= SCFSR_TEND;
    }
    if (tx <= tx_trigger[(s->scfcr >> 4) & 3]) {
        status |= SCFSR_TDFE;
    }
    if (rx >= rx_trigger[(s->scfcr >> 6) & 3]) {
        status |= SCFSR_RDF;
    } else if (rx) {
        status |= SCFSR_DR;     /* fewer, and the line is idle */
    }
    return status;
}

static void scif_update(RenesasSCIFState *s)
{
    uint16_t status = scif_status(s);
    bool level = false;

    if (s->scscr & SCSCR_TIE) {
        level |= status & SCFSR_TDFE;
    }
    if (s->scscr & SCSCR_RIE) {
        level |= status & (SCFSR_RDF | SCFSR_DR);
    }
    if (s->scscr & (SCSCR_RIE | SCSCR_REIE)) {
        level |= status & SCFSR_ERRORS || s->sclsr & SCLSR_ORER;
    }
    qemu_set_irq(s->irq, level);

    for (int i = 0; i < RENESAS_SCIF_DMACS; i++) {
        qemu_set_irq(s->tx_request[i],
                     s->scscr & SCSCR_TE && status & SCFSR_TDFE);
        qemu_set_irq(s->rx_request[i],
                     s->scscr & SCSCR_RE && status & (SCFSR_RDF | SCFSR_DR));
    }
}

static gboolean scif_transmit(void *do_not_use, GIOCondition cond,
                              void *opaque)
{
    RenesasSCIFState *s = opaque;

    s->tx_watch = 0;
    while (!fifo8_is_empty(&s->tx)) {
        uint32_t n;
        const uint8_t *data = fifo8_peek_bufptr(&s->tx,
                                                fifo8_num_used(&s->tx), &n);
        int sent = qemu_chr_fe_write(&s->chr, data, n);

        if (sent > 0) {
            fifo8_drop(&s->tx, sent);
            continue;
        }
        s->tx_watch = qemu_chr_fe_add_watch(&s->chr, G_IO_OUT | G_IO_HUP,
                                            scif_transmit, s);
        if (!s->tx_watch) {
            fifo8_reset(&s->tx);    /* nothing is connected */
        }
        break;
    }
    scif_update(s);
    return G_SOURCE_REMOVE;
}

static int scif_can_receive(void *opaque)
{
    RenesasSCIFState *s = opaque;

    if (runstate_check(RUN_STATE_SUSPENDED)) {
        return 1;
    }
    if (!(s->scscr & SCSCR_RE) || s->scfcr & SCFCR_RFRST) {
        return 0;
    }
    return fifo8_num_free(&s->rx);
}

static void scif_receive(void *opaque, const uint8_t *buf, int size)
{
    RenesasSCIFState *s = opaque;

    if (runstate_check(RUN_STATE_SUSPENDED)) {
        qemu_system_wakeup_request(QEMU_WAKEUP_REASON_OTHER, NULL);
        return;
    }
    fifo8_push_all(&s->rx, buf, MIN(size, fifo8_num_free(&s->rx)));
    scif_update(s);
}

static void scif_event(void *opaque, QEMUChrEvent event)
{
    RenesasSCIFState *s = opaque;

    if (event == CHR_EVENT_BREAK && s->scscr & SCSCR_RE) {
        s->errors |= SCFSR_BRK;
        scif_update(s);
    }
}

#define KEPT(field) offsetof(RenesasSCIFState, field)

static const struct {
    uint8_t size;               /* of an access, in bytes */
    uint16_t kept;              /* where, if it keeps what is written */
    bool hscif;                 /* HSCIF alone has it */
} scif_regs[SCIF_MMIO_SIZE] = {
    [SCSMR] = { 2, KEPT(scsmr) },
    [SCBRR] = { 1, KEPT(scbrr) },
    [SCSCR] = { 2, KEPT(scscr) },
    [SCFTDR] = { 1 },
    [SCFSR] = { 2 },
    [SCFRDR] = { 1 },
    [SCFCR] = { 2 },
    [SCFDR] = { 2 },
    [SCSPTR] = { 2, KEPT(scsptr) },
    [SCLSR] = { 2 },
    [SCDL] = { 2, KEPT(dl) },
    [SCCKS] = { 2, KEPT(cks) },
    [HSSRR] = { 2, KEPT(hscif_regs[0]), true },
    [HSRTRGR] = { 2, KEPT(hscif_regs[1]), true },
    [HSTTRGR] = { 2, KEPT(hscif_regs[2]), true },
};

static bool scif_access_ok(RenesasSCIFState *s, hwaddr offset, unsigned size,
                           const char *what)
{
    if (size != scif_regs[offset].size ||
        (scif_regs[offset].hscif && !s->hscif)) {
        s->guest_errors++;
        qemu_log_mask(LOG_GUEST_ERROR,
                      "renesas-scif: %u-byte %s at 0x%" HWADDR_PRIx "\n",
                      size, what, offset);
        return false;
    }
    return true;
}

/* The registers that keep what is written, and do no more */
static uint16_t *scif_plain_register(RenesasSCIFState *s, hwaddr offset)
{
    unsigned kept = scif_regs[offset].kept;

    return kept ? (uint16_t *)((char *)s + kept) : NULL;
}

static uint64_t scif_read(void *opaque, hwaddr offset, unsigned size)
{
    RenesasSCIFState *s = opaque;
    const uint16_t *plain = scif_plain_register(s, offset);
    uint8_t c;

    if (!scif_access_ok(s, offset, size, "read")) {
        return 0;
    }
    if (plain) {
        return *plain;
    }
    switch (offset) {
    case SCFSR:
        return scif_status(s);
    case SCFRDR:
        c = fifo8_is_empty(&s->rx) ? 0 : fifo8_pop(&s->rx);
        scif_update(s);
        qemu_chr_fe_accept_input(&s->chr);
        return c;
    case SCFCR:
        return s->scfcr;
    case SCFDR:
        return fifo8_num_used(&s->tx) << 8 | fifo8_num_used(&s->rx);
    case SCLSR:
        return s->sclsr;
    default:
        return 0;               /* SCFTDR is write only */
    }
}

static void scif_write(void *opaque, hwaddr offset, uint64_t value,
                       unsigned size)
{
    RenesasSCIFState *s = opaque;
    uint16_t *plain = scif_plain_register(s, offset);

    if (!scif_access_ok(s, offset, size, "write")) {
        return;
    }
    if (plain) {
        *plain = value;
    }
    switch (offset) {
    case SCFTDR:
        if (s->scscr & SCSCR_TE && !fifo8_is_full(&s->tx)) {
            fifo8_push(&s->tx, value);
            if (!s->tx_watch) {
                scif_transmit(NULL, G_IO_OUT, s);
            }
        }
        break;
    case SCFSR:
        s->errors &= value;
        break;
    case SCFCR:
        s->scfcr = value;
        if (value & SCFCR_TFRST) {
            fifo8_reset(&s->tx);
        }
        if (value & SCFCR_RFRST) {
            fifo8_reset(&s->rx);
        }
        break;
    case SCLSR:
        s->sclsr &= value;
        break;
    default:
        break;                  /* plain, or read only */
    }
    scif_update(s);
    qemu_chr_fe_accept_input(&s->chr);
}

static const MemoryRegionOps scif_ops = {
    .read = scif_read,
    .write = scif_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
    .impl = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
};

static void scif_reset_enter(Object *obj, ResetType type)
{
    RenesasSCIFState *s = RENESAS_SCIF(obj);

    if (s->tx_watch) {
        g_source_remove(s->tx_watch);
        s->tx_watch = 0;
    }
    fifo8_reset(&s->tx);
    fifo8_reset(&s->rx);
    s->scsmr = 0;
    s->scbrr = 0xff;
    s->scscr = 0;
    s->errors = 0;
    s->scfcr = 0;
    s->scsptr = 0;
    s->sclsr = 0;
    s->dl = 0;
    s->cks = 0;
    memset(s->hscif_regs, 0, sizeof(s->hscif_regs));
}

static void scif_reset_hold(Object *obj, ResetType type)
{
    scif_update(RENESAS_SCIF(obj));
}

static void scif_realize(DeviceState *dev, Error **errp)
{
    RenesasSCIFState *s = RENESAS_SCIF(dev);
    unsigned size = s->hscif ? HSCIF_FIFO_SIZE : FIFO_SIZE;

    fifo8_create(&s->tx, size);
    fifo8_create(&s->rx, size);
    qemu_chr_fe_set_handlers(&s->chr, scif_can_receive, scif_receive,
                             scif_event, NULL, s, NULL, true);
}

static void scif_init(Object *obj)
{
    RenesasSCIFState *s = RENESAS_SCIF(obj);

    memory_region_init_io(&s->mmio, obj, &scif_ops, s, TYPE_RENESAS_SCIF,
                          SCIF_MMIO_SIZE);
    sysbus_init_mmio(SYS_BUS_DEVICE(obj), &s->mmio);
    sysbus_init_irq(SYS_BUS_DEVICE(obj), &s->irq);
    qdev_init_gpio_out_named(DEVICE(obj), s->tx_request, "tx-request",
                             RENESAS_SCIF_DMACS);
    qdev_init_gpio_out_named(DEVICE(obj), s->rx_request, "rx-request",
                             RENESAS_SCIF_DMACS);
    object_property_add_uint64_ptr(obj, "guest-errors", &s->guest_errors,
                                   OBJ_PROP_FLAG_READ);
}

static void scif_finalize(Object *obj)
{
    RenesasSCIFState *s = RENESAS_SCIF(obj);

    fifo8_destroy(&s->tx);
    fifo8_destroy(&s->rx);
}

static const Property scif_properties[] = {
    DEFINE_PROP_CHR("chardev", RenesasSCIFState, chr),
    DEFINE_PROP_BOOL("hscif", RenesasSCIFState, hscif, false),
};

static void scif_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    ResettableClass *rc = RESETTABLE_CLASS(klass);

    dc->realize = scif_realize;
    dc->desc = "Renesas serial communication interface with FIFO";
    rc->phases.enter = scif_reset_enter;
    rc->phases.hold = scif_reset_hold;
    set_bit(DEVICE_CATEGORY_INPUT, dc->categories);
    device_class_set_props(dc, scif_properties);
}

static const TypeInfo scif_info = {
    .name = TYPE_RENESAS_SCIF,
    .parent = TYPE_SYS_BUS_DEVICE,
    .instance_size = sizeof(RenesasSCIFState),
    .instance_init = scif_init,
    .instance_finalize = scif_finalize,
    .class_init = scif_class_init,
};

static void scif_register_types(void)
{
    type_register_static(&scif_info);
}

type_init(scif_register_types)
