/*
 * Renesas IPMMU (IP Memory Management Unit) of R-Car Gen2, Gen3 and Gen4
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * No public manual describes this device. What drivers show of it is modelled;
 * where they are silent, this is what was decided:
 *
 * All of this is the kind answer; for the others see renesas_ipmmu_unkind.c.
 *
 * - Every register is 0 after reset. Accesses are of 32 bits; any other size
 *   is a bus error. Offsets without a register, and writes to read-only ones,
 *   do nothing and are counted in "guest-errors". So is a micro-TLB that is
 *   enabled onto a context that the generation does not have.
 * - On Gen3 and Gen4 the root has contexts and no micro-TLBs; a cache has
 *   micro-TLBs, bits 2:0 of each IMCTR, IMSCTLR and IMSAUXCTLR. Gen2 has
 *   all in one, at offset 0 and again at 0x800 (the guest is always non-secure, so both views
 *   are of the non-secure bank), one context, and no IMEUAR.
 * - A bit that no driver is known to use does not keep what is written to it.
 * - Micro-TLB disabled: addresses pass through. Enabled: the context's IMCTR
 *   must have MMUEN in the root and in the cache; otherwise the transaction is
 *   refused, and IMSTR.ABORT is latched in that context. A context that does
 *   not exist refuses too, but has no IMSTR to say so.
 * - IMSTR.TF: no valid translation, which includes descriptors without the
 *   access flag, outputs above 40 bits, inputs above what TSZ0 allows, and
 *   table formats that are not modelled (see renesas_ipmmu_walk.c).
 *   IMSTR.PF: not permitted (masters are unprivileged), or a descriptor
 *   without NS or NSTABLE. IMSTR.ABORT: the walk's own read failed.
 *   IMSTR.MHIT is never set: two entries never match here.
 * - The first fault of a context stays until IMSTR is cleared; later ones are
 *   refused all the same, but leave no trace. Writing IMSTR clears the bits
 *   that are written 0; once it is 0 so are IMELAR and IMEUAR.
 * - IMCTR.FLUSH of the root drops the root's translations of that context, of
 *   a cache those in its micro-TLBs, and on Gen2 both. IMUCTR.FLUSH drops all
 *   of that micro-TLB. Both take no time and read back as 0. With
 *   "flush-stuck" IMCTR.FLUSH stays 1 and drops nothing, until the property is
 *   cleared (then it completes) or reset.
 */

#include "qemu/osdep.h"
#include "qemu/log.h"
#include "qapi/error.h"
#include "hw/irq.h"
#include "hw/qdev-properties.h"
#include "hw/resettable.h"
#include "migration/vmstate.h"
#include "renesas_ipmmu_internal.h"

void renesas_ipmmu_update_irq(RenesasIPMMUState *root)
{
    bool level = false;

    for (unsigned i = 0; i < root->layout->contexts; i++) {
        level |= FIELD_EX32(root->ctx[i][IPMMU_IMCTR], IMCTR, INTEN) &&
                 root->ctx[i][IPMMU_IMSTR];
    }

    qemu_set_irq(root->irq, level && !(root->unpowered && root->loses_power));
}

static void guest_error(RenesasIPMMUState *s, const char *what, hwaddr offset)
{
    s->guest_errors++;
    qemu_log_mask(LOG_GUEST_ERROR, "%s: %s at offset 0x%" HWADDR_PRIx "\n",
                  object_get_canonical_path_component(OBJECT(s)), what,
                  offset);
}

static void flush_context(RenesasIPMMUState *s, unsigned ctx)
{
    void (*flush)(GHashTable *, unsigned) =
        s->flushing & BIT(ctx) ? renesas_ipmmu_tlb_flush_marked
                               : renesas_ipmmu_tlb_flush_context;

    if (renesas_ipmmu_is_root(s)) {
        flush(s->tlb, ctx);
    }
    for (unsigned i = renesas_ipmmu_first_flushed(s);
         i < renesas_ipmmu_utlbs(s); i++) {
        flush(s->utlb[i].tlb, ctx);
    }
}

/* Does what IMCTR.FLUSH asks for, unless that is broken, or takes longer */
void renesas_ipmmu_complete_flush(RenesasIPMMUState *s, unsigned ctx)
{
    uint32_t *imctr = &s->ctx[ctx][IPMMU_IMCTR];

    if (FIELD_EX32(*imctr, IMCTR, FLUSH) && !s->flush_stuck &&
        !renesas_ipmmu_flush_goes_on(s, ctx)) {
        flush_context(s, ctx);
        s->flushing &= ~BIT(ctx);
        *imctr = FIELD_DP32(*imctr, IMCTR, FLUSH, 0);
    }
}

static void write_imctr(RenesasIPMMUState *s, unsigned ctx, uint32_t value)
{
    uint32_t *imctr = &s->ctx[ctx][IPMMU_IMCTR];
    uint32_t pending = *imctr & R_IMCTR_FLUSH_MASK;
    bool switched = !FIELD_EX32(*imctr, IMCTR, MMUEN) &&
                    FIELD_EX32(value, IMCTR, MMUEN);

    /* A flush that is under way cannot be taken back */
    *imctr = value | pending;
    renesas_ipmmu_latch_base(s, ctx, switched);
    if (FIELD_EX32(value, IMCTR, FLUSH) && !pending) {
        renesas_ipmmu_flush_starts(s, ctx);
    }
    renesas_ipmmu_complete_flush(s, ctx);
    if (renesas_ipmmu_is_root(s)) {
        renesas_ipmmu_update_irq(s);
    }
}

/* Brings back the fault of a master that does not give up, once acknowledged */
static bool fault_again(RenesasIPMMUState *s, unsigned ctx)
{
    if (!s->storm || !FIELD_EX32(s->ctx[ctx][IPMMU_IMCTR], IMCTR, MMUEN)) {
        return false;
    }
    s->storm--;
    s->faults++;
    return true;
}

static void write_imstr(RenesasIPMMUState *s, unsigned ctx, uint32_t value)
{
    uint32_t *regs = s->ctx[ctx];
    uint32_t before = regs[IPMMU_IMSTR];

    regs[IPMMU_IMSTR] &= value;
    if (before && !regs[IPMMU_IMSTR] && fault_again(s, ctx)) {
        regs[IPMMU_IMSTR] = before;
    }
    if (!regs[IPMMU_IMSTR]) {
        regs[IPMMU_IMELAR] = 0;
        regs[IPMMU_IMEUAR] = 0;
    }
    renesas_ipmmu_update_irq(s);
}

static void write_imuctr(RenesasIPMMUState *s, unsigned utlb, uint32_t value,
                         hwaddr offset)
{
    RenesasIPMMUUtlb *u = &s->utlb[utlb];
    unsigned ctx = (value & s->layout->imuctr_ttsel_mask) >> IMUCTR_TTSEL_SHIFT;

    if (FIELD_EX32(value, IMUCTR, FLUSH)) {
        renesas_ipmmu_tlb_flush(u->tlb);
    }
    u->imuctr = FIELD_DP32(value, IMUCTR, FLUSH, 0);

    if (FIELD_EX32(value, IMUCTR, MMUEN) && ctx >= s->layout->contexts) {
        guest_error(s, "micro-TLB enabled onto a missing context", offset);
    }
}

static uint32_t read_register(RenesasIPMMUState *s, hwaddr offset)
{
    RenesasIPMMURegRef ref;

    if (!renesas_ipmmu_decode(s, offset, &ref)) {
        guest_error(s, "read of no register", offset);
        return 0;
    }

    return renesas_ipmmu_floats(s, *renesas_ipmmu_reg(s, ref));
}

static uint64_t renesas_ipmmu_read(void *opaque, hwaddr offset, unsigned size)
{
    RenesasIPMMUState *s = opaque;

    if (!renesas_ipmmu_posted_arrive(s)) {
        renesas_ipmmu_fetch_all(s);
    }
    return read_register(s, offset);
}

static void write_register(RenesasIPMMUState *s, hwaddr offset, uint32_t value)
{
    const char *wrong;
    RenesasIPMMURegRef ref;
    uint32_t mask;

    if (!renesas_ipmmu_decode(s, offset, &ref)) {
        guest_error(s, "write to no register", offset);
        return;
    }
    mask = renesas_ipmmu_writable(s, ref.reg);
    if (!mask) {
        guest_error(s, "write to a read-only register", offset);
        return;
    }
    wrong = renesas_ipmmu_strict(s, ref, value);
    if (wrong) {
        guest_error(s, wrong, offset);
    }
    if (s->discard[ref.reg] & BIT_ULL(ref.index)) {
        return;
    }

    value &= mask;
    switch (ref.reg) {
    case IPMMU_IMCTR:
        write_imctr(s, ref.index, value);
        break;
    case IPMMU_IMSTR:
        write_imstr(s, ref.index, value);
        break;
    case IPMMU_IMUCTR:
        write_imuctr(s, ref.index, value, offset);
        break;
    default:
        *renesas_ipmmu_reg(s, ref) = value;
        if (ref.reg < IPMMU_CONTEXT_REGS) {
            renesas_ipmmu_latch_base(s, ref.index, false);
        }
        break;
    }
}

/* The caller has fetched before */
void renesas_ipmmu_write_now(RenesasIPMMUState *s, hwaddr offset,
                             uint32_t value)
{
    write_register(s, offset, value);
    renesas_ipmmu_fetch_all(s);
}

static void renesas_ipmmu_write(void *opaque, hwaddr offset, uint64_t value,
                                unsigned size)
{
    renesas_ipmmu_fetch_all(opaque);
    if (!renesas_ipmmu_post(opaque, offset, value)) {
        renesas_ipmmu_write_now(opaque, offset, value);
    }
}

void renesas_ipmmu_add_access_notifier(RenesasIPMMUState *s,
                                       Notifier *notifier)
{
    notifier_list_add(&renesas_ipmmu_root(s)->accessed, notifier);
}

static uint64_t notified_read(void *opaque, hwaddr offset, unsigned size)
{
    NotifierList *list = &renesas_ipmmu_root(opaque)->accessed;
    uint64_t value;

    notifier_list_notify(list, NULL);
    value = renesas_ipmmu_read(opaque, offset, size);
    notifier_list_notify(list, NULL);
    return value;
}

static void notified_write(void *opaque, hwaddr offset, uint64_t value,
                           unsigned size)
{
    NotifierList *list = &renesas_ipmmu_root(opaque)->accessed;

    notifier_list_notify(list, NULL);
    renesas_ipmmu_write(opaque, offset, value, size);
    notifier_list_notify(list, NULL);
}

static bool renesas_ipmmu_accepts(void *opaque, hwaddr offset, unsigned size,
                                  bool is_write, MemTxAttrs attrs)
{
    if (size != 4) {
        guest_error(opaque, "access that is not of 32 bits", offset);
        return false;
    }

    return true;
}

static const MemoryRegionOps renesas_ipmmu_ops = {
    .read = notified_read,
    .write = notified_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid.min_access_size = 1,
    .valid.max_access_size = 8,
    .valid.accepts = renesas_ipmmu_accepts,
    .impl.min_access_size = 4,
    .impl.max_access_size = 4,
};

static void renesas_ipmmu_reset_hold(Object *obj, ResetType type)
{
    RenesasIPMMUState *s = RENESAS_IPMMU(obj);

    memset(s->ctx, 0, sizeof(s->ctx));
    s->imsctlr = 0;
    s->imsauxctlr = 0;
    renesas_ipmmu_tlb_flush(s->tlb);
    for (unsigned i = 0; i < renesas_ipmmu_utlbs(s); i++) {
        RenesasIPMMUUtlb *u = &s->utlb[i];

        u->imuctr = 0;
        u->imuasid = 0;
        renesas_ipmmu_tlb_flush(u->tlb);
    }
    renesas_ipmmu_unkind_reset(s);
    qemu_set_irq(s->irq, 0);
}

static void renesas_ipmmu_reset_exit(Object *obj, ResetType type)
{
    RenesasIPMMUState *s = RENESAS_IPMMU(obj);

    /* Not earlier: the interrupt controller is reset as well */
    if (renesas_ipmmu_is_root(s)) {
        renesas_ipmmu_update_irq(s);
    }
}

static void renesas_ipmmu_realize(DeviceState *dev, Error **errp)
{
    RenesasIPMMUState *s = RENESAS_IPMMU(dev);

    s->layout = renesas_ipmmu_layout(s->generation);
    if (!s->layout) {
        error_setg(errp, "generation must be gen2, gen3 or gen4");
        return;
    }
    if (s->root && (!s->layout->has_caches || s->root->layout != s->layout ||
                    !renesas_ipmmu_is_root(s->root))) {
        error_setg(errp, "root must be a realized root IPMMU of %s",
                   s->layout->has_caches ? s->layout->name : "gen3 or gen4");
        return;
    }

    memory_region_init_io(&s->iomem, OBJECT(s), &renesas_ipmmu_ops, s,
                          TYPE_RENESAS_IPMMU, s->layout->mmio_size);
    sysbus_init_mmio(SYS_BUS_DEVICE(s), &s->iomem);

    if (s->root) {
        QLIST_INSERT_HEAD(&s->root->caches, s, next_cache);
    }
    s->tlb = renesas_ipmmu_tlb_new();
    for (unsigned i = 0; i < renesas_ipmmu_utlbs(s); i++) {
        s->utlb[i].ipmmu = s;
        s->utlb[i].tlb = renesas_ipmmu_tlb_new();
    }
}

static void renesas_ipmmu_init(Object *obj)
{
    RenesasIPMMUState *s = RENESAS_IPMMU(obj);

    sysbus_init_irq(SYS_BUS_DEVICE(s), &s->irq);
    renesas_ipmmu_qom_init(s);
    renesas_ipmmu_unkind_init(s);
    notifier_list_init(&s->accessed);
}

static const Property renesas_ipmmu_properties[] = {
    DEFINE_PROP_STRING("generation", RenesasIPMMUState, generation),
    DEFINE_PROP_LINK("root", RenesasIPMMUState, root, TYPE_RENESAS_IPMMU,
                     RenesasIPMMUState *),
};

static const VMStateDescription vmstate_renesas_ipmmu = {
    .name = TYPE_RENESAS_IPMMU,
    .unmigratable = 1,
};

static void renesas_ipmmu_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    ResettableClass *rc = RESETTABLE_CLASS(klass);

    dc->desc = "Renesas IPMMU";
    dc->realize = renesas_ipmmu_realize;
    dc->vmsd = &vmstate_renesas_ipmmu;
    rc->phases.hold = renesas_ipmmu_reset_hold;
    rc->phases.exit = renesas_ipmmu_reset_exit;
    device_class_set_props(dc, renesas_ipmmu_properties);

    renesas_ipmmu_qom_class_init(klass);
    renesas_ipmmu_unkind_class_init(klass);
}

static const TypeInfo renesas_ipmmu_types[] = {
    {
        .name = TYPE_RENESAS_IPMMU,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(RenesasIPMMUState),
        .instance_init = renesas_ipmmu_init,
        .class_init = renesas_ipmmu_class_init,
    },
};

DEFINE_TYPES(renesas_ipmmu_types)
