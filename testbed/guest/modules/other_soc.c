// SPDX-License-Identifier: GPL-2.0
/*
 * Pretends to be a SoC that the kernel was not built for, to drivers that ask for the SoC.
 *
 * In C, because the kernel crate has no SoC bus.
 */

#include <linux/module.h>
#include <linux/sys_soc.h>

static char *soc_id = "";
module_param(soc_id, charp, 0444);
MODULE_PARM_DESC(soc_id, "Which SoC");

static char *revision = "";
module_param(revision, charp, 0444);
MODULE_PARM_DESC(revision, "Its cut");

static struct soc_device_attribute attributes;
static struct soc_device *soc;

static int __init other_soc_init(void)
{
	attributes.soc_id = soc_id;
	attributes.revision = revision;
	soc = soc_device_register(&attributes);
	return PTR_ERR_OR_ZERO(soc);
}
module_init(other_soc_init);

static void __exit other_soc_exit(void)
{
	soc_device_unregister(soc);
}
module_exit(other_soc_exit);

MODULE_DESCRIPTION("SoC for tests");
MODULE_LICENSE("GPL");
