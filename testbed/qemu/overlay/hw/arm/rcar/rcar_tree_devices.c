/*
 * R-Car by device tree: IPMMUs, what is behind them, and what these need
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A device is there whether the tree enables it or not, under the name that it
 * has in Linux.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "exec/address-spaces.h"
#include "hw/arm/rcar_tree.h"
#include "hw/char/renesas_scif.h"
#include "hw/dma/rcar_dmac.h"
#include "hw/gpio/rcar_gpio.h"
#include "hw/irq.h"
#include "hw/misc/rcar_any.h"
#include "hw/misc/rcar_soc.h"
#include "hw/qdev-properties.h"
#include "hw/qdev-properties-system.h"
#include "hw/sd/renesas_sdhi.h"
#include "hw/sysbus.h"
#include "system/system.h"
#include <libfdt.h>

#define MAIN "renesas,ipmmu-main"

static void add_device(RcarTreeState *t, int node, DeviceState *dev)
{
    g_autofree char *name = rcar_tree_name(t, node);

    rcar_h3_add_device(RCAR_H3_MACHINE(t), name, dev, rcar_tree_base(t, node));
}

static void connect_irq(RcarTreeState *t, DeviceState *dev, int n, unsigned spi)
{
    sysbus_connect_irq(SYS_BUS_DEVICE(dev), n,
                       rcar_h3_spi(RCAR_H3_MACHINE(t), spi));
}

/* The model of a node; NULL if there is none of this @type */
static Object *model_of(RcarTreeState *t, int node, const char *type)
{
    g_autofree char *name = rcar_tree_name(t, node);
    Object *model = object_resolve_path_component(OBJECT(t), name);

    return model ? object_dynamic_cast(model, type) : NULL;
}

/* What the product register says; of the cuts of a SoC, one that is sold */
static const struct {
    const char *soc;
    uint32_t prr;
} products[] = {
    { "renesas,r8a774a1", 0x5201 }, { "renesas,r8a774b1", 0x5501 },
    { "renesas,r8a774c0", 0x5701 }, { "renesas,r8a774e1", 0x4f20 },
    { "renesas,r8a7795", 0x4f20 }, { "renesas,r8a7796", 0x5201 },
    { "renesas,r8a77961", 0x5220 }, { "renesas,r8a77965", 0x5501 },
    { "renesas,r8a77970", 0x5410 }, { "renesas,r8a77980", 0x5610 },
    { "renesas,r8a77990", 0x5701 }, { "renesas,r8a77995", 0x5801 },
    { "renesas,r8a779a0", 0x5900 }, { "renesas,r8a779f0", 0x5a01 },
    { "renesas,r8a779g0", 0x5c10 }, { "renesas,r8a779h0", 0x5d00 },
};

static void create_prr(RcarTreeState *t, int node)
{
    DeviceState *dev = qdev_new(TYPE_RCAR_PRR);
    uint32_t value = RCAR_H3_MACHINE(t)->prr;

    for (int i = 0; i < ARRAY_SIZE(products) && !value; i++) {
        if (rcar_tree_is(t, 0, products[i].soc)) {
            value = products[i].prr;
        }
    }
    if (!value) {
        rcar_tree_error(t, 0, "the SoC is unknown: say prr=");
    }
    qdev_prop_set_uint32(dev, "value", value);
    add_device(t, node, dev);
}

/* Resets and pins: what is written is read back, and has no effect */
static void create_kept(RcarTreeState *t, int node)
{
    RcarTreeRange range;

    for (int n = 0; rcar_tree_reg(t, node, n, &range); n++) {
        DeviceState *dev = qdev_new(TYPE_RCAR_KEPT);
        g_autofree char *first = rcar_tree_name(t, node);
        g_autofree char *name = n ? g_strdup_printf("%s-%d", first, n)
                                  : g_strdup(first);

        qdev_prop_set_uint32(dev, "size", range.size);
        rcar_h3_add_device(RCAR_H3_MACHINE(t), name, dev, range.base);
    }
}

static bool is_gen4(RcarTreeState *t)
{
    return rcar_tree_is(t, 0, "renesas,r8a779a0") ||
           rcar_tree_is(t, 0, "renesas,r8a779f0") ||
           rcar_tree_is(t, 0, "renesas,r8a779g0") ||
           rcar_tree_is(t, 0, "renesas,r8a779h0");
}

/* Clocks: the same, but for a divider that has no setting 0 */
static void create_cpg(RcarTreeState *t, int node)
{
    DeviceState *dev = qdev_new(TYPE_RCAR_KEPT);
    bool is_v3m = rcar_tree_is(t, 0, "renesas,r8a77970");
    uint32_t rpcckcr = is_gen4(t) ? 0x874 : 0x238;

    qdev_prop_set_uint32(dev, "size", is_gen4(t) ? 0x4000 : 0x1000);
    /* SD0CKCR: / 8; RPCCKCR: / 5 / 8 */
    qdev_prop_set_uint32(dev, "preset-offset", is_v3m ? 0x074 : rpcckcr);
    qdev_prop_set_uint32(dev, "preset", is_v3m ? 0x40 : 0x17);
    add_device(t, node, dev);
}

static void create_sysc(RcarTreeState *t, int node)
{
    add_device(t, node, qdev_new(is_gen4(t) ? TYPE_RCAR_GEN4_ANY_SYSC
                                            : TYPE_RCAR_ANY_SYSC));
}

static const char *generation(RcarTreeState *t, int node)
{
    if (rcar_tree_is(t, node, "renesas,rcar-gen4-ipmmu-vmsa") ||
        rcar_tree_is(t, node, "renesas,ipmmu-r8a779a0")) {
        return "gen4";
    }
    return rcar_tree_is(t, node, "renesas,ipmmu-vmsa") ? "gen2" : "gen3";
}

static void new_ipmmu(RcarTreeState *t, int node, RenesasIPMMUState *root)
{
    g_autofree char *name = rcar_tree_name(t, node);
    RenesasIPMMUState *ipmmu =
        rcar_h3_new_ipmmu(RCAR_H3_MACHINE(t), name, rcar_tree_base(t, node),
                          generation(t, node), root);

    if (!root) {
        connect_irq(t, DEVICE(ipmmu), 0,
                    rcar_tree_irq(t, node, 0, RCAR_TREE_SPI));
    }
}

static void create_root(RcarTreeState *t, int node)
{
    if (!rcar_tree_count(t, node, MAIN)) {
        new_ipmmu(t, node, NULL);
    }
}

static void create_cache(RcarTreeState *t, int node)
{
    Object *root;
    int main;

    if (!rcar_tree_count(t, node, MAIN)) {
        return;
    }
    main = rcar_tree_target(t, node, MAIN, 0);
    root = model_of(t, main, TYPE_RENESAS_IPMMU);
    if (!root || rcar_tree_count(t, main, MAIN) ||
        strcmp(generation(t, main), generation(t, node))) {
        rcar_tree_error(t, node, MAIN " is no root IPMMU of its generation");
    }
    new_ipmmu(t, node, RENESAS_IPMMU(root));
}

/* Where the transactions of port @n of a master go */
static AddressSpace *port(RcarTreeState *t, int node, unsigned n)
{
    unsigned pairs = rcar_tree_count(t, node, "iommus") / 2;
    AddressSpace *as = NULL;
    Object *ipmmu;

    if (!pairs) {
        return &address_space_memory;
    }
    if (n >= pairs) {
        rcar_tree_error(t, node, "iommus has %u micro-TLBs, and port %u is "
                        "behind none", pairs, n);
    }
    ipmmu = model_of(t, rcar_tree_target(t, node, "iommus", 2 * n),
                     TYPE_RENESAS_IPMMU);
    if (ipmmu) {
        as = renesas_ipmmu_utlb_as(RENESAS_IPMMU(ipmmu),
            rcar_tree_cell(t, node, "iommus", 2 * n + 1));
    }
    if (!as) {
        rcar_tree_error(t, node, "iommus %u is no micro-TLB of an IPMMU", n);
    }
    return as;
}

static void create_dmac(RcarTreeState *t, int node)
{
    DeviceState *dev = qdev_new(TYPE_RCAR_DMAC);
    bool gen4 = rcar_tree_is(t, node, "renesas,rcar-gen4-dmac");
    unsigned channels = rcar_tree_cell(t, node, "dma-channels", 0);
    RcarTreeRange range;

    if (channels > RCAR_DMAC_CHANNELS) {
        rcar_tree_error(t, node, "there are %d channels at most",
                        RCAR_DMAC_CHANNELS);
    }
    qdev_prop_set_bit(dev, "gen4", gen4);
    add_device(t, node, dev);
    if (gen4 && !rcar_tree_reg(t, node, 1, &range)) {
        rcar_tree_error(t, node, "reg has no second range, for the channels");
    }
    if (gen4) {
        sysbus_mmio_map(SYS_BUS_DEVICE(dev), 1, range.base);
    }
    connect_irq(t, dev, 0, rcar_tree_named_irq(t, node, "error"));
    for (unsigned n = 0; n < channels; n++) {
        g_autofree char *name = g_strdup_printf("ch%u", n);

        rcar_dmac_set_channel_as(RCAR_DMAC(dev), n, port(t, node, n));
        connect_irq(t, dev, 1 + n, rcar_tree_named_irq(t, node, name));
    }
}

static void create_gpio(RcarTreeState *t, int node)
{
    DeviceState *dev = qdev_new(TYPE_RCAR_GPIO);

    add_device(t, node, dev);
    connect_irq(t, dev, 0, rcar_tree_irq(t, node, 0, RCAR_TREE_SPI));
}

/* The pin that is low, or high, while a card is in the slot */
static void wire_slot(RcarTreeState *t, int node, DeviceState *dev)
{
    Object *gpio;
    qemu_irq pin;

    if (rcar_tree_count(t, node, "cd-gpios") < 3) {
        return;
    }
    gpio = model_of(t, rcar_tree_target(t, node, "cd-gpios", 0), TYPE_RCAR_GPIO);
    if (!gpio) {
        return;
    }
    pin = qdev_get_gpio_in(DEVICE(gpio), rcar_tree_cell(t, node, "cd-gpios", 1));
    if (rcar_tree_cell(t, node, "cd-gpios", 2) & 1) {
        pin = qemu_irq_invert(pin);
    }
    qdev_connect_gpio_out_named(dev, "inserted", 0, pin);
}

/* SDHI0 and its address; -drive if=sd,index=N is SDHI N's */
#define SDHI_BASE   0xee100000
#define SDHI_STRIDE 0x20000

static void create_sdhi(RcarTreeState *t, int node)
{
    bool is_emmc = fdt_getprop(t->fdt, node, "non-removable", NULL);
    g_autofree char *name = rcar_tree_name(t, node);
    hwaddr base = rcar_tree_base(t, node);
    DeviceState *dev = rcar_h3_new_sdhi(RCAR_H3_MACHINE(t), name, base, is_emmc,
                                        port(t, node, 0));

    connect_irq(t, dev, 0, rcar_tree_irq(t, node, 0, RCAR_TREE_SPI));
    wire_slot(t, node, dev);
    rcar_h3_insert_card(dev, is_emmc, (base - SDHI_BASE) / SDHI_STRIDE);
}

/* In this order: what others refer to comes first */
static const struct {
    const char *pattern;
    void (*create)(RcarTreeState *t, int node);
} kinds[] = {
    { "renesas,prr", create_prr },
    { "renesas,*-cpg-mssr", create_cpg },
    { "renesas,*-rst", create_kept },
    { "renesas,pfc-*", create_kept },
    { "renesas,irqc", create_kept },
    { "renesas,*-sysc", create_sysc },
    { "renesas,ipmmu-*", create_root },
    { "renesas,ipmmu-*", create_cache },
    { "renesas,rcar-dmac", create_dmac },
    { "renesas,rcar-gen4-dmac", create_dmac },
    { "renesas,rcar-gen3-gpio", create_gpio },
    { "renesas,rcar-gen?-sdhi", create_sdhi },
};

static void create_console(RcarTreeState *t)
{
    DeviceState *dev = qdev_new(TYPE_RENESAS_SCIF);
    int chosen = fdt_path_offset(t->fdt, "/chosen");
    const char *path = chosen < 0 ? NULL
        : fdt_getprop(t->fdt, chosen, "stdout-path", NULL);
    g_auto(GStrv) parts = g_strsplit(path ?: "", ":", 2);
    int node = parts[0] ? fdt_path_offset(t->fdt, parts[0]) : -1;

    if (node < 0 || !rcar_tree_is(t, node, "renesas,*scif")) {
        rcar_tree_error(t, chosen, "stdout-path is no serial port");
    }
    qdev_prop_set_chr(dev, "chardev", serial_hd(0));
    qdev_prop_set_bit(dev, "hscif", rcar_tree_is(t, node, "renesas,hscif"));
    add_device(t, node, dev);
    connect_irq(t, dev, 0, rcar_tree_irq(t, node, 0, RCAR_TREE_SPI));
}

void rcar_tree_create_devices(RcarTreeState *t)
{
    for (int i = 0; i < ARRAY_SIZE(kinds); i++) {
        for (int node = rcar_tree_next(t, 0, kinds[i].pattern); node >= 0;
             node = rcar_tree_next(t, node, kinds[i].pattern)) {
            kinds[i].create(t, node);
        }
    }
    create_console(t);
}
