/*
 * R-Car H3: IPMMUs, and the DMA controllers behind them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which port of a bus master is wired to which micro-TLB is what the `iommus`
 * properties of the device tree say.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/arm/rcar_h3.h"
#include "hw/dma/rcar_dmac.h"
#include "hw/misc/rcar_traffic.h"
#include "hw/misc/renesas_ipmmu.h"
#include "hw/qdev-properties.h"

#define ROOT_FAULT_SPI  196

typedef struct RcarIpmmu {
    const char *name;
    hwaddr base;
    unsigned area;                      /* power area; 0: always on */
} RcarIpmmu;

/* The root first; all others are caches of it */
static const RcarIpmmu ipmmus[] = {
    { "ipmmu_mm", 0xe67b0000 },
    { "ipmmu_ds0", 0xe6740000 },
    { "ipmmu_ds1", 0xe7740000 },
    { "ipmmu_hc", 0xe6570000 },
    { "ipmmu_ir", 0xff8b0000, H3_PD_A3IR },
    { "ipmmu_mp0", 0xec670000 },
    { "ipmmu_pv0", 0xfd800000 },
    { "ipmmu_pv1", 0xfd950000 },
    { "ipmmu_pv2", 0xfd960000 },
    { "ipmmu_pv3", 0xfd970000 },
    { "ipmmu_rt", 0xffc80000 },
    { "ipmmu_vc0", 0xfe6b0000, H3_PD_A3VC },
    { "ipmmu_vc1", 0xfe6f0000, H3_PD_A3VC },
    { "ipmmu_vi0", 0xfebd0000 },
    { "ipmmu_vi1", 0xfebe0000 },
    { "ipmmu_vp0", 0xfe990000, H3_PD_A3VP },
    { "ipmmu_vp1", 0xfe980000, H3_PD_A3VP },
};

#define DMAC_CHANNELS 16

/* Channel n of a controller is wired to micro-TLB first_utlb + n */
typedef struct RcarDmac {
    const char *name;
    hwaddr base;
    const char *ipmmu;
    unsigned first_utlb;
    uint16_t spi[1 + DMAC_CHANNELS];    /* error, then the channels */
} RcarDmac;

static const RcarDmac dmacs[] = {
    { "dmac0", 0xe6700000, "ipmmu_ds0", 0,
      { 199, 200, 201, 202, 203, 204, 205, 206, 207,
        208, 209, 210, 211, 212, 213, 214, 215 } },
    { "dmac1", 0xe7300000, "ipmmu_ds1", 0,
      { 220, 216, 217, 218, 219, 308, 309, 310, 311,
        312, 313, 314, 315, 316, 317, 318, 319 } },
    { "dmac2", 0xe7310000, "ipmmu_ds1", 16,
      { 416, 417, 418, 419, 420, 421, 422, 423, 424,
        425, 426, 427, 428, 429, 430, 431, 397 } },
    { "audma0", 0xec700000, "ipmmu_mp0", 0,
      { 350, 320, 321, 322, 323, 324, 325, 326, 327,
        328, 329, 330, 331, 332, 333, 334, 335 } },
    { "audma1", 0xec720000, "ipmmu_mp0", 16,
      { 351, 336, 337, 338, 339, 340, 341, 342, 343,
        344, 345, 346, 347, 348, 349, 382, 383 } },
};

/*
 * Not on any board: an IPMMU of another generation, and two DMA controllers
 * behind it, in a hole of the address map. Gen2 has no caches.
 */
#define EXTRA_FAULT_SPI 446

static const RcarIpmmu extra_root = {
    "ipmmu_extra", 0xe8000000, H3_PD_A3VP
};
static const RcarIpmmu extra_cache = {
    "ipmmu_extra0", 0xe8100000, H3_PD_A3VC
};

static const RcarDmac extra_dmacs[] = {
    { "dmac_extra", 0xe8200000, NULL, 0,
      { 447, 448, 449, 450, 451, 452, 453, 454, 455,
        456, 457, 458, 459, 460, 461, 462, 463 } },
    { "dmac_extra1", 0xe8210000, NULL, 16,
      { 445, 464, 465, 466, 467, 468, 469, 470, 471,
        472, 473, 474, 475, 476, 477, 478, 479 } },
};

/*
 * Not on any board either: masters for tests, behind micro-TLBs that no master
 * of this machine has. Micro-TLB 0 is one of them, as drivers treat it apart.
 */
static const struct {
    const char *name;
    hwaddr base;
    const char *ipmmu;
    unsigned utlb[RCAR_TRAFFIC_PORTS];
    unsigned area;
} traffic[] = {
    { "traffic0", 0xe8300000, "ipmmu_vc0", { 0, 3, 34 }, H3_PD_A3VC },
    { "traffic1", 0xe8310000, "ipmmu_pv0", { 1, 2, 47 } },
};

/* An IPMMU that is reset, and unreachable, while its power area is off */
typedef struct PowerIsland {
    Notifier notifier;
    RenesasIPMMUState *ipmmu;
    bool cut;                           /* or is nothing of that true? */
} PowerIsland;

static void power_island_switch(Notifier *notifier, void *data)
{
    PowerIsland *island = container_of(notifier, PowerIsland, notifier);
    bool on = *(bool *)data;

    renesas_ipmmu_set_power(island->ipmmu, on, island->cut);
    memory_region_set_enabled(
        sysbus_mmio_get_region(SYS_BUS_DEVICE(island->ipmmu), 0),
        on || !island->cut);
}

static void put_into_area(RcarH3State *s, RenesasIPMMUState *ipmmu,
                          unsigned area)
{
    PowerIsland *island = g_new0(PowerIsland, 1);   /* lives as long as QEMU */

    island->ipmmu = ipmmu;
    island->cut = s->power_areas;
    island->notifier.notify = power_island_switch;
    rcar_sysc_add_power_notifier(s->sysc, area, &island->notifier);
}

RenesasIPMMUState *rcar_h3_new_ipmmu(RcarH3State *s, const char *name,
                                     hwaddr base, const char *generation,
                                     RenesasIPMMUState *root)
{
    DeviceState *dev = qdev_new(TYPE_RENESAS_IPMMU);

    qdev_prop_set_string(dev, "generation", generation);
    if (root) {
        object_property_set_link(OBJECT(dev), "root", OBJECT(root),
                                 &error_abort);
    }
    if (s->ipmmu_unkind) {
        object_property_set_str(OBJECT(dev), "unkind", s->ipmmu_unkind,
                                &error_fatal);
    }
    rcar_h3_add_device(s, name, dev, base);
    return RENESAS_IPMMU(dev);
}

static RenesasIPMMUState *create_ipmmu(RcarH3State *s, const RcarIpmmu *ipmmu,
                                       const char *generation,
                                       RenesasIPMMUState *root)
{
    RenesasIPMMUState *dev = rcar_h3_new_ipmmu(s, ipmmu->name, ipmmu->base,
                                               generation, root);

    if (ipmmu->area) {
        put_into_area(s, dev, ipmmu->area);
    }
    return dev;
}

static void create_dmac(RcarH3State *s, const RcarDmac *dmac,
                        RenesasIPMMUState *ipmmu)
{
    DeviceState *dev = qdev_new(TYPE_RCAR_DMAC);

    rcar_h3_add_device(s, dmac->name, dev, dmac->base);
    for (int n = 0; n < DMAC_CHANNELS; n++) {
        rcar_dmac_set_channel_as(RCAR_DMAC(dev), n,
            renesas_ipmmu_utlb_as(ipmmu, dmac->first_utlb + n));
    }
    for (int n = 0; n < ARRAY_SIZE(dmac->spi); n++) {
        sysbus_connect_irq(SYS_BUS_DEVICE(dev), n,
                           rcar_h3_spi(s, dmac->spi[n]));
    }
}

void rcar_h3_create_ipmmus(RcarH3State *s)
{
    RenesasIPMMUState *root = create_ipmmu(s, &ipmmus[0], "gen3", NULL);

    sysbus_connect_irq(SYS_BUS_DEVICE(root), 0,
                       rcar_h3_spi(s, ROOT_FAULT_SPI));
    for (int i = 1; i < ARRAY_SIZE(ipmmus); i++) {
        create_ipmmu(s, &ipmmus[i], "gen3", root);
    }
}

void rcar_h3_create_dmacs(RcarH3State *s)
{
    for (int i = 0; i < ARRAY_SIZE(dmacs); i++) {
        create_dmac(s, &dmacs[i],
                    RENESAS_IPMMU(object_resolve_path_component(
                        OBJECT(s), dmacs[i].ipmmu)));
    }
}

void rcar_h3_create_extra_ipmmu(RcarH3State *s, const char *generation)
{
    bool split = strcmp(generation, "gen2");
    RcarIpmmu root = extra_root;
    RenesasIPMMUState *ipmmu;

    if (!split) {
        root.area = 0;                  /* 32-bit boards have no SYSC node */
    }
    ipmmu = create_ipmmu(s, &root, generation, NULL);
    sysbus_connect_irq(SYS_BUS_DEVICE(ipmmu), 0,
                       rcar_h3_spi(s, EXTRA_FAULT_SPI));
    if (split) {
        ipmmu = create_ipmmu(s, &extra_cache, generation, ipmmu);
    }
    for (int i = 0; i < ARRAY_SIZE(extra_dmacs); i++) {
        create_dmac(s, &extra_dmacs[i], ipmmu);
    }
}

/* A master for tests, which stops without power; its judge does not */
typedef struct TrafficIsland {
    Notifier notifier;
    DeviceState *dev;
} TrafficIsland;

static void traffic_power(Notifier *notifier, void *data)
{
    TrafficIsland *island = container_of(notifier, TrafficIsland, notifier);

    if (!*(bool *)data) {
        device_cold_reset(island->dev);
    }
}

void rcar_h3_create_traffic(RcarH3State *s)
{
    for (int i = 0; i < ARRAY_SIZE(traffic); i++) {
        DeviceState *dev = qdev_new(TYPE_RCAR_TRAFFIC);
        Object *ipmmu = object_resolve_path_component(OBJECT(s),
                                                      traffic[i].ipmmu);

        for (int n = 0; n < RCAR_TRAFFIC_PORTS; n++) {
            rcar_traffic_connect(RCAR_TRAFFIC(dev), RENESAS_IPMMU(ipmmu),
                                 traffic[i].utlb[n]);
        }
        rcar_h3_add_device(s, traffic[i].name, dev, traffic[i].base);
        if (s->power_areas && traffic[i].area) {
            TrafficIsland *island = g_new0(TrafficIsland, 1);

            island->dev = dev;
            island->notifier.notify = traffic_power;
            rcar_sysc_add_power_notifier(s->sysc, traffic[i].area,
                                         &island->notifier);
        }
    }
}
