/*
 * PCI Express host bridge of R-Car: shared by the parts of the model
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_PCI_HOST_RCAR_PCIE_INTERNAL_H
#define HW_PCI_HOST_RCAR_PCIE_INTERNAL_H

#include "hw/pci-host/rcar_pcie.h"
#include "hw/registerfields.h"

#define PCIECAR         0x00010
FIELD(PCIECAR, REG, 0, 12)
FIELD(PCIECAR, DEVFN, 16, 8)
FIELD(PCIECAR, BUS, 24, 8)
#define PCIECCTLR       0x00018
#define CCIE            BIT(31)
#define TYPE1           BIT(8)
#define PCIECDR         0x00020
#define PCIEMSR         0x00028
#define PCIEINTXR       0x00400
#define INTX_ENABLE_SHIFT 8
#define PCIEPHYSR       0x007f0
#define PHYRDY          BIT(0)
#define PCIEMSITXR      0x00840
#define PCIETCTLR       0x02000
#define CFINIT          BIT(0)
#define PCIETSTR        0x02004
#define DATA_LINK_ACTIVE BIT(0)
#define PCIEERRFR       0x02020
#define UNSUPPORTED_REQUEST BIT(4)
#define PCIEMSIFR       0x02044
#define PCIEMSIALR      0x02048
#define MSIFE           BIT(0)
#define PCIEMSIAUR      0x0204c
#define PCIEMSIIER      0x02050
#define PCIEPRAR(n)     (0x02080 + 4 * (n))
#define PCIELAR(n)      (0x02200 + 0x20 * (n))
#define PCIELAMR(n)     (0x02208 + 0x20 * (n))
#define LAM_MASK        0xfffffff0
#define LAM_64BIT       BIT(2)
#define LAR_ENABLE      BIT(1)
#define PCIEPALR(n)     (0x03400 + 0x20 * (n))
#define PCIEPAUR(n)     (0x03404 + 0x20 * (n))
#define PCIEPAMR(n)     (0x03408 + 0x20 * (n))
#define PCIEPTCTLR(n)   (0x0340c + 0x20 * (n))
#define PAR_ENABLE      BIT(31)
#define IO_SPACE        BIT(8)
#define PCICONF         0x10000
#define IDSETR0         0x11000
#define SUBIDSETR       0x11024
#define TLCTLR          0x11048
#define MACSR           0x11054
#define SPEED_DONE      (BIT(4) | BIT(7))       /* SPCHGFIN, SPCHGSUC */
#define SPEED_FIELD     (0xf << 16)
#define SPEED_2_5       (1 << 16)
#define SPEED_5_0       (2 << 16)
#define ONE_LANE        (1 << 20)
#define MACCTLR         0x11058
#define SPEED_CHANGE    BIT(24)
#define PMSR            0x1105c
#define PMCTLR          0x11060
#define MACS2R          0x11078
#define MACCGSPSETR     0x11084

static inline uint32_t reg(RcarPcieState *s, hwaddr offset)
{
    return RCAR_REGS(s)->values[offset / 4];
}

static inline void set_reg(RcarPcieState *s, hwaddr offset, uint32_t value)
{
    RCAR_REGS(s)->values[offset / 4] = value;
}

/* rcar_pcie.c */
void rcar_pcie_update_irq(RcarPcieState *s);

/* rcar_pcie_windows.c */
void rcar_pcie_create_windows(RcarPcieState *s);
void rcar_pcie_update_windows(RcarPcieState *s);

#endif
