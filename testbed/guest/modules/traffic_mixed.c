// SPDX-License-Identifier: GPL-2.0
/*
 * Scenarios in which a domain loses pages on two CPUs, right after they were reached for the first
 * time, under a master that never stops. Meanwhile the domain comes and goes, or the master sleeps.
 */

#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/pm_runtime.h>

#include "traffic.h"

/* CPU 0 is left to interrupts. */
#define CPUS	2
/* So much longer than a change takes */
#define STAY	20

/* One CPU's part of it: a page at an address near which nothing else is */
struct mixed {
	struct traffic *t;
	struct iommu_domain *domain;
	unsigned int page;
};

static unsigned long iova_of(struct mixed *m)
{
	return SZ_1G + m->page * SZ_4M;
}

/* It gives up what it was refused. */
static void visit(struct mixed *m)
{
	traffic_visit(m->t, m->page, iova_of(m));
	traffic_rounds(m->t);
}

static int unmap_again(struct mixed *m)
{
	int ret = iommu_map(m->domain, iova_of(m), traffic_phys(m->t, m->page), SZ_4K,
			    IOMMU_READ | IOMMU_WRITE, GFP_KERNEL);

	if (ret)
		return ret;
	visit(m);
	if (iommu_unmap(m->domain, iova_of(m), SZ_4K) != SZ_4K)
		return -EFAULT;
	traffic_forbid(m->t, m->page);
	visit(m);
	traffic_allow(m->t, m->page);
	return 0;
}

static int mixed_main(void *data)
{
	int ret = 0;

	while (!kthread_should_stop()) {
		ret = ret ?: unmap_again(data);
		cond_resched();
	}
	return ret;
}

static int come_and_go(struct traffic *t, struct iommu_domain *domain, unsigned int count)
{
	for (unsigned int n = 0; n < count; n++) {
		int ret = iommu_attach_group(domain, t->group);

		if (ret)
			return ret;
		for (int i = 0; i < STAY; i++) {
			traffic_rounds(t);
			cond_resched();
		}
		iommu_detach_group(domain, t->group);
	}
	return 0;
}

/* Lets the master sleep and wake; the IPMMU that it is behind sleeps, too, unless it waits. */
static int sleep_and_wake(struct traffic *t, struct iommu_domain *domain, unsigned int count)
{
	int ret = iommu_attach_group(domain, t->group);

	if (ret)
		return ret;
	for (unsigned int n = 0; !ret && n < count; n++) {
		pm_runtime_put_sync(t->dev);
		usleep_range(500, 2000);
		ret = pm_runtime_resume_and_get(t->dev);
	}
	iommu_detach_group(domain, t->group);
	return ret;
}

typedef int (*mixed_work)(struct traffic *t, struct iommu_domain *domain, unsigned int count);

static int mixed_with(struct traffic *t, mixed_work work, unsigned int count)
{
	struct iommu_domain *domain = iommu_paging_domain_alloc(t->dev);
	struct task_struct *tasks[CPUS];
	struct mixed mixed[CPUS];
	int ret = 0;

	if (IS_ERR(domain))
		return PTR_ERR(domain);
	for (int i = 0; i < CPUS; i++) {
		mixed[i] = (struct mixed) { .t = t, .domain = domain, .page = i };
		tasks[i] = kthread_create(mixed_main, &mixed[i], "mixed/%d", i);
		if (IS_ERR(tasks[i])) {
			ret = PTR_ERR(tasks[i]);
			continue;
		}
		kthread_bind(tasks[i], 1 + i);
		wake_up_process(tasks[i]);
	}
	ret = ret ?: work(t, domain, count);
	for (int i = 0; i < CPUS; i++) {
		int status = IS_ERR(tasks[i]) ? 0 : kthread_stop(tasks[i]);

		ret = ret ?: status;
	}
	traffic_forget(t);
	iommu_domain_free(domain);
	return ret;
}

static int mixed(mixed_work work, unsigned int count)
{
	int ret = 0;

	for (int i = 0; !ret && i < MASTERS; i++)
		ret = mixed_with(&traffic_masters[i], work, count);
	return ret;
}

int traffic_mixed(unsigned int count)
{
	return mixed(come_and_go, count);
}

int traffic_drowsy(unsigned int count)
{
	return mixed(sleep_and_wake, count);
}

/* Frees a domain right after it was left by what faults in it. */
static int brief_once(struct traffic *t)
{
	struct mixed m = { .t = t, .domain = iommu_paging_domain_alloc(t->dev) };
	int ret;

	if (IS_ERR(m.domain))
		return PTR_ERR(m.domain);
	ret = iommu_attach_group(m.domain, t->group);
	if (!ret) {
		visit(&m);
		iommu_detach_group(m.domain, t->group);
	}
	iommu_domain_free(m.domain);
	return ret;
}

int traffic_brief(unsigned int count)
{
	int ret = 0;

	for (unsigned int n = 0; !ret && n < count; n++)
		ret = brief_once(&traffic_masters[n % MASTERS]);
	for (int i = 0; i < MASTERS; i++)
		traffic_forget(&traffic_masters[i]);
	return ret;
}
