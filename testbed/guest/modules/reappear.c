// SPDX-License-Identifier: GPL-2.0
/*
 * A platform device of the device tree that goes, and comes again:
 *
 *   modprobe reappear device=fea27000.fcp
 *   echo N > /sys/module/reappear/parameters/present
 *   echo Y > /sys/module/reappear/parameters/present
 *
 * After "late" the core asks about the device when a driver is bound to it, and not before: it
 * comes without "iommus", which its node has again afterwards. The driver "reappear", for
 * "driver_override", leaves a device alone.
 */

#include <linux/module.h>
#include <linux/of.h>
#include <linux/of_platform.h>
#include <linux/platform_device.h>

static char *device;
module_param(device, charp, 0);
MODULE_PARM_DESC(device, "Name of the device");

static struct device_node *node;
static struct device *parent;

static bool present = true;

static int create(bool late)
{
	struct property *iommus = late ? of_find_property(node, "iommus", NULL) : NULL;
	struct platform_device *created;
	int ret;

	if (iommus) {
		ret = of_remove_property(node, iommus);
		if (ret)
			return ret;
	}
	created = of_platform_device_create(node, NULL, parent);
	ret = iommus ? of_add_property(node, iommus) : 0;
	return created ? ret : -ENOMEM;
}

static int present_set(const char *text, const struct kernel_param *unused)
{
	bool late = sysfs_streq(text, "late");
	struct device *dev;
	bool wanted = late;
	int ret;

	ret = late ? 0 : kstrtobool(text, &wanted);
	if (ret || wanted == present)
		return ret;
	if (wanted) {
		ret = create(late);
		if (ret)
			return ret;
	} else {
		dev = bus_find_device_by_name(&platform_bus_type, NULL, device);
		if (!dev)
			return -ENODEV;
		of_platform_device_destroy(dev, NULL);
		put_device(dev);
	}
	present = wanted;
	return 0;
}

static const struct kernel_param_ops present_ops = {
	.set = present_set,
	.get = param_get_bool,
};
module_param_cb(present, &present_ops, &present, 0600);
MODULE_PARM_DESC(present, "Whether the device is there");

static int idle_probe(struct platform_device *pdev)
{
	return 0;
}

static struct platform_driver idle_driver = {
	.driver = { .name = "reappear" },
	.probe = idle_probe,
};

static int __init reappear_init(void)
{
	struct device *dev;

	dev = device ? bus_find_device_by_name(&platform_bus_type, NULL, device) : NULL;
	if (!dev)
		return -ENODEV;
	node = of_node_get(dev->of_node);
	parent = get_device(dev->parent);
	put_device(dev);
	return platform_driver_register(&idle_driver);
}
module_init(reappear_init);

static void __exit reappear_exit(void)
{
	platform_driver_unregister(&idle_driver);
	put_device(parent);
	of_node_put(node);
}
module_exit(reappear_exit);

MODULE_DESCRIPTION("A platform device that goes and comes");
MODULE_LICENSE("GPL");
