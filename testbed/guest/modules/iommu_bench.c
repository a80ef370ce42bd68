// SPDX-License-Identifier: GPL-2.0
/*
 * Makes an IOMMU driver work, while its costs are counted from outside:
 *
 *   echo map 4096 100 fea27000.fcp > /sys/module/iommu_bench/parameters/run
 *
 * map      maps a buffer for DMA by the device, and unmaps it
 * list     the same with a scatter-gather list of single pages
 * attach   allocates a domain, attaches the device and all others of its group,
 *          detaches them, frees the domain
 * move     allocates a domain, and moves the device alone there from its mapping of
 *          32-bit Arm, and back
 * block    as attach, and in between maps memory at its own address, which no
 *          device accesses, and unmaps it
 * bare     maps and unmaps in an IO page table of its own, which no driver sees
 * table    allocates such a table, and frees it
 *
 * The first number is the size of what is mapped, the second one how often it is
 * done. Before each time, and after the last, iommu_bench_lap() is called.
 *
 * In C, because the kernel crate has neither the DMA API of mappings that come
 * and go, nor domains.
 */

#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/gfp.h>
#include <linux/io-pgtable.h>
#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/scatterlist.h>
#include <linux/sizes.h>
#ifdef CONFIG_ARM_DMA_USE_IOMMU
#include <asm/dma-iommu.h>
#endif

/* The device that reads the page tables on this board. */
#define ROOT "e67b0000.iommu"

struct bench {
	struct device *dev;
	struct page *page;
	size_t size;
	struct io_pgtable_cfg cfg;
	struct io_pgtable_ops *ops;
};

/* The plugin looks for calls of this. */
static noinline void iommu_bench_lap(void)
{
	barrier();
}

static int bench_map(struct bench *b)
{
	dma_addr_t addr = dma_map_page(b->dev, b->page, 0, b->size, DMA_BIDIRECTIONAL);

	if (dma_mapping_error(b->dev, addr))
		return -ENOMEM;
	dma_unmap_page(b->dev, addr, b->size, DMA_BIDIRECTIONAL);
	return 0;
}

static int bench_list(struct bench *b)
{
	struct sg_table table;
	struct scatterlist *sg;
	int i, ret;

	ret = sg_alloc_table(&table, b->size / SZ_4K, GFP_KERNEL);
	if (ret)
		return ret;
	/* Backwards, so that no two of them are one. */
	for_each_sg(table.sgl, sg, table.orig_nents, i)
		sg_set_page(sg, b->page + table.orig_nents - 1 - i, SZ_4K, 0);
	ret = dma_map_sgtable(b->dev, &table, DMA_BIDIRECTIONAL, 0);
	if (!ret)
		dma_unmap_sgtable(b->dev, &table, DMA_BIDIRECTIONAL, 0);
	sg_free_table(&table);
	return ret;
}

static int bench_attached(struct bench *b, int (*work)(struct bench *b, struct iommu_domain *domain))
{
	struct iommu_group *group = iommu_group_get(b->dev);
	struct iommu_domain *domain;
	int ret;

	if (!group)
		return -ENODEV;
	domain = iommu_paging_domain_alloc(b->dev);
	if (IS_ERR(domain)) {
		iommu_group_put(group);
		return PTR_ERR(domain);
	}
	ret = iommu_attach_group(domain, group);
	if (!ret) {
		ret = work ? work(b, domain) : 0;
		iommu_detach_group(domain, group);
	}
	iommu_domain_free(domain);
	iommu_group_put(group);
	return ret;
}

static int bench_attach(struct bench *b)
{
	return bench_attached(b, NULL);
}

#ifdef CONFIG_ARM_DMA_USE_IOMMU
static int bench_move(struct bench *b)
{
	struct dma_iommu_mapping *mapping = to_dma_iommu_mapping(b->dev);
	struct iommu_domain *domain;
	int ret;

	if (!mapping)
		return -ENODEV;
	domain = iommu_paging_domain_alloc(b->dev);
	if (IS_ERR(domain))
		return PTR_ERR(domain);
	/* As the core moves a function that is reset: no call of its own does it here. */
	ret = domain->ops->attach_dev(domain, b->dev, mapping->domain);
	if (!ret)
		ret = mapping->domain->ops->attach_dev(mapping->domain, b->dev, domain);
	iommu_domain_free(domain);
	return ret;
}
#else
static int bench_move(struct bench *b)
{
	return -EOPNOTSUPP;
}
#endif

static int bench_map_block(struct bench *b, struct iommu_domain *domain)
{
	int ret = iommu_map(domain, SZ_1G, SZ_1G, b->size, IOMMU_READ, GFP_KERNEL);

	if (!ret && iommu_unmap(domain, SZ_1G, b->size) != b->size)
		ret = -EIO;
	return ret;
}

static int bench_block(struct bench *b)
{
	return bench_attached(b, bench_map_block);
}

static int bench_bare(struct bench *b)
{
	size_t count = b->size / SZ_4K, mapped = 0;
	/* As the DMA API does: from the top, below 4 GiB. */
	unsigned long iova = SZ_4G - b->size;
	int ret;

	ret = b->ops->map_pages(b->ops, iova, page_to_phys(b->page), SZ_4K, count,
				IOMMU_READ | IOMMU_WRITE, GFP_ATOMIC, &mapped);
	if (!ret && b->ops->unmap_pages(b->ops, iova, SZ_4K, count, NULL) != b->size)
		ret = -EIO;
	return ret;
}

static void bench_flush_all(void *cookie)
{
}

static void bench_flush_walk(unsigned long iova, size_t size, size_t granule, void *cookie)
{
}

static const struct iommu_flush_ops bench_flush_ops = {
	.tlb_flush_all = bench_flush_all,
	.tlb_flush_walk = bench_flush_walk,
};

static int bench_new_table(struct bench *b)
{
	/* What both drivers ask for. */
	b->cfg = (struct io_pgtable_cfg) {
		.quirks = IO_PGTABLE_QUIRK_ARM_NS,
		.pgsize_bitmap = SZ_4K | SZ_2M | SZ_1G,
		.ias = 32,
		.oas = 40,
		.tlb = &bench_flush_ops,
		.iommu_dev = bus_find_device_by_name(&platform_bus_type, NULL, ROOT),
	};
	if (!b->cfg.iommu_dev)
		return -ENODEV;
	b->ops = alloc_io_pgtable_ops(ARM_32_LPAE_S1, &b->cfg, b);
	if (!b->ops)
		put_device(b->cfg.iommu_dev);
	return b->ops ? 0 : -ENOMEM;
}

static void bench_free_table(struct bench *b)
{
	free_io_pgtable_ops(b->ops);
	put_device(b->cfg.iommu_dev);
	b->ops = NULL;
}

static int bench_table(struct bench *b)
{
	int ret = bench_new_table(b);

	if (!ret)
		bench_free_table(b);
	return ret;
}

static const struct {
	const char *name;
	int (*once)(struct bench *b);
	bool needs_pages, needs_table;
} cases[] = {
	{ "map", bench_map, .needs_pages = true },
	{ "list", bench_list, .needs_pages = true },
	{ "attach", bench_attach },
	{ "move", bench_move },
	{ "block", bench_block },
	{ "bare", bench_bare, .needs_pages = true, .needs_table = true },
	{ "table", bench_table },
};

static int bench_repeat(struct bench *b, int which, unsigned int count)
{
	int ret = 0;

	if (cases[which].needs_pages) {
		b->page = alloc_pages(GFP_KERNEL, get_order(b->size));
		ret = b->page ? 0 : -ENOMEM;
	}
	if (!ret && cases[which].needs_table)
		ret = bench_new_table(b);
	while (!ret && count--) {
		iommu_bench_lap();
		ret = cases[which].once(b);
	}
	iommu_bench_lap();
	if (b->ops)
		bench_free_table(b);
	if (b->page)
		__free_pages(b->page, get_order(b->size));
	return ret;
}

static int bench_run(const char *name, unsigned int count, struct bench *b)
{
	for (int i = 0; i < ARRAY_SIZE(cases); i++) {
		if (!strcmp(name, cases[i].name))
			return bench_repeat(b, i, count);
	}
	return -EINVAL;
}

static int run_set(const char *text, const struct kernel_param *unused)
{
	char name[16], device[40];
	unsigned int count;
	struct bench b = {};
	int ret;

	if (sscanf(text, "%15s %zu %u %39s", name, &b.size, &count, device) != 4 ||
	    !b.size || b.size % SZ_4K)
		return -EINVAL;
	b.dev = bus_find_device_by_name(&platform_bus_type, NULL, device);
	if (!b.dev)
		return -ENODEV;
	ret = bench_run(name, count, &b);
	put_device(b.dev);
	return ret;
}

static const struct kernel_param_ops run_ops = {
	.set = run_set,
};
module_param_cb(run, &run_ops, NULL, 0200);
MODULE_PARM_DESC(run, "What to do: CASE SIZE COUNT DEVICE");

MODULE_DESCRIPTION("Work for an IOMMU driver");
MODULE_LICENSE("GPL");
