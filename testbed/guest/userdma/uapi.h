/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the program takes from the headers of the kernel that it runs on, by
 * way of bindgen.
 */
#include <linux/iommufd.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>

/* bindgen does not evaluate macros with arguments; the compiler does. */
enum userdma_ioctl {
	USERDMA_BIND_IOMMUFD = VFIO_DEVICE_BIND_IOMMUFD,
	USERDMA_ATTACH = VFIO_DEVICE_ATTACH_IOMMUFD_PT,
	USERDMA_DETACH = VFIO_DEVICE_DETACH_IOMMUFD_PT,
	USERDMA_REGION_INFO = VFIO_DEVICE_GET_REGION_INFO,
	USERDMA_DESTROY = IOMMU_DESTROY,
	USERDMA_IOAS_ALLOC = IOMMU_IOAS_ALLOC,
	USERDMA_IOAS_MAP = IOMMU_IOAS_MAP,
	USERDMA_IOAS_UNMAP = IOMMU_IOAS_UNMAP,
	USERDMA_IOAS_IOVA_RANGES = IOMMU_IOAS_IOVA_RANGES,
	USERDMA_HWPT_ALLOC = IOMMU_HWPT_ALLOC,
};
