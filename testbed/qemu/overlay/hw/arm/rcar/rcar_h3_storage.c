/*
 * R-Car H3: GPIO, SD card slot and eMMC
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The SoC has four SDHI controllers; this board uses two. Pins of the slot and
 * micro-TLBs are those of the device tree.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/arm/rcar_h3.h"
#include "hw/gpio/rcar_gpio.h"
#include "hw/irq.h"
#include "hw/misc/renesas_ipmmu.h"
#include "hw/qdev-properties.h"
#include "hw/qdev-properties-system.h"
#include "hw/sd/renesas_sdhi.h"
#include "system/block-backend.h"
#include "system/blockdev.h"

static const struct {
    const char *name;
    hwaddr base;
    unsigned spi;
} gpios[] = {
    { "gpio0", 0xe6050000, 4 },
    { "gpio1", 0xe6051000, 5 },
    { "gpio2", 0xe6052000, 6 },
    { "gpio3", 0xe6053000, 7 },
    { "gpio4", 0xe6054000, 8 },
    { "gpio5", 0xe6055000, 9 },
    { "gpio6", 0xe6055400, 10 },
    { "gpio7", 0xe6055800, 11 },
};

/* A pin; no bank means that there is no such wire */
typedef struct RcarPin {
    const char *gpio;
    unsigned n;
} RcarPin;

typedef struct RcarSdhi {
    const char *name;
    hwaddr base;
    unsigned spi;
    unsigned utlb;              /* of ipmmu_ds1 */
    bool is_emmc;
    int drive;                  /* -drive if=sd,index=N */
    RcarPin absent;             /* driven low by a card in the slot */
    RcarPin power;
} RcarSdhi;

static const RcarSdhi sdhis[] = {
    { "sdhi0", 0xee100000, 165, 32, false, 0,
      .absent = { "gpio3", 12 }, .power = { "gpio5", 2 } },
    { "sdhi2", 0xee140000, 167, 34, true, 2 },
};

static DeviceState *find_device(RcarH3State *s, const char *name)
{
    return DEVICE(object_resolve_path_component(OBJECT(s), name));
}

void rcar_h3_create_gpios(RcarH3State *s)
{
    for (int i = 0; i < ARRAY_SIZE(gpios); i++) {
        DeviceState *dev = qdev_new(TYPE_RCAR_GPIO);

        rcar_h3_add_device(s, gpios[i].name, dev, gpios[i].base);
        sysbus_connect_irq(SYS_BUS_DEVICE(dev), 0,
                           rcar_h3_spi(s, gpios[i].spi));
    }
}

static void wire_slot(RcarH3State *s, DeviceState *dev, const RcarSdhi *sdhi)
{
    if (sdhi->absent.gpio) {
        qemu_irq pin = qdev_get_gpio_in(find_device(s, sdhi->absent.gpio),
                                        sdhi->absent.n);

        qdev_connect_gpio_out_named(dev, "inserted", 0, qemu_irq_invert(pin));
    }
    if (sdhi->power.gpio) {
        qdev_connect_gpio_out(find_device(s, sdhi->power.gpio), sdhi->power.n,
                              qdev_get_gpio_in_named(dev, "power", 0));
    }
}

DeviceState *rcar_h3_new_sdhi(RcarH3State *s, const char *name, hwaddr base,
                              bool is_emmc, AddressSpace *dma)
{
    DeviceState *dev = qdev_new(TYPE_RENESAS_SDHI);

    qdev_prop_set_uint16(dev, "version",
                         is_emmc ? RENESAS_SDHI_VERSION_SDMMC
                                 : RENESAS_SDHI_VERSION_SD);
    rcar_h3_add_device(s, name, dev, base);
    renesas_sdhi_set_dma_as(RENESAS_SDHI(dev), dma);
    return dev;
}

void rcar_h3_insert_card(DeviceState *sdhi, bool is_emmc, int index)
{
    DriveInfo *drive = drive_get(IF_SD, 0, index);
    DeviceState *card;

    if (!drive) {
        return;
    }
    card = qdev_new(is_emmc ? TYPE_EMMC : TYPE_SD_CARD);
    qdev_prop_set_drive_err(card, "drive", blk_by_legacy_dinfo(drive),
                            &error_fatal);
    qdev_realize_and_unref(card, qdev_get_child_bus(sdhi, "sd-bus"),
                           &error_fatal);
}

void rcar_h3_create_storage(RcarH3State *s)
{
    RenesasIPMMUState *ipmmu = RENESAS_IPMMU(find_device(s, "ipmmu_ds1"));

    for (int i = 0; i < ARRAY_SIZE(sdhis); i++) {
        DeviceState *dev = rcar_h3_new_sdhi(s, sdhis[i].name, sdhis[i].base,
            sdhis[i].is_emmc, renesas_ipmmu_utlb_as(ipmmu, sdhis[i].utlb));

        sysbus_connect_irq(SYS_BUS_DEVICE(dev), 0,
                           rcar_h3_spi(s, sdhis[i].spi));
        wire_slot(s, dev, &sdhis[i]);
        rcar_h3_insert_card(dev, sdhis[i].is_emmc, sdhis[i].drive);
    }
}
