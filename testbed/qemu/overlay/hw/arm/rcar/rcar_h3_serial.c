/*
 * R-Car H3: serial ports, and how they ask DMA controllers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The SoC has six SCIFs and five HSCIFs; the console is here, and one more for
 * what a console does not do: Linux moves its characters without DMA.
 */

#include "qemu/osdep.h"
#include "hw/arm/rcar_h3.h"
#include "hw/char/renesas_scif.h"
#include "hw/qdev-properties-system.h"
#include "hw/sysbus.h"
#include "system/system.h"

/* The DMA controllers that are asked, whichever has a channel for the port */
static const char * const dmacs[RENESAS_SCIF_DMACS] = { "dmac1", "dmac2" };

/* In the order of -serial; requests by MID/RID */
static const struct {
    const char *name;
    hwaddr base;
    unsigned spi;
    unsigned tx_request;
    unsigned rx_request;
} serial_ports[] = {
    { "scif2", 0xe6e88000, 164, 0x13, 0x12 },   /* the debug console */
    { "scif1", 0xe6e68000, 153, 0x53, 0x52 },
};

static void create_serial_port(RcarH3State *s, int n)
{
    DeviceState *dev = qdev_new(TYPE_RENESAS_SCIF);

    qdev_prop_set_chr(dev, "chardev", serial_hd(n));
    rcar_h3_add_device(s, serial_ports[n].name, dev, serial_ports[n].base);
    sysbus_connect_irq(SYS_BUS_DEVICE(dev), 0,
                       rcar_h3_spi(s, serial_ports[n].spi));
    for (int i = 0; i < RENESAS_SCIF_DMACS; i++) {
        DeviceState *dmac = DEVICE(object_resolve_path_component(OBJECT(s),
                                                                 dmacs[i]));

        qdev_connect_gpio_out_named(dev, "tx-request", i,
            qdev_get_gpio_in_named(dmac, "request",
                                   serial_ports[n].tx_request));
        qdev_connect_gpio_out_named(dev, "rx-request", i,
            qdev_get_gpio_in_named(dmac, "request",
                                   serial_ports[n].rx_request));
    }
}

void rcar_h3_create_serial_ports(RcarH3State *s)
{
    for (int n = 0; n < ARRAY_SIZE(serial_ports); n++) {
        create_serial_port(s, n);
    }
}
