// SPDX-License-Identifier: GPL-2.0
/*
 * What a toolstack of Xen does for a domain that suspends itself. Waits until domain 1 has done
 * so, and resumes it:
 *
 *   echo 1 > /sys/module/xen_domain/parameters/sleeps
 *   echo 1 > /sys/module/xen_domain/parameters/wakes
 *
 * In C, because the kernel crate has no hypercalls. Linux has no header of these ones. Each
 * release of Xen takes its own version of them alone; what is used here is alike in all.
 */

#include <linux/bitfield.h>
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/module.h>
#include <xen/xen.h>
#include <xen/interface/xen.h>
#include <asm/xen/hypercall.h>

#define PATIENCE	(20 * HZ)
#define LAST_VERSION	0xff

enum domctl_command {
	DOMCTL_INFO = 5,
	DOMCTL_RESUME = 27,
};

/* Of struct domctl_info's flags: shut down, and why. */
#define SHUT_DOWN	BIT(2)
#define REASON		GENMASK(23, 16)
#define SUSPENDED	2

struct domctl_info {
	u16 domain;
	u16 pad;
	u32 flags;
};

struct domctl {
	u32 command;
	u32 version;
	u16 domain;
	u16 pad[3];
	union {
		struct domctl_info info;
		/* More than any version copies. */
		u8 any[512];
	};
};

static struct domctl request;

static long domctl(enum domctl_command command, u16 domain)
{
	for (u32 version = 0; version <= LAST_VERSION; version++) {
		long ret;

		request = (struct domctl){
			.command = command,
			.version = version,
			.domain = domain,
		};
		ret = privcmd_call(__HYPERVISOR_domctl, (unsigned long)&request, 0, 0, 0, 0);
		if (ret != -EACCES)
			return ret;
	}
	return -EACCES;
}

static bool is_suspended(u32 flags)
{
	return flags & SHUT_DOWN && FIELD_GET(REASON, flags) == SUSPENDED;
}

static int sleeps_set(const char *text, const struct kernel_param *unused)
{
	unsigned long deadline = jiffies + PATIENCE;
	u16 domain;
	int ret;

	ret = kstrtou16(text, 0, &domain);
	while (!ret) {
		ret = domctl(DOMCTL_INFO, domain);
		if (ret || is_suspended(request.info.flags))
			break;
		if (time_after(jiffies, deadline))
			return -ETIMEDOUT;
		msleep(20);
	}
	return ret;
}

static const struct kernel_param_ops sleeps_ops = { .set = sleeps_set };
module_param_cb(sleeps, &sleeps_ops, NULL, 0200);
MODULE_PARM_DESC(sleeps, "Domain that is waited for");

static int wakes_set(const char *text, const struct kernel_param *unused)
{
	u16 domain;

	return kstrtou16(text, 0, &domain) ?: domctl(DOMCTL_RESUME, domain);
}

static const struct kernel_param_ops wakes_ops = { .set = wakes_set };
module_param_cb(wakes, &wakes_ops, NULL, 0200);
MODULE_PARM_DESC(wakes, "Domain that is resumed");

static int __init xen_domain_init(void)
{
	return xen_initial_domain() ? 0 : -ENODEV;
}
module_init(xen_domain_init);

static void __exit xen_domain_exit(void)
{
}
module_exit(xen_domain_exit);

MODULE_DESCRIPTION("Waits until a domain of Xen has suspended itself, and resumes it");
MODULE_LICENSE("GPL");
