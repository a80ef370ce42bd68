// SPDX-License-Identifier: GPL-2.0
/*
 * A platform device of the device tree that goes, and comes again:
 *
 *   modprobe reappear device=fea27000.fcp
 *   echo N > /sys/module/reappear/parameters/present
 *   echo Y > /sys/module/reappear/parameters/present
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

static int present_set(const char *text, const struct kernel_param *unused)
{
	struct device *dev;
	bool wanted;
	int ret;

	ret = kstrtobool(text, &wanted);
	if (ret || wanted == present)
		return ret;
	if (wanted) {
		if (!of_platform_device_create(node, NULL, parent))
			return -ENOMEM;
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

static int __init reappear_init(void)
{
	struct device *dev;

	dev = device ? bus_find_device_by_name(&platform_bus_type, NULL, device) : NULL;
	if (!dev)
		return -ENODEV;
	node = of_node_get(dev->of_node);
	parent = get_device(dev->parent);
	put_device(dev);
	return 0;
}
module_init(reappear_init);

static void __exit reappear_exit(void)
{
	put_device(parent);
	of_node_put(node);
}
module_exit(reappear_exit);

MODULE_DESCRIPTION("A platform device that goes and comes");
MODULE_LICENSE("GPL");
