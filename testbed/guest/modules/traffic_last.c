// SPDX-License-Identifier: GPL-2.0
/*
 * A scenario in which another kernel is about to take over: once the last IPMMU has been shut
 * down, the masters may reach nothing, and they do not stop.
 */

#include <linux/platform_device.h>

#include "traffic.h"

/* The root, which is shut down after its caches. */
#define ROOT	"e67b0000.iommu"

static struct platform_device *last;
static struct device_link *link;

static void last_shutdown(struct platform_device *pdev)
{
	traffic_farewell();
}

static struct platform_driver last_driver = {
	.shutdown	= last_shutdown,
	.driver.name	= "traffic_last",
};

/* A supplier is shut down after its consumers. */
int traffic_last(unsigned int unused)
{
	struct device *root;
	int ret;

	if (last)
		return -EBUSY;
	ret = platform_driver_register(&last_driver);
	if (ret)
		return ret;
	last = platform_device_register_simple("traffic_last", PLATFORM_DEVID_NONE, NULL, 0);
	if (IS_ERR(last)) {
		ret = PTR_ERR(last);
		last = NULL;
		platform_driver_unregister(&last_driver);
		return ret;
	}
	root = bus_find_device_by_name(&platform_bus_type, NULL, ROOT);
	if (root)
		link = device_link_add(root, &last->dev, DL_FLAG_STATELESS);
	put_device(root);
	if (link)
		return 0;
	traffic_last_exit();
	return -ENODEV;
}

void traffic_last_exit(void)
{
	if (!last)
		return;
	if (link)
		device_link_del(link);
	platform_device_unregister(last);
	platform_driver_unregister(&last_driver);
	last = NULL;
	link = NULL;
}
