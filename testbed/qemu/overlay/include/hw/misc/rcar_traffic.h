/*
 * A bus master for tests that never stops
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * QEMU interface:
 *  + sysbus MMIO region 0: the registers
 *  + rcar_traffic_connect(): one more port, behind a micro-TLB; before realize
 *  + QOM "rounds", "reads", "writes", "refused", "violations" (uint64, ro):
 *    counted since QEMU started
 *  + QOM "first-violation" (string): what it was; empty if there was none since
 *    the property was last written
 *  + QOM "ports" (string, ro): a line for each micro-TLB
 */

#ifndef HW_MISC_RCAR_TRAFFIC_H
#define HW_MISC_RCAR_TRAFFIC_H

#include "hw/misc/renesas_ipmmu.h"
#include "hw/sysbus.h"
#include "qemu/notify.h"
#include "qom/object.h"

#define TYPE_RCAR_TRAFFIC "rcar-traffic"
OBJECT_DECLARE_SIMPLE_TYPE(RcarTrafficState, RCAR_TRAFFIC)

#define RCAR_TRAFFIC_PORTS      3
#define RCAR_TRAFFIC_ENTRIES    64

/* In the order of their registers */
enum {
    TRAFFIC_ROUNDS, TRAFFIC_READS, TRAFFIC_WRITES, TRAFFIC_REFUSED,
    TRAFFIC_VIOLATIONS, TRAFFIC_COUNTS,
};

typedef struct RcarTrafficPort {
    IOMMUMemoryRegion *iommu;
    unsigned utlb;
    uint32_t reached;
    uint32_t refused;
    uint32_t violations;
} RcarTrafficPort;

typedef struct RcarTrafficEntry {
    uint32_t iova;
    uint32_t flags;
    uint32_t counts[3];         /* reached, refused, reached by which ports */
} RcarTrafficEntry;

struct RcarTrafficState {
    SysBusDevice parent_obj;

    MemoryRegion iomem;
    QEMUTimer *timer;
    Notifier accessed;
    RenesasIPMMUState *ipmmu;
    bool in_round;

    uint32_t control;
    uint32_t interval;
    uint32_t give_up;
    uint32_t pattern;
    unsigned num_ports;
    RcarTrafficPort ports[RCAR_TRAFFIC_PORTS];
    RcarTrafficEntry entries[RCAR_TRAFFIC_ENTRIES];

    /* Numbers of pages that must not be reached */
    GHashTable *forbidden;
    bool has_first;
    uint32_t first[3];          /* address, number of the page, how */

    uint64_t counts[TRAFFIC_COUNTS];
    uint64_t guest_errors;
};

/* Adds a port behind micro-TLB @utlb of @ipmmu, the same one for all ports */
void rcar_traffic_connect(RcarTrafficState *s, RenesasIPMMUState *ipmmu,
                          unsigned utlb);

#endif
