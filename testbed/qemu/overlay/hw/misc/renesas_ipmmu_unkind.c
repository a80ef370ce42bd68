/*
 * Renesas IPMMU: the answers that no source gives, given the unkind way
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Each word of the property "unkind" is one of them, and IPMMU-MODEL.md says
 * what it does. Without a word nothing here has an effect. All is
 * deterministic: time is the virtual clock's, chance comes from "unkind-seed".
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/timer.h"
#include "renesas_ipmmu_internal.h"

#define POSTED_NS       SCALE_MS
#define FLUSH_NS        (20 * SCALE_US)

static const char *const words[] = {
    [UNKIND_POSTED] = "posted",
    [UNKIND_SLOW_FLUSH] = "slow-flush",
    [UNKIND_FETCH] = "fetch",
    [UNKIND_NEGATIVE] = "negative",
    [UNKIND_LATCHED_BASE] = "latched-base",
    [UNKIND_UTLB0] = "utlb0",
    [UNKIND_RESET] = "reset",
    [UNKIND_FIRMWARE] = "firmware",
    [UNKIND_CODES] = "codes",
    [UNKIND_OFF_PASSES] = "off-passes",
    [UNKIND_STRICT_REGISTERS] = "strict-registers",
    [UNKIND_INCOHERENT] = "incoherent",
};

/* A write that is under way */
struct RenesasIPMMUPosted {
    QSIMPLEQ_ENTRY(RenesasIPMMUPosted) next;
    hwaddr offset;
    uint32_t value;
    int64_t arrives;
};

static int64_t now(void)
{
    return qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
}

/* "posted": writes arrive in order, when they are read after or grow old */

static void arrive_until(RenesasIPMMUState *s, int64_t until)
{
    RenesasIPMMUPosted *p;

    renesas_ipmmu_fetch_all(s);
    while ((p = QSIMPLEQ_FIRST(&s->posted)) && p->arrives <= until) {
        QSIMPLEQ_REMOVE_HEAD(&s->posted, next);
        renesas_ipmmu_write_now(s, p->offset, p->value);
        g_free(p);
    }
    if (p) {
        timer_mod_ns(s->posted_timer, p->arrives);
    } else {
        timer_del(s->posted_timer);
    }
}

static void posted_timer(void *opaque)
{
    arrive_until(opaque, now());
}

/* Returns true if there were any */
bool renesas_ipmmu_posted_arrive(RenesasIPMMUState *s)
{
    if (QSIMPLEQ_EMPTY(&s->posted)) {
        return false;
    }
    arrive_until(s, INT64_MAX);
    return true;
}

/* Returns true if the write will take effect later */
bool renesas_ipmmu_post(RenesasIPMMUState *s, hwaddr offset, uint32_t value)
{
    RenesasIPMMUPosted *p;

    if (!renesas_ipmmu_unkind(s, UNKIND_POSTED)) {
        return false;
    }
    p = g_new(RenesasIPMMUPosted, 1);
    p->offset = offset;
    p->value = value;
    p->arrives = now() + POSTED_NS;
    QSIMPLEQ_INSERT_TAIL(&s->posted, p, next);
    if (!timer_pending(s->posted_timer)) {
        timer_mod_ns(s->posted_timer, p->arrives);
    }
    return true;
}

static void drop_posted(RenesasIPMMUState *s)
{
    RenesasIPMMUPosted *p;

    while ((p = QSIMPLEQ_FIRST(&s->posted))) {
        QSIMPLEQ_REMOVE_HEAD(&s->posted, next);
        g_free(p);
    }
    timer_del(s->posted_timer);
}

/* "slow-flush" */

/* Begins a flush; returns true if it takes time */
bool renesas_ipmmu_flush_starts(RenesasIPMMUState *s, unsigned ctx)
{
    if (!renesas_ipmmu_unkind(s, UNKIND_SLOW_FLUSH) ||
        !renesas_ipmmu_is_root(s)) {
        return false;
    }
    s->flushing |= BIT(ctx);
    s->flush_ends[ctx] = now() + FLUSH_NS;
    renesas_ipmmu_tlb_mark_context(s->tlb, ctx);
    for (unsigned i = renesas_ipmmu_first_flushed(s);
         i < renesas_ipmmu_utlbs(s); i++) {
        renesas_ipmmu_tlb_mark_context(s->utlb[i].tlb, ctx);
    }
    return true;
}

bool renesas_ipmmu_flush_goes_on(const RenesasIPMMUState *s, unsigned ctx)
{
    return s->flushing & BIT(ctx) && now() < s->flush_ends[ctx];
}

/* Completes the flushes whose time is over */
void renesas_ipmmu_catch_up(RenesasIPMMUState *s)
{
    for (unsigned i = 0; s->flushing && i < s->layout->contexts; i++) {
        if (s->flushing & BIT(i)) {
            renesas_ipmmu_complete_flush(s, i);
        }
    }
}

/* "fetch" */

void renesas_ipmmu_remember(RenesasIPMMUUtlb *u, hwaddr iova)
{
    hwaddr page = iova >> 12;

    if (!renesas_ipmmu_unkind(u->ipmmu, UNKIND_FETCH)) {
        return;
    }
    for (unsigned i = 0; i < u->num_lately; i++) {
        if (u->lately[i] == page) {
            return;
        }
    }
    u->lately[u->next_lately] = page;
    u->next_lately = (u->next_lately + 1) % RENESAS_IPMMU_LATELY;
    u->num_lately = MIN(u->num_lately + 1, RENESAS_IPMMU_LATELY);
}

static void fetch_again(RenesasIPMMUState *s, uint64_t *failed)
{
    if (!renesas_ipmmu_unkind(s, UNKIND_FETCH)) {
        return;
    }
    for (unsigned i = 0; i < renesas_ipmmu_utlbs(s); i++) {
        RenesasIPMMUUtlb *u = &s->utlb[i];

        for (unsigned n = 0; n < u->num_lately; n++) {
            renesas_ipmmu_fetch(u, u->lately[n] << 12, failed);
        }
    }
}

/*
 * Called before and after each access to a register of a root or its caches;
 * once where nothing changes in between, as around a read, or a write that is
 * only posted, or between two writes that arrive together
 */
void renesas_ipmmu_fetch_all(RenesasIPMMUState *s)
{
    RenesasIPMMUState *root = renesas_ipmmu_root(s);
    RenesasIPMMUState *cache;
    uint64_t failed[RENESAS_IPMMU_FAILED] = { };

    renesas_ipmmu_catch_up(root);
    fetch_again(root, failed);
    QLIST_FOREACH(cache, &root->caches, next_cache) {
        fetch_again(cache, failed);
    }
}

/* "latched-base" */

/* Notes what a walk sees, after a write, or when MMUEN went from 0 to 1 */
void renesas_ipmmu_latch_base(RenesasIPMMUState *s, unsigned ctx, bool switched)
{
    if (switched || !renesas_ipmmu_unkind(s, UNKIND_LATCHED_BASE) ||
        !FIELD_EX32(s->ctx[ctx][IPMMU_IMCTR], IMCTR, MMUEN)) {
        memcpy(s->base[ctx], s->ctx[ctx], sizeof(s->base[ctx]));
    }
}

/* "utlb0": the first micro-TLB that IMCTR.FLUSH reaches */
unsigned renesas_ipmmu_first_flushed(const RenesasIPMMUState *s)
{
    return renesas_ipmmu_unkind(s, UNKIND_UTLB0) ? 1 : 0;
}

/* "codes": a walk says all that it knows; this is what IMSTR tells of it */
uint32_t renesas_ipmmu_fault_status(const RenesasIPMMUState *root,
                                    uint32_t status)
{
    if (!renesas_ipmmu_unkind(root, UNKIND_CODES)) {
        return status & IMSTR_FAULTS_MASK;
    }
    if (status & WALK_ZERO) {
        status = R_IMSTR_PF_MASK | (status & R_IMSTR_ERRLVL_MASK);
        status = FIELD_DP32(status, IMSTR, ERRCODE, IMSTR_ERRCODE_SECURE);
    }
    return status;
}

/* Returns what is wrong with the write, or NULL: "strict-registers" */
const char *renesas_ipmmu_strict(const RenesasIPMMUState *s,
                                 RenesasIPMMURegRef ref, uint32_t value)
{
    if (!renesas_ipmmu_unkind(s, UNKIND_STRICT_REGISTERS)) {
        return NULL;
    }
    if (s->unpowered) {
        return "write to an instance without power";
    }
    if (ref.reg == IPMMU_IMTTLBR0 &&
        value & ~renesas_ipmmu_writable(s, ref.reg)) {
        return "reserved bits written to IMTTLBR0";
    }
    return NULL;
}

void renesas_ipmmu_unkind_reset(RenesasIPMMUState *s)
{
    drop_posted(s);
    s->flushing = 0;
    for (unsigned i = 0; i < renesas_ipmmu_utlbs(s); i++) {
        s->utlb[i].num_lately = 0;
        s->utlb[i].next_lately = 0;
    }
    renesas_ipmmu_found_at_reset(s);
    memcpy(s->base, s->ctx, sizeof(s->base));
}

/* The property "unkind" */

static char *get_unkind(Object *obj, Error **errp)
{
    const RenesasIPMMUState *s = RENESAS_IPMMU(obj);
    GString *out = g_string_new(NULL);

    for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
        if (renesas_ipmmu_unkind(s, i)) {
            g_string_append_printf(out, "%s%s", out->len ? "+" : "", words[i]);
        }
    }
    return g_string_free(out, false);
}

static bool parse_word(const char *word, uint32_t *unkind)
{
    if (!strcmp(word, "all")) {
        *unkind |= MAKE_64BIT_MASK(0, ARRAY_SIZE(words));
        return true;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
        if (!strcmp(word, words[i])) {
            *unkind |= BIT(i);
            return true;
        }
    }
    return false;
}

static void set_unkind(Object *obj, const char *value, Error **errp)
{
    RenesasIPMMUState *s = RENESAS_IPMMU(obj);
    g_auto(GStrv) list = g_strsplit(value, "+", -1);
    uint32_t unkind = 0;

    for (char **word = list; *word; word++) {
        if (!parse_word(*word, &unkind)) {
            error_setg(errp, "an IPMMU can not be unkind with '%s'", *word);
            return;
        }
    }
    if (unkind & BIT(UNKIND_INCOHERENT)) {
        /* A view of RAM that has missed something would be a wrong one */
        if (s->layout && !renesas_ipmmu_incoherent_watches()) {
            error_setg(errp, "'incoherent' has to be there from the beginning");
            return;
        }
        renesas_ipmmu_incoherent_watch();
    }
    s->unkind = unkind;
    if (s->layout) {
        /* What was under way only because of a word that is gone */
        if (!renesas_ipmmu_unkind(s, UNKIND_POSTED)) {
            renesas_ipmmu_posted_arrive(s);
        }
        for (unsigned i = 0; i < s->layout->contexts; i++) {
            renesas_ipmmu_latch_base(s, i, false);
        }
    }
}

void renesas_ipmmu_unkind_class_init(ObjectClass *klass)
{
    object_class_property_add_str(klass, "unkind", get_unkind, set_unkind);
    object_class_property_add(klass, "clean", "uint64", NULL,
                              renesas_ipmmu_incoherent_clean, NULL, NULL);
}

void renesas_ipmmu_unkind_init(RenesasIPMMUState *s)
{
    s->unkind_seed = 0x19820617;
    QSIMPLEQ_INIT(&s->posted);
    QLIST_INIT(&s->caches);
    s->posted_timer = timer_new_ns(QEMU_CLOCK_VIRTUAL, posted_timer, s);
    object_property_add_uint64_ptr(OBJECT(s), "unkind-seed", &s->unkind_seed,
                                   OBJ_PROP_FLAG_READWRITE);
}
