// SPDX-License-Identifier: GPL-2.0
/*
 * Scenarios in which domains change under a master that never stops, and IPMMUs fall asleep.
 */

#include <linux/dma-mapping.h>
#include <linux/pm_runtime.h>
#include <linux/time64.h>
#include <../drivers/iommu/iommu-priv.h>

#include "traffic.h"

/* At X there is a page in each domain; at Y in the first one alone. */
#define X	SZ_1G
#define Y	(SZ_1G + SZ_4K)
enum { OF_A, OF_B, ONLY_OF_A, OF_DMA, OTHERS };

static int map_page(struct traffic *t, struct iommu_domain *domain, u32 iova, int page)
{
	return iommu_map(domain, iova, traffic_phys(t, page), SZ_4K, IOMMU_READ | IOMMU_WRITE,
			 GFP_KERNEL);
}

/* Lets the master go on, and waits until it has been everywhere. */
static void go_on(struct traffic *t)
{
	traffic_revive(t);
	traffic_rounds(t);
}

static void forbid_a(struct traffic *t)
{
	traffic_forbid(t, OF_A);
	traffic_forbid(t, ONLY_OF_A);
}

static void allow_a(struct traffic *t)
{
	traffic_allow(t, OF_A);
	traffic_allow(t, ONLY_OF_A);
}

static int reaches_a(struct traffic *t)
{
	return traffic_reaches(t, 0) ?: traffic_reaches(t, 1);
}

/* From blocked to A, blocked, B, at once to A, and blocked. */
static int move_owned(struct traffic *t, struct iommu_domain *a, struct iommu_domain *b)
{
	static struct iommu_attach_handle handle;
	int ret;

	allow_a(t);
	ret = iommu_attach_group(a, t->group);
	if (ret)
		return ret;
	traffic_revive(t);
	ret = reaches_a(t);
	iommu_detach_group(a, t->group);
	forbid_a(t);
	go_on(t);
	if (ret)
		return ret;

	traffic_allow(t, OF_B);
	ret = iommu_attach_group(b, t->group);
	if (ret)
		return ret;
	traffic_revive(t);
	ret = traffic_reaches(t, 0);
	go_on(t);

	allow_a(t);
	ret = ret ?: iommu_replace_group_handle(t->group, a, &handle);
	if (ret) {
		iommu_detach_group(b, t->group);
		traffic_forbid(t, OF_B);
		return ret;
	}
	traffic_forbid(t, OF_B);
	go_on(t);
	ret = reaches_a(t);
	iommu_detach_group_handle(a, t->group);
	forbid_a(t);
	go_on(t);
	return ret;
}

static int move_while_owned(struct traffic *t, struct iommu_domain *a, struct iommu_domain *b,
			    unsigned int count)
{
	int ret = iommu_device_claim_dma_owner(t->dev, t);

	if (ret)
		return ret;
	forbid_a(t);
	traffic_forbid(t, OF_B);
	traffic_forbid(t, OF_DMA);
	go_on(t);
	while (!ret && count--)
		ret = move_owned(t, a, b);
	traffic_allow(t, OF_DMA);
	iommu_device_release_dma_owner(t->dev);
	return ret;
}

/* From the domain of the DMA API to B, and back. */
static int move_from_dma(struct traffic *t, struct iommu_domain *b)
{
	int ret;

	traffic_revive(t);
	ret = traffic_reaches(t, 2);
	traffic_allow(t, OF_B);
	ret = ret ?: iommu_attach_group(b, t->group);
	if (ret)
		return ret;
	traffic_forbid(t, OF_DMA);
	go_on(t);
	ret = traffic_reaches(t, 0);
	traffic_allow(t, OF_DMA);
	iommu_detach_group(b, t->group);
	traffic_forbid(t, OF_B);
	go_on(t);
	return ret;
}

static int move_between(struct traffic *t, struct iommu_domain *a, struct iommu_domain *b,
			unsigned int count)
{
	dma_addr_t addr;
	int ret;

	/* The C driver has page tables for domains that were attached once. */
	ret = iommu_attach_group(a, t->group);
	if (ret)
		return ret;
	iommu_detach_group(a, t->group);
	ret = iommu_attach_group(b, t->group);
	if (ret)
		return ret;
	iommu_detach_group(b, t->group);
	ret = map_page(t, a, X, OF_A) ?: map_page(t, a, Y, ONLY_OF_A) ?: map_page(t, b, X, OF_B);
	if (ret)
		return ret;
	addr = dma_map_page(t->dev, t->pages + OF_DMA, 0, SZ_4K, DMA_BIDIRECTIONAL);
	if (dma_mapping_error(t->dev, addr))
		return -ENOMEM;
	traffic_visit(t, 0, X);
	traffic_visit(t, 1, Y);
	traffic_visit(t, 2, addr);
	forbid_a(t);
	for (unsigned int n = 0; !ret && n < count; n++)
		ret = move_from_dma(t, b);
	ret = ret ?: move_while_owned(t, a, b, count);
	traffic_forget(t);
	dma_unmap_page(t->dev, addr, SZ_4K, DMA_BIDIRECTIONAL);
	return ret;
}

int traffic_attach(unsigned int count)
{
	int ret = 0;

	for (int i = 0; !ret && i < MASTERS; i++) {
		struct traffic *t = &traffic_masters[i];
		struct iommu_domain *a = iommu_paging_domain_alloc(t->dev);
		struct iommu_domain *b = iommu_paging_domain_alloc(t->dev);

		ret = PTR_ERR_OR_ZERO(a) ?: PTR_ERR_OR_ZERO(b);
		if (!ret)
			ret = move_between(t, a, b, count);
		if (!IS_ERR(a))
			iommu_domain_free(a);
		if (!IS_ERR(b))
			iommu_domain_free(b);
	}
	return ret;
}

/* Pages that are mapped during a row, and that were; the last one goes while asleep. */
#define HELD	4
#define GONE	4
static struct iommu_domain *held[MASTERS];
static unsigned int mapped[MASTERS];

static int hold_pages(struct traffic *t, struct iommu_domain *domain, int gone)
{
	for (int i = 0; i < HELD + gone; i++) {
		int ret = map_page(t, domain, X + i * SZ_4K, OTHERS + i);

		if (ret)
			return ret;
		traffic_visit(t, i, X + i * SZ_4K);
		ret = traffic_reaches(t, i);
		if (ret)
			return ret;
	}
	if (!gone)
		return 0;
	if (iommu_unmap(domain, X + HELD * SZ_4K, gone * SZ_4K) != gone * SZ_4K)
		return -EFAULT;
	for (int i = HELD; i < HELD + gone; i++)
		traffic_forbid(t, OTHERS + i);
	go_on(t);
	return 0;
}

static int hold(int gone)
{
	int ret = 0;

	for (int i = 0; !ret && i < MASTERS; i++) {
		struct traffic *t = &traffic_masters[i];
		struct iommu_domain *domain;

		if (held[i])
			return -EBUSY;
		domain = iommu_paging_domain_alloc(t->dev);
		if (IS_ERR(domain))
			return PTR_ERR(domain);
		ret = iommu_attach_group(domain, t->group);
		if (ret) {
			iommu_domain_free(domain);
			return ret;
		}
		held[i] = domain;
		mapped[i] = HELD;
		ret = hold_pages(t, domain, gone);
	}
	return ret;
}

int traffic_hold(unsigned int unused)
{
	return hold(GONE);
}

/* Holds the pages that are mapped alone. */
int traffic_hold_mapped(unsigned int unused)
{
	return hold(0);
}

int traffic_release(unsigned int unused)
{
	for (int i = 0; i < MASTERS; i++) {
		struct traffic *t = &traffic_masters[i];

		if (!held[i])
			continue;
		iommu_detach_group(held[i], t->group);
		traffic_forget(t);
		iommu_domain_free(held[i]);
		held[i] = NULL;
	}
	return 0;
}

/* Leaves the masters with forbidden memory. The kernel that would report it ends. */
void traffic_farewell(void)
{
	for (int i = 0; i < MASTERS; i++) {
		struct traffic *t = &traffic_masters[i];

		if (!held[i])
			continue;
		for (int n = 0; n < HELD; n++) {
			traffic_forbid(t, OTHERS + n);
			traffic_write(t, FORBID, (X + n * SZ_4K) >> PAGE_SHIFT);
		}
		/*
		 * The master retries refused accesses without limit, but leaves the next
		 * kernel time between two faults.
		 */
		traffic_write(t, CONTROL, RUN | PATIENT);
		traffic_write(t, INTERVAL, 2 * NSEC_PER_MSEC);
		traffic_write(t, GIVE_UP, 0);
		go_on(t);
	}
}

int traffic_check(unsigned int unused)
{
	int ret = 0;

	for (int i = 0; i < MASTERS; i++) {
		struct traffic *t = &traffic_masters[i];

		if (!held[i])
			return -EINVAL;
		go_on(t);
		for (int n = 0; !ret && n < mapped[i]; n++)
			ret = traffic_reaches(t, n);
		go_on(t);
	}
	return ret;
}

int traffic_idle(unsigned int unused)
{
	int ret = pm_runtime_put_sync(traffic_masters[0].dev);

	return min(ret, 0);
}

/* No page may be reached while the IPMMU sleeps. */
int traffic_asleep(unsigned int unused)
{
	struct traffic *t = &traffic_masters[0];
	unsigned int last = mapped[0] - 1;

	if (!held[0] || mapped[0] < 2)
		return -EINVAL;
	for (int n = 0; n < mapped[0]; n++)
		traffic_forbid(t, OTHERS + n);
	go_on(t);
	if (iommu_unmap(held[0], X + last * SZ_4K, SZ_4K) != SZ_4K)
		return -EFAULT;
	go_on(t);
	for (int n = 0; n < last; n++)
		traffic_allow(t, OTHERS + n);
	mapped[0] = last;
	return 0;
}

int traffic_busy(unsigned int unused)
{
	return pm_runtime_resume_and_get(traffic_masters[0].dev);
}
