/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A bus master that never stops, and scenarios in which it judges an IOMMU driver.
 */

#ifndef TRAFFIC_H
#define TRAFFIC_H

#include <linux/bits.h>
#include <linux/device.h>
#include <linux/io.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/sizes.h>

/* Registers; see QEMU's hw/misc/rcar_traffic.c */
#define CONTROL		0x00
#define RUN		BIT(0)
#define PATIENT		BIT(2)
#define INTERVAL	0x04
#define GIVE_UP		0x08
#define PATTERN		0x0c
#define ROUND		0x10
#define FORBID		0x14
#define ALLOW		0x18
#define ALLOW_ALL	0x1c
#define ROUNDS		0x20
#define VIOLATIONS	0x30
#define ENTRY(n)	(0x400 + 0x20 * (n))
#define FLAGS		0x04
#define READ_IT		BIT(0)
#define WRITE_IT	BIT(1)
#define REACHED		0x08
#define REFUSED		0x0c
#define REACHED_BY	0x10
#define ENTRIES		64

/* Both masters have as many micro-TLBs. */
#define PORTS		GENMASK(2, 0)
#define MASTERS		2

struct traffic {
	struct device *dev;
	struct iommu_group *group;
	void __iomem *regs;
	bool running;

	/* Two blocks of 2 MiB */
	struct page *pages;
};

#define ORDER		10
#define BLOCK		512

static inline u32 traffic_read(struct traffic *t, unsigned int reg)
{
	return readl(t->regs + reg);
}

static inline void traffic_write(struct traffic *t, unsigned int reg, u32 value)
{
	writel(value, t->regs + reg);
}

static inline phys_addr_t traffic_phys(struct traffic *t, unsigned int page)
{
	return page_to_phys(t->pages + page);
}

/* Forbids the master this page. */
static inline void traffic_forbid(struct traffic *t, unsigned int page)
{
	traffic_write(t, FORBID, traffic_phys(t, page) >> PAGE_SHIFT);
}

static inline void traffic_allow(struct traffic *t, unsigned int page)
{
	traffic_write(t, ALLOW, traffic_phys(t, page) >> PAGE_SHIFT);
}

/* The master goes on to this address, or begins to. */
static inline void traffic_visit(struct traffic *t, unsigned int entry, u32 iova)
{
	traffic_write(t, ENTRY(entry), iova);
	traffic_write(t, ENTRY(entry) + FLAGS, READ_IT | WRITE_IT);
}

static inline void traffic_leave(struct traffic *t, unsigned int entry)
{
	traffic_write(t, ENTRY(entry) + FLAGS, 0);
}

static inline void traffic_rounds(struct traffic *t)
{
	for (int i = 0; i < 3; i++)
		traffic_write(t, ROUND, 1);
}

/* traffic_main.c */
extern struct traffic traffic_masters[MASTERS];
void traffic_start(struct traffic *t);
void traffic_revive(struct traffic *t);
void traffic_forget(struct traffic *t);
unsigned long traffic_deadline(void);
int traffic_reaches(struct traffic *t, unsigned int entry);
u32 traffic_violations(void);

/* traffic_unmap.c */
int traffic_unmap_one(unsigned int count);
int traffic_unmap_two(unsigned int count);
int traffic_unmap_patient(unsigned int count);
int traffic_unmap_storm(unsigned int count);
int traffic_unmap_dma(unsigned int count);
int traffic_unmap_lazy(unsigned int count);
int traffic_unmap_gather(unsigned int count);

/* traffic_attach.c */
int traffic_attach(unsigned int count);
int traffic_hold(unsigned int unused);
int traffic_hold_mapped(unsigned int unused);
int traffic_idle(unsigned int unused);
int traffic_asleep(unsigned int unused);
int traffic_busy(unsigned int unused);
int traffic_check(unsigned int unused);
int traffic_release(unsigned int unused);
void traffic_farewell(void);

/* traffic_fault.c */
int traffic_fault(unsigned int count);

/* traffic_mixed.c */
int traffic_mixed(unsigned int count);
int traffic_drowsy(unsigned int count);
int traffic_brief(unsigned int count);

/* traffic_last.c */
int traffic_last(unsigned int unused);
void traffic_last_exit(void);

#endif
