// SPDX-License-Identifier: GPL-2.0
/*
 * Scenarios in which pages are unmapped under a master that never stops.
 */

#include <linux/completion.h>
#include <linux/dma-mapping.h>
#include <linux/kthread.h>
#include <linux/xarray.h>

#include "traffic.h"

/* One CPU's part of it. */
struct unmapper {
	struct traffic *t;
	struct iommu_domain *domain;
	unsigned int number, count;
	struct completion done;
	int ret;
};

static const size_t sizes[] = { SZ_4K, SZ_4K, SZ_16K, SZ_4K, SZ_64K, SZ_2M };

/* Each CPU has half of the master's pages; their addresses are beside each other. */
static int unmap_once(struct unmapper *u, unsigned int n)
{
	unsigned int entry = 2 * u->number, page = u->number * BLOCK;
	unsigned long iova = SZ_1G + (2 * (n % 8) + u->number) * SZ_2M;
	size_t size = sizes[n % ARRAY_SIZE(sizes)];
	unsigned int last = size / SZ_4K - 1;
	int ret;

	if (size < SZ_2M) {
		page += (n * (last + 1)) % BLOCK;
		iova += (n % 16) * SZ_64K;
	}
	ret = iommu_map(u->domain, iova, traffic_phys(u->t, page), size,
			IOMMU_READ | IOMMU_WRITE, GFP_KERNEL);
	if (ret)
		return ret;
	traffic_visit(u->t, entry, iova);
	traffic_visit(u->t, entry + 1, iova + last * SZ_4K);
	ret = traffic_reaches(u->t, entry);
	if (!ret)
		ret = traffic_reaches(u->t, entry + 1);
	if (iommu_unmap(u->domain, iova, size) != size)
		return -EFAULT;
	traffic_forbid(u->t, page);
	traffic_forbid(u->t, page + last);
	traffic_visit(u->t, entry, iova);
	traffic_visit(u->t, entry + 1, iova + last * SZ_4K);
	traffic_rounds(u->t);
	traffic_allow(u->t, page);
	traffic_allow(u->t, page + last);
	return ret;
}

static int unmapper_main(void *data)
{
	struct unmapper *u = data;

	for (unsigned int n = 0; !u->ret && n < u->count; n++)
		u->ret = unmap_once(u, n);
	/* Here, as CPU 0 may have no time until the faults end. */
	traffic_leave(u->t, 2 * u->number);
	traffic_leave(u->t, 2 * u->number + 1);
	complete(&u->done);
	for (;;) {
		set_current_state(TASK_INTERRUPTIBLE);
		if (kthread_should_stop())
			break;
		schedule();
	}
	__set_current_state(TASK_RUNNING);
	return u->ret;
}

/* CPU 0 is left to interrupts. */
static int unmap_on_two_cpus(struct unmapper *unmappers)
{
	struct task_struct *tasks[2];
	int ret = 0;

	for (int i = 0; i < 2; i++) {
		init_completion(&unmappers[i].done);
		tasks[i] = kthread_create(unmapper_main, &unmappers[i], "unmap/%d", i);
		if (IS_ERR(tasks[i]))
			continue;
		kthread_bind(tasks[i], 1 + i);
		wake_up_process(tasks[i]);
	}
	for (int i = 0; i < 2; i++) {
		int status;

		/* Not asleep for so long that a busy machine looks like a hung task */
		while (!IS_ERR(tasks[i]) && !wait_for_completion_timeout(&unmappers[i].done, HZ))
			;
		status = IS_ERR(tasks[i]) ? PTR_ERR(tasks[i]) : kthread_stop(tasks[i]);
		ret = ret ?: status;
	}
	return ret;
}

static int unmap_with(unsigned int count, bool two)
{
	struct traffic *masters[2] = { &traffic_masters[0], &traffic_masters[two] };
	struct iommu_domain *domains[2] = {};
	struct unmapper unmappers[2] = {};
	int ret = 0;

	for (int i = 0; !ret && i <= two; i++) {
		domains[i] = iommu_paging_domain_alloc(masters[i]->dev);
		if (IS_ERR(domains[i])) {
			ret = PTR_ERR(domains[i]);
			domains[i] = NULL;
			break;
		}
		ret = iommu_attach_group(domains[i], masters[i]->group);
		if (ret) {
			iommu_domain_free(domains[i]);
			domains[i] = NULL;
		}
	}
	for (int i = 0; i < 2; i++) {
		unmappers[i] = (struct unmapper) {
			.t = masters[i],
			.domain = domains[two ? i : 0],
			.number = i,
			.count = count / 2,
		};
	}
	if (!ret)
		ret = unmap_on_two_cpus(unmappers);
	for (int i = 0; i <= two; i++) {
		if (!domains[i])
			continue;
		iommu_detach_group(domains[i], masters[i]->group);
		traffic_forget(masters[i]);
		iommu_domain_free(domains[i]);
	}
	return ret;
}

int traffic_unmap_one(unsigned int count)
{
	return unmap_with(count, false);
}

int traffic_unmap_two(unsigned int count)
{
	return unmap_with(count, true);
}

int traffic_unmap_patient(unsigned int count)
{
	int ret;

	for (int i = 0; i < MASTERS; i++) {
		traffic_write(&traffic_masters[i], INTERVAL, 0);
		traffic_write(&traffic_masters[i], CONTROL, RUN | PATIENT);
	}
	ret = unmap_with(count, true);
	for (int i = 0; i < MASTERS; i++)
		traffic_start(&traffic_masters[i]);
	return ret;
}

int traffic_unmap_storm(unsigned int count)
{
	int ret;

	for (int i = 0; i < MASTERS; i++)
		traffic_write(&traffic_masters[i], GIVE_UP, 0);
	ret = unmap_with(count, true);
	for (int i = 0; i < MASTERS; i++)
		traffic_start(&traffic_masters[i]);
	return ret;
}

static int unmap_dma_once(struct traffic *t, unsigned int n)
{
	size_t size = n % 4 ? SZ_4K : SZ_64K;
	unsigned int page = (n * 16) % BLOCK, last = size / SZ_4K - 1;
	dma_addr_t addr = dma_map_page(t->dev, t->pages + page, 0, size, DMA_BIDIRECTIONAL);
	int ret;

	if (dma_mapping_error(t->dev, addr))
		return -ENOMEM;
	traffic_visit(t, 0, addr + last * SZ_4K);
	ret = traffic_reaches(t, 0);
	dma_unmap_page(t->dev, addr, size, DMA_BIDIRECTIONAL);
	traffic_forbid(t, page + last);
	traffic_visit(t, 0, addr + last * SZ_4K);
	traffic_rounds(t);
	traffic_allow(t, page + last);
	return ret;
}

int traffic_unmap_dma(unsigned int count)
{
	int ret = 0;

	for (unsigned int n = 0; !ret && n < count; n++)
		ret = unmap_dma_once(&traffic_masters[n % MASTERS], n);
	for (int i = 0; i < MASTERS; i++)
		traffic_forget(&traffic_masters[i]);
	return ret;
}

/* More mappings than wait for a flush on one CPU, and than it keeps addresses. */
#define COMES_AGAIN	4096

/* The page that each address was used for last, for each master */
static struct xarray formers[MASTERS];

/* Returns whether the page that the address was used for before was judged. */
static bool judge_former(struct traffic *t, dma_addr_t addr, unsigned int page)
{
	void *former = xa_load(&formers[t - traffic_masters], addr >> PAGE_SHIFT);

	if (!former || xa_to_value(former) == page)
		return false;
	traffic_forbid(t, xa_to_value(former));
	traffic_visit(t, 0, addr);
	traffic_rounds(t);
	traffic_allow(t, xa_to_value(former));
	return true;
}

/*
 * An address is used again only when what it was used for has been flushed. So
 * that is the moment; before it the page may be reached.
 */
static int unmap_lazy_once(struct traffic *t, unsigned int n)
{
	unsigned int page = n % (2 * BLOCK);
	dma_addr_t addr = dma_map_page(t->dev, t->pages + page, 0, SZ_4K, DMA_BIDIRECTIONAL);
	int judged, ret;

	if (dma_mapping_error(t->dev, addr))
		return -ENOMEM;
	judged = judge_former(t, addr, page);
	traffic_visit(t, 0, addr);
	ret = traffic_reaches(t, 0);
	dma_unmap_page(t->dev, addr, SZ_4K, DMA_BIDIRECTIONAL);
	ret = ret ?: xa_err(xa_store(&formers[t - traffic_masters], addr >> PAGE_SHIFT,
				     xa_mk_value(page), GFP_KERNEL));
	return ret ?: judged;
}

int traffic_unmap_lazy(unsigned int count)
{
	unsigned int most = 2 * count + MASTERS * COMES_AGAIN, judged = 0;
	int ret = 0;

	for (int i = 0; i < MASTERS; i++)
		xa_init(&formers[i]);
	/* The addresses that a CPU keeps are its own. */
	migrate_disable();
	for (unsigned int n = 0; ret >= 0 && judged < count && n < most; n++) {
		ret = unmap_lazy_once(&traffic_masters[n % MASTERS], n / MASTERS);
		judged += ret > 0;
	}
	migrate_enable();
	for (int i = 0; i < MASTERS; i++) {
		traffic_forget(&traffic_masters[i]);
		xa_destroy(&formers[i]);
	}
	if (ret < 0)
		return ret;
	return judged < count ? -EAGAIN : 0;
}

#define GATHERED	16

/* Pages with gaps between them, unmapped one by one. */
static int unmap_gather_once(struct traffic *t, struct iommu_domain *domain)
{
	struct iommu_iotlb_gather gather;
	int mapped = 0, ret = 0;

	for (int i = 0; i < GATHERED; i++) {
		u32 iova = SZ_1G + i * SZ_16K;

		ret = iommu_map(domain, iova, traffic_phys(t, i), SZ_4K,
				IOMMU_READ | IOMMU_WRITE, GFP_KERNEL);
		if (ret)
			break;
		mapped++;
		traffic_visit(t, i, iova);
		ret = traffic_reaches(t, i);
		if (ret)
			break;
	}
	iommu_iotlb_gather_init(&gather);
	for (int i = 0; i < mapped; i++)
		iommu_unmap_fast(domain, SZ_1G + i * SZ_16K, SZ_4K, &gather);
	iommu_iotlb_sync(domain, &gather);
	for (int i = 0; i < mapped; i++)
		traffic_forbid(t, i);
	traffic_revive(t);
	traffic_rounds(t);
	traffic_forget(t);
	return ret;
}

int traffic_unmap_gather(unsigned int count)
{
	struct traffic *t = &traffic_masters[0];
	struct iommu_domain *domain = iommu_paging_domain_alloc(t->dev);
	int ret;

	if (IS_ERR(domain))
		return PTR_ERR(domain);
	ret = iommu_attach_group(domain, t->group);
	if (!ret) {
		for (unsigned int n = 0; !ret && n < count; n++)
			ret = unmap_gather_once(t, domain);
		iommu_detach_group(domain, t->group);
	}
	iommu_domain_free(domain);
	return ret;
}
