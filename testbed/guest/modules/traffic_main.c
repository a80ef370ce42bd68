// SPDX-License-Identifier: GPL-2.0
/*
 * A bus master that never stops, and scenarios in which it judges an IOMMU driver:
 * after a call has returned, not one access gets through. The machine has two such
 * masters, behind two caches of one root.
 *
 *   run=/sys/module/traffic/parameters/run
 *   echo unmap 10000 > $run
 *   cat /sys/module/traffic/parameters/through
 *
 * unmap N	N times, on two CPUs with one domain: a page, some, or a block is
 *		mapped, reached, unmapped, and must then be out of reach
 * unmap-two N	the same with a domain for each CPU and master
 * patient N	the same with masters that do nothing but while a page is mapped, and
 *		after the call has returned
 * storm N	the same with masters that do not give up what they are refused
 * dma N	the same with mappings of the DMA API, where these are strict
 * lazy N	the same where they are not: when an address is used again, N times, its
 *		former page is out of reach
 * gather N	sixteen pages are unmapped, then flushed together
 * attach N	a master moves between two domains, blocked, and the DMA API's
 * fault N	for each master, N times: an access to an unmapped page is reported as a fault;
 *		the page is mapped, reached, unmapped, and must then be out of reach
 * mixed N	pages go on two CPUs, over and over, right after they were reached for the
 *		first time, while their domain comes and goes N times
 * drowsy N	the same while the master sleeps and wakes N times
 * brief N	N domains are freed right after they were left by what faults in them
 * hold		masters have domains with pages mapped, and pages unmapped
 * hold-mapped	the same without those that were unmapped
 * idle		the first master is let sleep, and does not stop
 * asleep	nothing is reached, and a page is unmapped
 * busy		it is awake again
 * check	what is mapped is reached, and nothing else
 * release	ends what hold began
 * panic	the kernel ends
 * last		when all IPMMUs have been shut down for another kernel, neither the pages
 *		that hold mapped are reached, nor their addresses untranslated
 *
 * In C, because the kernel crate has neither mappings that come and go, nor domains.
 */

#include <linux/dma-mapping.h>
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/of.h>
#include <linux/panic.h>
#include <linux/platform_device.h>
#include <linux/pm_runtime.h>

#include "traffic.h"

static uint interval = 20000;
module_param(interval, uint, 0644);
MODULE_PARM_DESC(interval, "Time between two rounds, in ns");

static uint give_up = 64;
module_param(give_up, uint, 0644);
MODULE_PARM_DESC(give_up, "Refusals after which the master leaves an address alone for a while");

static uint patience = 10;
module_param(patience, uint, 0644);
MODULE_PARM_DESC(patience, "Time in which a master reaches what is mapped, in s");

static uint through;
module_param(through, uint, 0444);
MODULE_PARM_DESC(through, "Accesses to pages that were not the master's, in the last scenario");

/* Where hold maps for both masters */
static ulong memory[MASTERS];
module_param_array(memory, ulong, NULL, 0444);
MODULE_PARM_DESC(memory, "Physical address of each master's pages");

struct traffic traffic_masters[MASTERS];

/* Starts it after a reset, which has stopped it. */
void traffic_start(struct traffic *t)
{
	traffic_write(t, PATTERN, 0x7aff1c);
	traffic_write(t, INTERVAL, interval);
	traffic_write(t, GIVE_UP, give_up);
	traffic_write(t, CONTROL, RUN);
	traffic_revive(t);
}

/* Lets it try again what it has given up. */
void traffic_revive(struct traffic *t)
{
	for (int i = 0; i < ENTRIES; i++)
		traffic_write(t, ENTRY(i) + FLAGS, traffic_read(t, ENTRY(i) + FLAGS));
}

/* Leaves it without work. */
void traffic_forget(struct traffic *t)
{
	for (int i = 0; i < ENTRIES; i++)
		traffic_leave(t, i);
	traffic_write(t, ALLOW_ALL, 1);
}

unsigned long traffic_deadline(void)
{
	return jiffies + patience * HZ;
}

/* Waits until it was reached through each micro-TLB. */
int traffic_reaches(struct traffic *t, unsigned int entry)
{
	unsigned long end = traffic_deadline();

	while (traffic_read(t, ENTRY(entry) + REACHED_BY) != PORTS) {
		if (time_after(jiffies, end)) {
			dev_err(t->dev, "0x%x is not reached\n", traffic_read(t, ENTRY(entry)));
			return -EIO;
		}
		/* What it was refused it may have given up. */
		traffic_write(t, ENTRY(entry) + FLAGS, READ_IT | WRITE_IT);
		traffic_write(t, ROUND, 1);
		cond_resched();
	}
	return 0;
}

u32 traffic_violations(void)
{
	u32 sum = 0;

	for (int i = 0; i < MASTERS; i++)
		sum += traffic_read(&traffic_masters[i], VIOLATIONS);
	return sum;
}

static int traffic_panic(unsigned int unused)
{
	panic("traffic was told to\n");
}

static const struct {
	const char *name;
	int (*run)(unsigned int count);
} scenarios[] = {
	{ "unmap", traffic_unmap_one },
	{ "unmap-two", traffic_unmap_two },
	{ "patient", traffic_unmap_patient },
	{ "storm", traffic_unmap_storm },
	{ "dma", traffic_unmap_dma },
	{ "lazy", traffic_unmap_lazy },
	{ "gather", traffic_unmap_gather },
	{ "attach", traffic_attach },
	{ "fault", traffic_fault },
	{ "mixed", traffic_mixed },
	{ "drowsy", traffic_drowsy },
	{ "brief", traffic_brief },
	{ "hold", traffic_hold },
	{ "hold-mapped", traffic_hold_mapped },
	{ "idle", traffic_idle },
	{ "asleep", traffic_asleep },
	{ "busy", traffic_busy },
	{ "check", traffic_check },
	{ "release", traffic_release },
	{ "last", traffic_last },
	{ "panic", traffic_panic },
};

static int run_set(const char *text, const struct kernel_param *unused)
{
	unsigned int count = 0;
	char name[16];
	u32 before;
	int ret;

	if (sscanf(text, "%15s %u", name, &count) < 1)
		return -EINVAL;
	for (int i = 0; i < MASTERS; i++)
		if (!traffic_masters[i].running)
			return -ENODEV;
	for (int i = 0; i < ARRAY_SIZE(scenarios); i++) {
		if (strcmp(name, scenarios[i].name))
			continue;
		before = traffic_violations();
		ret = scenarios[i].run(count);
		through = traffic_violations() - before;
		return ret;
	}
	return -EINVAL;
}

static const struct kernel_param_ops run_ops = {
	.set = run_set,
};
module_param_cb(run, &run_ops, NULL, 0200);
MODULE_PARM_DESC(run, "What to do");

static int traffic_probe(struct platform_device *pdev)
{
	struct resource *res;
	void __iomem *regs = devm_platform_get_and_ioremap_resource(pdev, 0, &res);
	struct traffic *t;
	int ret;

	if (IS_ERR(regs))
		return PTR_ERR(regs);
	t = &traffic_masters[(res->start >> 16) % MASTERS];
	t->dev = &pdev->dev;
	t->regs = regs;
	ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(32));
	if (ret)
		return ret;
	t->pages = alloc_pages(GFP_KERNEL | __GFP_ZERO, ORDER);
	if (!t->pages)
		return -ENOMEM;
	memory[t - traffic_masters] = traffic_phys(t, 0);
	t->group = iommu_group_get(&pdev->dev);
	if (!t->group) {
		__free_pages(t->pages, ORDER);
		return dev_err_probe(&pdev->dev, -ENODEV, "not translated\n");
	}
	platform_set_drvdata(pdev, t);
	pm_runtime_enable(&pdev->dev);
	ret = pm_runtime_resume_and_get(&pdev->dev);
	if (ret) {
		iommu_group_put(t->group);
		__free_pages(t->pages, ORDER);
		pm_runtime_disable(&pdev->dev);
		return ret;
	}
	t->running = true;
	traffic_forget(t);
	traffic_start(t);
	return 0;
}

static void traffic_remove(struct platform_device *pdev)
{
	struct traffic *t = platform_get_drvdata(pdev);

	t->running = false;
	traffic_write(t, CONTROL, 0);
	traffic_forget(t);
	pm_runtime_put_sync(&pdev->dev);
	pm_runtime_disable(&pdev->dev);
	iommu_group_put(t->group);
	__free_pages(t->pages, ORDER);
}

/* Lets it go on until it has no power. */
static int traffic_suspend(struct device *dev)
{
	return 0;
}

static int traffic_resume(struct device *dev)
{
	struct traffic *t = dev_get_drvdata(dev);

	if (t->running)
		traffic_start(t);
	return 0;
}

static const struct dev_pm_ops traffic_pm_ops = {
	SET_NOIRQ_SYSTEM_SLEEP_PM_OPS(traffic_suspend, traffic_resume)
	SET_RUNTIME_PM_OPS(traffic_suspend, traffic_resume, NULL)
};

static const struct of_device_id traffic_ids[] = {
	{ .compatible = "test,traffic" },
	{ }
};
MODULE_DEVICE_TABLE(of, traffic_ids);

static struct platform_driver traffic_driver = {
	.probe		= traffic_probe,
	.remove		= traffic_remove,
	/* Domains are given to it here, not by the core. */
	.driver_managed_dma = true,
	.driver		= {
		.name	= "traffic",
		.of_match_table = traffic_ids,
		.pm	= &traffic_pm_ops,
	},
};

static int __init traffic_init(void)
{
	return platform_driver_register(&traffic_driver);
}
module_init(traffic_init);

static void __exit traffic_exit(void)
{
	traffic_last_exit();
	platform_driver_unregister(&traffic_driver);
}
module_exit(traffic_exit);

MODULE_DESCRIPTION("A bus master that never stops");
MODULE_IMPORT_NS("IOMMUFD_INTERNAL");
MODULE_LICENSE("GPL");
