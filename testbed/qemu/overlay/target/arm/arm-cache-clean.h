/*
 * A hook for the CPUs' cleaning of data caches
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TARGET_ARM_ARM_CACHE_CLEAN_H
#define TARGET_ARM_ARM_CACHE_CLEAN_H

#include "exec/cpu-common.h"

/*
 * If set, called by the CPU for each line of RAM that it cleans to the point of
 * coherency by its address: DC CVAC, CVAP, CVADP and CIVAC, and those of
 * AArch32. Without the BQL.
 */
extern void (*arm_cache_clean_hook)(ram_addr_t addr, const void *bytes,
                                    size_t size);

#endif
