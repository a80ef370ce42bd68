/*
 * Renesas IPMMU: a walk that does not see the CPUs' caches
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * RAM as a walk sees it: each line as it was when a CPU cleaned it last. One
 * that never was is as RAM came, all zeros. Nothing is ever evicted, and
 * operations by set and way do nothing. All IPMMUs see the same RAM, so that
 * there is one such view. It begins when the first IPMMU is told so, and must
 * not miss anything: machines do that before a CPU runs.
 */

#include "qemu/osdep.h"
#include "qapi/visitor.h"
#include "qemu/lockable.h"
#include "qemu/rcu.h"
#include "exec/address-spaces.h"
#include "target/arm/arm-cache-clean.h"
#include "renesas_ipmmu_internal.h"

#define LINE_SHIFT      6
#define LINE_SIZE       BIT(LINE_SHIFT)
#define PAGE_SHIFT      12
#define PAGE_LINES      BIT(PAGE_SHIFT - LINE_SHIFT)

QEMU_BUILD_BUG_ON(PAGE_LINES != 64);

typedef struct SeenPage {
    uint64_t page;                      /* key */
    uint8_t bytes[BIT(PAGE_SHIFT)];
} SeenPage;

static QemuMutex seen_lock;
static GHashTable *seen;

static SeenPage *seen_page(ram_addr_t addr)
{
    uint64_t page = addr >> PAGE_SHIFT;

    return g_hash_table_lookup(seen, &page);
}

/* In the thread of the CPU */
static void line_cleaned(ram_addr_t addr, const void *bytes, size_t size)
{
    QEMU_LOCK_GUARD(&seen_lock);

    for (size_t i = 0; i < size; i += LINE_SIZE) {
        SeenPage *p = seen_page(addr + i);

        if (!p) {
            p = g_new0(SeenPage, 1);
            p->page = (addr + i) >> PAGE_SHIFT;
            g_hash_table_insert(seen, &p->page, p);
        }
        memcpy(p->bytes + extract64(addr + i, 0, PAGE_SHIFT), bytes + i,
               LINE_SIZE);
    }
}

bool renesas_ipmmu_incoherent_watches(void)
{
    return seen != NULL;
}

void renesas_ipmmu_incoherent_watch(void)
{
    if (!seen) {
        qemu_mutex_init(&seen_lock);
        seen = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
        arm_cache_clean_hook = line_cleaned;
    }
}

/* Returns the RAM behind a physical address, or NULL */
static void *ram_at(hwaddr addr, hwaddr size, ram_addr_t *ram_addr)
{
    hwaddr offset, len = size;
    MemoryRegion *mr = address_space_translate(&address_space_memory, addr,
                                               &offset, &len, false,
                                               MEMTXATTRS_UNSPECIFIED);

    if (!memory_region_is_ram(mr) || len < size) {
        return NULL;
    }
    *ram_addr = memory_region_get_ram_addr(mr) + offset;
    return memory_region_get_ram_ptr(mr) + offset;
}

/* Returns false if there is no RAM */
bool renesas_ipmmu_incoherent_read(hwaddr addr, uint64_t *desc)
{
    RCU_READ_LOCK_GUARD();
    ram_addr_t ram_addr;
    SeenPage *p;

    if (!ram_at(addr, sizeof(*desc), &ram_addr)) {
        return false;
    }

    QEMU_LOCK_GUARD(&seen_lock);
    p = seen_page(ram_addr);
    *desc = 0;
    if (p) {
        memcpy(desc, p->bytes + extract64(ram_addr, 0, PAGE_SHIFT),
               sizeof(*desc));
    }
    return true;
}

/* For tests without a CPU: the write-only property "clean" */
void renesas_ipmmu_incoherent_clean(Object *obj, Visitor *v, const char *name,
                                    void *opaque, Error **errp)
{
    RCU_READ_LOCK_GUARD();
    ram_addr_t ram_addr;
    uint64_t addr;
    void *bytes;

    if (!visit_type_uint64(v, name, &addr, errp) || !seen) {
        return;
    }
    addr &= ~(uint64_t)(LINE_SIZE - 1);
    bytes = ram_at(addr, LINE_SIZE, &ram_addr);
    if (bytes) {
        line_cleaned(ram_addr, bytes, LINE_SIZE);
    }
}
