/*
 * Renesas IPMMU: page table walk
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Long descriptors, 4 KiB granule, walk from level 1:
 *  - stage 1, with the input addresses of 32 bits (less TSZ0) that Linux uses;
 *  - stage 2, with the input addresses of up to 40 bits that Xen uses
 *    (IMCTR.VA64, IMTTBCR.PMB and IMSAUXCTLR.S2PTE all set).
 * Everything else - short descriptors, other start levels, IMTTBCR.PMB without
 * IMSAUXCTLR.S2PTE or the reverse - is answered with a translation fault.
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qemu/bswap.h"
#include "exec/address-spaces.h"
#include "exec/memory.h"
#include "renesas_ipmmu_internal.h"

#define LEVELS_END          3
#define GRANULE_SHIFT       12
#define BITS_PER_LEVEL      9

/* Descriptors; address bits 47:40 must be zero */
#define DESC_TYPE(d)        extract64(d, 0, 2)
#define DESC_TYPE_BLOCK     1
#define DESC_TYPE_TABLE     3
#define DESC_TYPE_PAGE      3
#define DESC_NS             BIT_ULL(5)
#define DESC_AP_UNPRIV      BIT_ULL(6)
#define DESC_AP_RDONLY      BIT_ULL(7)
#define DESC_S2AP_READ      BIT_ULL(6)
#define DESC_S2AP_WRITE     BIT_ULL(7)
#define DESC_AF             BIT_ULL(10)
#define DESC_APTABLE_PRIV   BIT_ULL(61)
#define DESC_APTABLE_RDONLY BIT_ULL(62)
#define DESC_NSTABLE        BIT_ULL(63)

/* The settings of a walk, by the context's registers */
typedef struct WalkConfig {
    unsigned input_bits;
    bool stage2;
    hwaddr table;
} WalkConfig;

static unsigned level_shift(unsigned level)
{
    return GRANULE_SHIFT + (LEVELS_END - level) * BITS_PER_LEVEL;
}

/* Returns false if the registers ask for something that is not modelled */
static bool walk_config(const RenesasIPMMUState *root, unsigned ctx,
                        WalkConfig *cfg)
{
    const uint32_t *regs = root->base[ctx];
    uint32_t ttbcr = regs[IPMMU_IMTTBCR];
    bool va64 = FIELD_EX32(root->ctx[ctx][IPMMU_IMCTR], IMCTR, VA64);
    bool pmb = FIELD_EX32(ttbcr, IMTTBCR, PMB);
    bool s2pte = FIELD_EX32(root->imsauxctlr, IMSAUXCTLR, S2PTE);
    bool level1;
    unsigned tsz0;

    /*
     * Gen2 has a single bit, just above a narrower TSZ0. The others count the
     * levels of stage 2 as VTCR_EL2 does.
     */
    if (root->layout->has_caches) {
        level1 = FIELD_EX32(ttbcr, IMTTBCR, SL0) == (pmb ? 1 : 2);
        tsz0 = FIELD_EX32(ttbcr, IMTTBCR, TSZ0);
    } else {
        level1 = FIELD_EX32(ttbcr, IMTTBCR, SL0_GEN2);
        tsz0 = FIELD_EX32(ttbcr, IMTTBCR, TSZ0_GEN2);
    }

    if (!FIELD_EX32(ttbcr, IMTTBCR, EAE) || !level1 || pmb != s2pte) {
        return false;
    }

    cfg->stage2 = s2pte;
    cfg->input_bits = (va64 ? 64 : 32) - tsz0;
    cfg->table = (hwaddr)regs[IPMMU_IMTTUBR0] << 32 | regs[IPMMU_IMTTLBR0];

    return cfg->input_bits <= IPMMU_ADDR_BITS;
}

static IOMMUAccessFlags leaf_permissions(const WalkConfig *cfg, uint64_t desc,
                                         bool table_unpriv, bool table_write)
{
    bool read, write;

    if (cfg->stage2) {
        read = desc & DESC_S2AP_READ;
        write = desc & DESC_S2AP_WRITE;
    } else {
        /* Bus masters have no privilege: no AP[1], no access */
        read = (desc & DESC_AP_UNPRIV) && table_unpriv;
        write = read && !(desc & DESC_AP_RDONLY) && table_write;
    }

    return IOMMU_ACCESS_FLAG(read, write);
}

static bool read_descriptor(const RenesasIPMMUState *root, hwaddr addr,
                            uint64_t *desc)
{
    const MemTxAttrs attrs = { .memory = 1 };   /* tables live in RAM */

    /* The walks of Gen2 snoop */
    if (root->layout->has_caches &&
        renesas_ipmmu_unkind(root, UNKIND_INCOHERENT)) {
        return renesas_ipmmu_incoherent_read(addr, desc);
    }
    return address_space_read(&address_space_memory, addr, attrs, desc,
                              sizeof(*desc)) == MEMTX_OK;
}

static uint32_t fault(uint32_t kind, unsigned code, unsigned level)
{
    kind = FIELD_DP32(kind, IMSTR, ERRCODE, code);

    return FIELD_DP32(kind, IMSTR, ERRLVL, level);
}

/*
 * Finds the translation of @iova. Returns 0, or what IMSTR would say of the
 * fault if it told all, and maybe WALK_ZERO.
 * What a valid leaf permits is left to the caller to compare with the access.
 */
uint32_t renesas_ipmmu_walk(const RenesasIPMMUState *root, unsigned ctx,
                            hwaddr iova, RenesasIPMMUMapping *mapping)
{
    bool table_unpriv = true;
    bool table_write = true;
    WalkConfig cfg;
    hwaddr table;

    if (!walk_config(root, ctx, &cfg) || iova >> cfg.input_bits) {
        return fault(R_IMSTR_TF_MASK, IMSTR_ERRCODE_FORMAT, 0);
    }

    table = cfg.table;
    for (unsigned level = 1; ; level++) {
        unsigned shift = level_shift(level);
        /* At level 1 a wide stage 2 input concatenates tables: no mask */
        uint64_t index = level == 1 ? iova >> shift
                                    : extract64(iova, shift, BITS_PER_LEVEL);
        bool last = level == LEVELS_END;
        uint64_t desc;
        bool leaf;

        if (!read_descriptor(root, table + index * 8, &desc)) {
            return fault(R_IMSTR_ABORT_MASK, 0, level);
        }
        desc = le64_to_cpu(desc);

        leaf = DESC_TYPE(desc) == (last ? DESC_TYPE_PAGE : DESC_TYPE_BLOCK);
        if (!leaf && (last || DESC_TYPE(desc) != DESC_TYPE_TABLE)) {
            return fault(R_IMSTR_TF_MASK, IMSTR_ERRCODE_FORMAT, level) |
                   (desc ? 0 : WALK_ZERO);
        }
        if (extract64(desc, IPMMU_ADDR_BITS, 48 - IPMMU_ADDR_BITS)) {
            return fault(R_IMSTR_TF_MASK, IMSTR_ERRCODE_FORMAT, level);
        }
        /* A non-secure walk refuses each descriptor that is not marked so */
        if (!cfg.stage2 && !(desc & (leaf ? DESC_NS : DESC_NSTABLE))) {
            return fault(R_IMSTR_PF_MASK, IMSTR_ERRCODE_SECURE, level);
        }

        if (leaf) {
            if (!(desc & DESC_AF)) {
                return fault(R_IMSTR_TF_MASK, IMSTR_ERRCODE_FORMAT, level);
            }
            mapping->shift = shift;
            mapping->status = 0;
            mapping->marked = false;
            mapping->output = extract64(desc, shift, IPMMU_ADDR_BITS - shift)
                              << shift;
            mapping->perm = leaf_permissions(&cfg, desc, table_unpriv,
                                             table_write);
            return 0;
        }

        table_unpriv &= cfg.stage2 || !(desc & DESC_APTABLE_PRIV);
        table_write &= cfg.stage2 || !(desc & DESC_APTABLE_RDONLY);
        table = extract64(desc, GRANULE_SHIFT, IPMMU_ADDR_BITS - GRANULE_SHIFT)
                << GRANULE_SHIFT;
    }
}
