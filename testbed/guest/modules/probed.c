// SPDX-License-Identifier: GPL-2.0
/*
 * Takes to load until all devices that can be probed have been: those that
 * waited for another one are probed in the background, some time after that.
 *
 * In C, because the kernel crate lacks the one call that this makes.
 */

#include <linux/device/driver.h>
#include <linux/module.h>

/*
 * The longest row of devices that wait for each other, a probed one having all
 * others tried again: root IPMMU, cache IPMMU, DMA controller, its client.
 */
#define WAITING_IN_A_ROW	4

static int __init probed_init(void)
{
	for (int n = 0; n < WAITING_IN_A_ROW; n++)
		wait_for_device_probe();
	return 0;
}
module_init(probed_init);

static void __exit probed_exit(void)
{
}
module_exit(probed_exit);

MODULE_DESCRIPTION("Waits until devices have been probed");
MODULE_LICENSE("GPL");
