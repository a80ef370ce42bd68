// SPDX-License-Identifier: GPL-2.0
/*
 * A scenario in which masters that never stop ask for what is not mapped: the driver tells so, and
 * lets them in, once it is.
 */

#include <linux/jiffies.h>

#include "traffic.h"

/* The address that the driver told of last */
static unsigned long told;

/* Looks on: the fault is still the driver's. */
static int note_fault(struct iommu_domain *domain, struct device *dev, unsigned long iova,
		      int flags, void *token)
{
	WRITE_ONCE(told, iova);
	return -ENOSYS;
}

/* Visits until the fault is told: what another address has left comes first. */
static int wait_for_fault(struct traffic *t, unsigned long iova)
{
	unsigned long end = traffic_deadline();

	while (READ_ONCE(told) != iova) {
		if (time_after(jiffies, end)) {
			dev_err(t->dev, "the fault at 0x%lx is not told\n", iova);
			return -EIO;
		}
		traffic_visit(t, 0, iova);
		traffic_rounds(t);
		cond_resched();
	}
	return 0;
}

static int fault_once(struct traffic *t, struct iommu_domain *domain, unsigned int n)
{
	unsigned int page = n % BLOCK;
	unsigned long iova = SZ_1G + n * SZ_4K;
	int ret = wait_for_fault(t, iova);

	ret = ret ?: iommu_map(domain, iova, traffic_phys(t, page), SZ_4K,
			       IOMMU_READ | IOMMU_WRITE, GFP_KERNEL);
	if (ret)
		return ret;
	ret = traffic_reaches(t, 0);
	if (iommu_unmap(domain, iova, SZ_4K) != SZ_4K)
		return -EFAULT;
	traffic_forbid(t, page);
	traffic_visit(t, 0, iova);
	traffic_rounds(t);
	traffic_allow(t, page);
	return ret;
}

static int fault_with(struct traffic *t, unsigned int count)
{
	struct iommu_domain *domain = iommu_paging_domain_alloc(t->dev);
	int ret;

	if (IS_ERR(domain))
		return PTR_ERR(domain);
	WRITE_ONCE(told, 0);
	iommu_set_fault_handler(domain, note_fault, NULL);
	ret = iommu_attach_group(domain, t->group);
	if (!ret) {
		for (unsigned int n = 0; !ret && n < count; n++)
			ret = fault_once(t, domain, n);
		traffic_forget(t);
		iommu_detach_group(domain, t->group);
	}
	iommu_domain_free(domain);
	return ret;
}

int traffic_fault(unsigned int count)
{
	int ret = 0;

	for (int i = 0; !ret && i < MASTERS; i++)
		ret = fault_with(&traffic_masters[i], count);
	return ret;
}
