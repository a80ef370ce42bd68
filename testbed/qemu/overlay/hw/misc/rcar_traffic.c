/*
 * A bus master for tests that never stops
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * No SoC has it. It reads and writes a list of addresses round and round, each
 * from all its micro-TLBs: at each tick of virtual time, and before and after
 * each access to a register of an IPMMU of that root.
 *
 * It also judges its own accesses. The guest marks a physical page that it
 * takes away from the master; an access that would then reach the page, through
 * any address and micro-TLB, is counted as a violation, and not performed.
 *
 * Registers, of 32 bits:
 *   0x00 CONTROL     RUN 0; TIRELESS 1: reset does not clear RUN; PATIENT 2: no
 *                    rounds around accesses to registers
 *   0x04 INTERVAL    of ticks, in ns; 0: no ticks
 *   0x08 GIVE_UP     so many refusals end an entry; 0: none do
 *   0x0c PATTERN     what is written
 *   0x10 ROUND       a write performs a round
 *   0x14 FORBID      a write marks a page, by its number
 *   0x18 ALLOW       a write takes the mark away again
 *   0x1c ALLOW_ALL   a write takes all marks away
 *   0x20 ROUNDS, 0x24 READS, 0x28 WRITES, 0x2c REFUSED, 0x30 VIOLATIONS,
 *   0x34 MARKS       counts, of which the low 32 bits are seen
 *   0x38 FIRST       the first violation: address; number of the physical page;
 *                    entry 23:16, write 8, micro-TLB 7:0
 *   0x80 + 16n       of each port: UTLB (the number of its micro-TLB, all ones
 *                    if there is no such port), REACHED, REFUSED, VIOLATIONS
 *   0x400 + 32n      of each entry: IOVA, FLAGS (READ 0, WRITE 1), REACHED,
 *                    REFUSED, REACHED_BY (a bit for each port). A write to
 *                    FLAGS clears the counts, and restarts an entry that ended.
 *
 * Reset, and the loss of power, clear RUN and nothing else: list, marks and
 * counts are the judge's.
 */

#include "qemu/osdep.h"
#include "qemu/log.h"
#include "qemu/timer.h"
#include "exec/address-spaces.h"
#include "hw/misc/rcar_traffic.h"
#include "hw/resettable.h"
#include "migration/vmstate.h"

#define CONTROL_RUN         BIT(0)
#define CONTROL_TIRELESS    BIT(1)
#define CONTROL_PATIENT     BIT(2)
#define FLAGS_READ          BIT(0)
#define FLAGS_WRITE         BIT(1)
#define HOW_WRITE           BIT(8)
#define PAGE_SHIFT          12

enum {
    CONTROL = 0x00, INTERVAL = 0x04, GIVE_UP = 0x08, PATTERN = 0x0c,
    ROUND = 0x10, FORBID = 0x14, ALLOW = 0x18, ALLOW_ALL = 0x1c,
    ROUNDS = 0x20, VIOLATIONS = 0x30, MARKS = 0x34,
    FIRST = 0x38, FIRST_END = 0x43,
    PORT = 0x80, PORT_STRIDE = 0x10,
    ENTRY = 0x400, ENTRY_STRIDE = 0x20,
    END = ENTRY + RCAR_TRAFFIC_ENTRIES * ENTRY_STRIDE,
};

/* In the order of the registers */
enum { COUNT_REACHED, COUNT_REFUSED, COUNT_REACHED_BY };

static void note_violation(RcarTrafficState *s, RcarTrafficPort *p,
                           const RcarTrafficEntry *e, hwaddr phys, bool write)
{
    if (!s->has_first) {
        s->has_first = true;
        s->first[0] = e->iova;
        s->first[1] = phys >> PAGE_SHIFT;
        s->first[2] = p->utlb | (write ? HOW_WRITE : 0) |
                      (e - s->entries) << 16;
    }
    s->counts[TRAFFIC_VIOLATIONS]++;
    p->violations++;
}

static bool perform(RcarTrafficState *s, hwaddr phys, bool write)
{
    uint32_t word = cpu_to_le32(s->pattern);
    MemTxAttrs none = MEMTXATTRS_UNSPECIFIED;

    return !address_space_rw(&address_space_memory, phys, none, &word, 4,
                             write);
}

/* Asks the micro-TLB itself: what matters is the page that it would let in */
static void access_once(RcarTrafficState *s, RcarTrafficPort *p,
                        RcarTrafficEntry *e, bool write)
{
    IOMMUAccessFlags flag = write ? IOMMU_WO : IOMMU_RO;
    IOMMUTLBEntry t = memory_region_get_iommu_class_nocheck(p->iommu)->
        translate(p->iommu, e->iova, flag, 0);
    hwaddr phys = (t.translated_addr & ~t.addr_mask) | (e->iova & t.addr_mask);

    if (t.perm & flag) {
        void *page = GUINT_TO_POINTER(phys >> PAGE_SHIFT);

        if (g_hash_table_contains(s->forbidden, page)) {
            note_violation(s, p, e, phys, write);
            return;
        }
        if (perform(s, phys, write)) {
            s->counts[write ? TRAFFIC_WRITES : TRAFFIC_READS]++;
            p->reached++;
            e->counts[COUNT_REACHED]++;
            e->counts[COUNT_REACHED_BY] |= BIT(p - s->ports);
            return;
        }
    }
    s->counts[TRAFFIC_REFUSED]++;
    p->refused++;
    e->counts[COUNT_REFUSED]++;
}

static void do_round(RcarTrafficState *s)
{
    /* What an untranslated access reaches may be a register of an IPMMU */
    if (!(s->control & CONTROL_RUN) || s->in_round) {
        return;
    }
    s->in_round = true;
    s->counts[TRAFFIC_ROUNDS]++;
    for (unsigned i = 0; i < RCAR_TRAFFIC_ENTRIES; i++) {
        RcarTrafficEntry *e = &s->entries[i];

        if (!e->flags ||
            (s->give_up && e->counts[COUNT_REFUSED] >= s->give_up)) {
            continue;
        }
        for (unsigned n = 0; n < s->num_ports; n++) {
            if (e->flags & FLAGS_READ) {
                access_once(s, &s->ports[n], e, false);
            }
            if (e->flags & FLAGS_WRITE) {
                access_once(s, &s->ports[n], e, true);
            }
        }
    }
    s->in_round = false;
}

static void ipmmu_accessed(Notifier *notifier, void *data)
{
    RcarTrafficState *s = container_of(notifier, RcarTrafficState, accessed);

    if (!(s->control & CONTROL_PATIENT)) {
        do_round(s);
    }
}

static void set_timer(RcarTrafficState *s)
{
    timer_del(s->timer);
    if ((s->control & CONTROL_RUN) && s->interval) {
        timer_mod_ns(s->timer, qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL) +
                     s->interval);
    }
}

static void tick(void *opaque)
{
    do_round(opaque);
    set_timer(opaque);
}

static RcarTrafficEntry *entry_at(RcarTrafficState *s, hwaddr offset)
{
    return &s->entries[(offset - ENTRY) / ENTRY_STRIDE];
}

/* The register at @offset, if it is one that keeps what is written */
static uint32_t *stored(RcarTrafficState *s, hwaddr offset)
{
    switch (offset) {
    case CONTROL:
        return &s->control;
    case INTERVAL:
        return &s->interval;
    case GIVE_UP:
        return &s->give_up;
    case PATTERN:
        return &s->pattern;
    case ENTRY ... END - 1:
        switch (offset % ENTRY_STRIDE) {
        case 0x0:
            return &entry_at(s, offset)->iova;
        case 0x4:
            return &entry_at(s, offset)->flags;
        }
    }
    return NULL;
}

static uint32_t port_read(RcarTrafficState *s, hwaddr offset)
{
    const RcarTrafficPort *p = &s->ports[(offset - PORT) / PORT_STRIDE];

    switch (offset % PORT_STRIDE) {
    case 0x0:
        return p - s->ports < s->num_ports ? p->utlb : UINT32_MAX;
    case 0x4:
        return p->reached;
    case 0x8:
        return p->refused;
    }
    return p->violations;
}

static uint64_t rcar_traffic_read(void *opaque, hwaddr offset, unsigned size)
{
    RcarTrafficState *s = opaque;
    const uint32_t *reg = stored(s, offset);

    if (reg) {
        return *reg;
    }
    switch (offset) {
    case ROUND ... ALLOW_ALL:
        return 0;
    case ROUNDS ... VIOLATIONS:
        return (uint32_t)s->counts[(offset - ROUNDS) / 4];
    case MARKS:
        return g_hash_table_size(s->forbidden);
    case FIRST ... FIRST_END:
        return s->first[(offset - FIRST) / 4];
    case PORT ... PORT + RCAR_TRAFFIC_PORTS * PORT_STRIDE - 1:
        return port_read(s, offset);
    case ENTRY ... END - 1:
        switch (offset % ENTRY_STRIDE) {
        case 0x8 ... 0x10:
            return entry_at(s, offset)->counts[(offset % ENTRY_STRIDE - 8) / 4];
        }
    }
    s->guest_errors++;
    return 0;
}

static void stored_changed(RcarTrafficState *s, hwaddr offset)
{
    if (offset == CONTROL || offset == INTERVAL) {
        set_timer(s);
    } else if (offset >= ENTRY && offset % ENTRY_STRIDE == 0x4) {
        memset(entry_at(s, offset)->counts, 0, sizeof(s->entries[0].counts));
    }
}

static void rcar_traffic_write(void *opaque, hwaddr offset, uint64_t value,
                               unsigned size)
{
    RcarTrafficState *s = opaque;
    uint32_t *reg = stored(s, offset);

    void *page = GUINT_TO_POINTER(value);

    if (reg) {
        *reg = value;
        stored_changed(s, offset);
        return;
    }
    switch (offset) {
    case ROUND:
        do_round(s);
        break;
    case FORBID:
        g_hash_table_add(s->forbidden, page);
        break;
    case ALLOW:
        g_hash_table_remove(s->forbidden, page);
        break;
    case ALLOW_ALL:
        g_hash_table_remove_all(s->forbidden);
        break;
    default:
        s->guest_errors++;
        break;
    }
}

static const MemoryRegionOps rcar_traffic_ops = {
    .read = rcar_traffic_read,
    .write = rcar_traffic_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid.min_access_size = 4,
    .valid.max_access_size = 4,
};

void rcar_traffic_connect(RcarTrafficState *s, RenesasIPMMUState *ipmmu,
                          unsigned utlb)
{
    RcarTrafficPort *p = &s->ports[s->num_ports++];

    assert(s->num_ports <= RCAR_TRAFFIC_PORTS);
    s->ipmmu = ipmmu;
    p->utlb = utlb;
    p->iommu = IOMMU_MEMORY_REGION(renesas_ipmmu_utlb_as(ipmmu, utlb)->root);
}

static void rcar_traffic_reset_hold(Object *obj, ResetType type)
{
    RcarTrafficState *s = RCAR_TRAFFIC(obj);

    if (!(s->control & CONTROL_TIRELESS)) {
        s->control &= ~CONTROL_RUN;
    }
    set_timer(s);
}

static void rcar_traffic_realize(DeviceState *dev, Error **errp)
{
    RcarTrafficState *s = RCAR_TRAFFIC(dev);

    s->accessed.notify = ipmmu_accessed;
    renesas_ipmmu_add_access_notifier(s->ipmmu, &s->accessed);
}

static char *get_first_violation(Object *obj, Error **errp)
{
    RcarTrafficState *s = RCAR_TRAFFIC(obj);
    uint32_t how = s->first[2];

    return s->has_first ?
        g_strdup_printf("micro-TLB %u %s 0x%08x, physical page 0x%x000",
                        how & 0xff, how & HOW_WRITE ? "wrote to" : "read from",
                        s->first[0], s->first[1]) : g_strdup("");
}

static void forget_first(Object *obj, const char *value, Error **errp)
{
    RCAR_TRAFFIC(obj)->has_first = false;
}

static char *get_ports(Object *obj, Error **errp)
{
    RcarTrafficState *s = RCAR_TRAFFIC(obj);
    GString *text = g_string_new("");

    for (unsigned n = 0; n < s->num_ports; n++) {
        const RcarTrafficPort *p = &s->ports[n];

        g_string_append_printf(text, "micro-TLB %u: reached %u, refused %u, "
                               "violations %u\n", p->utlb, p->reached,
                               p->refused, p->violations);
    }
    return g_string_free(text, false);
}

static void rcar_traffic_init(Object *obj)
{
    RcarTrafficState *s = RCAR_TRAFFIC(obj);
    static const char * const names[] = {
        "rounds", "reads", "writes", "refused", "violations",
    };

    memory_region_init_io(&s->iomem, obj, &rcar_traffic_ops, s, "traffic", END);
    sysbus_init_mmio(SYS_BUS_DEVICE(s), &s->iomem);
    s->timer = timer_new_ns(QEMU_CLOCK_VIRTUAL, tick, s);
    s->forbidden = g_hash_table_new(NULL, NULL);
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        object_property_add_uint64_ptr(obj, names[i], &s->counts[i],
                                       OBJ_PROP_FLAG_READ);
    }
    object_property_add_uint64_ptr(obj, "guest-errors", &s->guest_errors,
                                   OBJ_PROP_FLAG_READ);
}

static const VMStateDescription vmstate_rcar_traffic = {
    .name = TYPE_RCAR_TRAFFIC,
    .unmigratable = 1,
};

static void rcar_traffic_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    dc->desc = "Bus master that never stops";
    dc->realize = rcar_traffic_realize;
    dc->vmsd = &vmstate_rcar_traffic;
    RESETTABLE_CLASS(klass)->phases.hold = rcar_traffic_reset_hold;
    object_class_property_add_str(klass, "first-violation",
                                  get_first_violation, forget_first);
    object_class_property_add_str(klass, "ports", get_ports, NULL);
}

static const TypeInfo rcar_traffic_types[] = { {
    .name = TYPE_RCAR_TRAFFIC,
    .parent = TYPE_SYS_BUS_DEVICE,
    .instance_size = sizeof(RcarTrafficState),
    .instance_init = rcar_traffic_init,
    .class_init = rcar_traffic_class_init,
} };

DEFINE_TYPES(rcar_traffic_types)
