// SPDX-License-Identifier: GPL-2.0
/*
 * Two devices that disturb a transition to sleep when told to:
 *
 *   echo first:suspend_noirq > /sys/module/pm_trouble/parameters/fail
 *   echo last:suspend_late > /sys/module/pm_trouble/parameters/wake
 *
 * "first" is suspended before all other devices, "last" after the device that
 * the parameter supplier_of= names, whose supplier it is. The named callback
 * fails, or signals a wakeup and succeeds, or starts an R-Car DMA channel that
 * was prepared.
 *
 * In C, because the kernel crate has no dev_pm_ops, and the driver's own
 * wrapper of them knows the noirq phase alone.
 */

#include <linux/device.h>
#include <linux/io.h>
#include <linux/iopoll.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/pm.h>
#include <linux/pm_wakeup.h>

static char fail[40];
module_param_string(fail, fail, sizeof(fail), 0644);
MODULE_PARM_DESC(fail, "Callback that fails, as first:suspend_noirq");

static char wake[40];
module_param_string(wake, wake, sizeof(wake), 0644);
MODULE_PARM_DESC(wake, "Callback in which a wakeup arrives");

static char supplier_of[40];
module_param_string(supplier_of, supplier_of, sizeof(supplier_of), 0444);
MODULE_PARM_DESC(supplier_of, "Platform device that is suspended before \"last\"");

static char start[40];
module_param_string(start, start, sizeof(start), 0644);
MODULE_PARM_DESC(start, "Callback in which a DMA channel is started, and waited for");

static ulong channel;
module_param(channel, ulong, 0644);
MODULE_PARM_DESC(channel, "Physical address of the channel's registers, which is ready but for DE");

static struct platform_device *first, *last;
static struct device_link *link;

#define CHCR	0x0c
#define DE	BIT(0)
#define DONE	(BIT(31) | BIT(1))

/* No interrupt tells of the end: in the noirq phase there is none. */
static void pm_trouble_start(void)
{
	void __iomem *regs = ioremap(channel, 0x80);
	u32 chcr;

	if (!regs)
		return;
	writel(readl(regs + CHCR) | DE, regs + CHCR);
	if (readl_poll_timeout_atomic(regs + CHCR, chcr, chcr & DONE, 1, USEC_PER_SEC))
		pr_err("pm_trouble: the channel does not end\n");
	writel(0, regs + CHCR);
	iounmap(regs);
}

static int pm_trouble_called(struct device *dev, const char *callback)
{
	char name[40];

	snprintf(name, sizeof(name), "%s:%s", dev_name(dev), callback);
	if (sysfs_streq(wake, name))
		pm_wakeup_dev_event(dev, 0, true);
	if (sysfs_streq(start, name))
		pm_trouble_start();
	return sysfs_streq(fail, name) ? -EIO : 0;
}

#define CALLBACK(name)						\
static int pm_trouble_##name(struct device *dev)		\
{								\
	return pm_trouble_called(dev, #name);			\
}

CALLBACK(prepare)
CALLBACK(suspend)
CALLBACK(suspend_late)
CALLBACK(suspend_noirq)
CALLBACK(freeze)
CALLBACK(freeze_late)
CALLBACK(freeze_noirq)

static const struct dev_pm_ops pm_trouble_pm_ops = {
	.prepare	= pm_trouble_prepare,
	.suspend	= pm_trouble_suspend,
	.suspend_late	= pm_trouble_suspend_late,
	.suspend_noirq	= pm_trouble_suspend_noirq,
	.freeze		= pm_trouble_freeze,
	.freeze_late	= pm_trouble_freeze_late,
	.freeze_noirq	= pm_trouble_freeze_noirq,
};

static int pm_trouble_probe(struct platform_device *pdev)
{
	return device_init_wakeup(&pdev->dev, true);
}

static const struct platform_device_id pm_trouble_ids[] = {
	{ "first" },
	{ "last" },
	{ }
};

static struct platform_driver pm_trouble_driver = {
	.probe		= pm_trouble_probe,
	.id_table	= pm_trouble_ids,
	.driver		= {
		.name	= "pm_trouble",
		.pm	= &pm_trouble_pm_ops,
	},
};

/* The link puts the consumer, and whatever depends on it, after "last". */
static int pm_trouble_link(void)
{
	struct device *consumer;

	if (!*supplier_of)
		return 0;
	consumer = bus_find_device_by_name(&platform_bus_type, NULL, supplier_of);
	if (!consumer)
		return -ENODEV;
	link = device_link_add(consumer, &last->dev, DL_FLAG_STATELESS);
	put_device(consumer);
	return link ? 0 : -EINVAL;
}

static void pm_trouble_exit(void)
{
	platform_device_unregister(first);
	if (link)
		device_link_del(link);
	platform_device_unregister(last);
	platform_driver_unregister(&pm_trouble_driver);
}

static int __init pm_trouble_init(void)
{
	int ret = platform_driver_register(&pm_trouble_driver);

	if (ret)
		return ret;
	last = platform_device_register_simple("last", PLATFORM_DEVID_NONE, NULL, 0);
	if (IS_ERR(last)) {
		ret = PTR_ERR(last);
		goto no_last;
	}
	ret = pm_trouble_link();
	if (ret)
		goto no_first;
	/* The devices registered last are suspended first. */
	first = platform_device_register_simple("first", PLATFORM_DEVID_NONE, NULL, 0);
	if (!IS_ERR(first))
		return 0;
	ret = PTR_ERR(first);
	if (link)
		device_link_del(link);
no_first:
	platform_device_unregister(last);
no_last:
	platform_driver_unregister(&pm_trouble_driver);
	return ret;
}

module_init(pm_trouble_init);
module_exit(pm_trouble_exit);
MODULE_DESCRIPTION("Devices that disturb transitions to sleep");
MODULE_LICENSE("GPL");
