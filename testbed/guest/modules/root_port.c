// SPDX-License-Identifier: GPL-2.0
/*
 * Does what the kernel's driver of PCIe ports does about power, without the port services, for
 * which a board of this size has no use: root ports sleep when all behind them does, and the PM
 * core takes them for awake after the system slept, without waking what they depend on.
 *
 * In C, because the kernel crate sets no flags of the PM core.
 */

#include <linux/module.h>
#include <linux/pci.h>
#include <linux/pm_runtime.h>

static int root_port_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct device *dev = &pdev->dev;

	dev_pm_set_driver_flags(dev, DPM_FLAG_NO_DIRECT_COMPLETE | DPM_FLAG_SMART_SUSPEND);
	pm_runtime_set_autosuspend_delay(dev, 100);
	pm_runtime_use_autosuspend(dev);
	pm_runtime_mark_last_busy(dev);
	pm_runtime_put_autosuspend(dev);
	pm_runtime_allow(dev);
	return 0;
}

static void root_port_remove(struct pci_dev *pdev)
{
	struct device *dev = &pdev->dev;

	pm_runtime_forbid(dev);
	pm_runtime_get_noresume(dev);
	pm_runtime_dont_use_autosuspend(dev);
}

static int root_port_runtime(struct device *dev)
{
	return 0;
}

static const struct dev_pm_ops root_port_pm_ops = {
	.runtime_suspend = root_port_runtime,
	.runtime_resume	= root_port_runtime,
};

static const struct pci_device_id root_port_ids[] = {
	{ PCI_DEVICE_CLASS(PCI_CLASS_BRIDGE_PCI_NORMAL, ~0) },
	{ }
};

static struct pci_driver root_port_driver = {
	.name		= "root_port",
	.id_table	= root_port_ids,
	.probe		= root_port_probe,
	.remove		= root_port_remove,
	.driver_managed_dma = true,
	.driver.pm	= &root_port_pm_ops,
};
module_pci_driver(root_port_driver);

MODULE_DESCRIPTION("Power of PCIe root ports");
MODULE_LICENSE("GPL");
