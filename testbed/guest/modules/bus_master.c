// SPDX-License-Identifier: GPL-2.0
/*
 * Memory for a bus master that no driver knows, at an IOVA that one chooses; and
 * an R-Car DMA channel that does not give up:
 *
 *   run=/sys/module/bus_master/parameters/run
 *   echo map e6700000.dma-controller 0x50000000 > $run
 *   cat /sys/module/bus_master/parameters/memory
 *
 * map DEVICE IOVA      four pages, at the physical address "memory", are where
 *                      the device's domain has IOVA; they are full of 0x5a
 * unmap                removes the mapping; the pages stay allocated
 * insist CHANNEL       whenever the channel whose registers are at this physical
 *                      address was refused an access, it is started again
 * relax                that ends
 * panic                the kernel ends
 *
 * In C, because the kernel crate does not map memory in the domain of a device.
 */

#include <linux/device.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/iommu.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/panic.h>
#include <linux/platform_device.h>
#include <linux/sizes.h>

#define ORDER	2
#define SIZE	(PAGE_SIZE << ORDER)

static ulong memory;
module_param(memory, ulong, 0444);
MODULE_PARM_DESC(memory, "Physical address of the pages");

static struct page *pages;
static struct device *master;
static unsigned long iova;

static struct task_struct *starter;
static void __iomem *channel;

#define CHCR	0x0c
#define DE	BIT(0)
#define CAE	BIT(31)

static int bus_master_map(const char *name, unsigned long at)
{
	struct iommu_domain *domain;
	int ret = -ENODEV;

	if (master)
		return -EBUSY;
	master = bus_find_device_by_name(&platform_bus_type, NULL, name);
	domain = master ? iommu_get_domain_for_dev(master) : NULL;
	if (domain)
		ret = iommu_map(domain, at, memory, SIZE, IOMMU_READ | IOMMU_WRITE, GFP_KERNEL);
	if (ret) {
		put_device(master);
		master = NULL;
		return ret;
	}
	memset(page_address(pages), 0x5a, SIZE);
	iova = at;
	return 0;
}

static int bus_master_unmap(void)
{
	size_t unmapped;

	if (!master)
		return -EINVAL;
	unmapped = iommu_unmap(iommu_get_domain_for_dev(master), iova, SIZE);
	put_device(master);
	master = NULL;
	return unmapped == SIZE ? 0 : -EIO;
}

static int bus_master_starter(void *unused)
{
	while (!kthread_should_stop()) {
		u32 chcr = readl(channel + CHCR);

		if (chcr & CAE)
			writel((chcr & ~CAE) | DE, channel + CHCR);
		cond_resched();
	}
	return 0;
}

static int bus_master_relax(void)
{
	if (!starter)
		return -EINVAL;
	kthread_stop(starter);
	starter = NULL;
	writel(0, channel + CHCR);
	iounmap(channel);
	return 0;
}

static int bus_master_insist(unsigned long at)
{
	struct task_struct *task;

	if (starter)
		return -EBUSY;
	channel = ioremap(at, 0x80);
	if (!channel)
		return -ENOMEM;
	task = kthread_run(bus_master_starter, NULL, "bus_master");
	if (IS_ERR(task)) {
		iounmap(channel);
		return PTR_ERR(task);
	}
	starter = task;
	return 0;
}

static int run_set(const char *text, const struct kernel_param *unused)
{
	unsigned long at;
	char name[40];

	if (sscanf(text, "map %39s %li", name, &at) == 2)
		return bus_master_map(name, at);
	if (sscanf(text, "insist %li", &at) == 1)
		return bus_master_insist(at);
	if (sysfs_streq(text, "unmap"))
		return bus_master_unmap();
	if (sysfs_streq(text, "relax"))
		return bus_master_relax();
	if (sysfs_streq(text, "panic"))
		panic("bus_master was told to\n");
	return -EINVAL;
}

static const struct kernel_param_ops run_ops = {
	.set = run_set,
};
module_param_cb(run, &run_ops, NULL, 0200);
MODULE_PARM_DESC(run, "What to do");

static int __init bus_master_init(void)
{
	/* Within reach of a channel that is not translated, too. */
	pages = alloc_pages(GFP_KERNEL | GFP_DMA32 | __GFP_ZERO, ORDER);
	if (!pages)
		return -ENOMEM;
	memory = page_to_phys(pages);
	return 0;
}
module_init(bus_master_init);

static void __exit bus_master_exit(void)
{
	if (starter)
		bus_master_relax();
	if (master)
		bus_master_unmap();
	__free_pages(pages, ORDER);
}
module_exit(bus_master_exit);

MODULE_DESCRIPTION("Memory for a bus master that no driver knows");
MODULE_LICENSE("GPL");
