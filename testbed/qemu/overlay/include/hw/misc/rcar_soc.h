/*
 * R-Car H3: type names of the blocks that need no header of their own
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_MISC_RCAR_SOC_H
#define HW_MISC_RCAR_SOC_H

#define TYPE_RCAR_CPG           "rcar-cpg"
#define TYPE_RCAR_PFC           "rcar-pfc"
#define TYPE_RCAR_RST           "rcar-rst"
#define TYPE_RCAR_INTC_EX       "rcar-intc-ex"

/* Product register; property "value" (uint32) */
#define TYPE_RCAR_PRR           "rcar-prr"

/* Where the SoC has no register at all: every access is a guest error */
#define TYPE_RCAR_NO_DEVICE     "rcar-no-device"

#define RCAR_NO_DEVICE_SIZE     0x20000000

#endif
