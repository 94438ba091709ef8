// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of DMA in a PV domain, without a device. They call the kernel's DMA interface, which may be
 * implemented in C or in Rust, and access memory as a device would: by the machine addresses that
 * the interface returns.
 *
 * Written in C, so that the Rust code is not tested with its own types. Loading the module runs the
 * tests; the results are in the kernel's log, one line for each case, "done" at the end.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/dma-mapping.h>
#include <linux/gfp.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include <xen/page.h>
#include <xen/xen.h>

static bool bench;
module_param(bench, bool, 0);
MODULE_PARM_DESC(bench, "measure what mapping and unmapping a page takes, and run no test");

static struct device *dev;
static unsigned int passed, failed;

static u64 mask_of(unsigned int bits)
{
	return DMA_BIT_MASK(bits);
}

/* What a device sees at a machine address, which must be this domain's. */
static void *seen(dma_addr_t at)
{
	unsigned long pfn = bfn_to_local_pfn(PFN_DOWN(at));

	if (!pfn_valid(pfn))
		return NULL;
	return __va(PFN_PHYS(pfn)) + offset_in_page(at);
}

static u8 byte_of(size_t i, u8 seed)
{
	return (u8)(i * 7 + (i >> 8) * 13 + (i >> 16) * 29 + seed);
}

static void fill(u8 *to, size_t size, u8 seed)
{
	for (size_t i = 0; i < size; i++)
		to[i] = byte_of(i, seed);
}

static bool holds(const u8 *at, size_t size, u8 seed)
{
	for (size_t i = 0; i < size; i++)
		if (at[i] != byte_of(i, seed))
			return false;
	return true;
}

/* The bytes of a page that begin at a machine address. */
static size_t in_page(dma_addr_t at, size_t size)
{
	return min_t(size_t, size, PAGE_SIZE - offset_in_page(at));
}

/* The same where the device looks: page by page, each at the machine address that follows. */
static bool device_sees(dma_addr_t at, size_t size, u8 seed)
{
	size_t i = 0;

	while (i < size) {
		size_t end = i + in_page(at + i, size - i);
		u8 *byte = seen(at + i);

		if (!byte)
			return false;
		for (; i < end; i++)
			if (*byte++ != byte_of(i, seed))
				return false;
	}
	return true;
}

static bool device_writes(dma_addr_t at, size_t from, size_t size, u8 seed)
{
	size_t i = from;

	while (i < from + size) {
		size_t end = i + in_page(at + i, from + size - i);
		u8 *byte = seen(at + i);

		if (!byte)
			return false;
		for (; i < end; i++)
			*byte++ = byte_of(i, seed);
	}
	return true;
}

static void result(const char *name, unsigned long n, unsigned int bits, const char *why)
{
	if (why) {
		failed++;
		pr_info("FAILED %s %lu bits %u: %s\n", name, n, bits, why);
	} else {
		passed++;
		pr_info("ok %s %lu bits %u\n", name, n, bits);
	}
}

/*
 * Allocates a buffer whose first page is above 4 GiB in the machine. Buffers that are allocated
 * during the search are freed at the end.
 */
static void *high_buffer(unsigned int order)
{
	void *kept[64], *found = NULL;
	unsigned int n = 0;

	while (!found && n < ARRAY_SIZE(kept)) {
		void *buffer = (void *)__get_free_pages(GFP_KERNEL, order);

		if (!buffer)
			break;
		if (PFN_PHYS(pfn_to_mfn(PFN_DOWN(__pa(buffer)))) > U32_MAX)
			found = buffer;
		else
			kept[n++] = buffer;
	}
	while (n)
		free_pages((unsigned long)kept[--n], order);
	return found;
}

static const char *stream_to(u8 *buffer, size_t size, unsigned int bits)
{
	const char *why = NULL;
	dma_addr_t at;

	fill(buffer, size, 1);
	at = dma_map_single_attrs(dev, buffer, size, DMA_TO_DEVICE, DMA_ATTR_NO_WARN);
	if (dma_mapping_error(dev, at))
		return "cannot be mapped";
	if (at + size - 1 > mask_of(bits))
		why = "beyond the device's reach";
	else if (!device_sees(at, size, 1))
		why = "the device sees something else";
	fill(buffer, size, 2);
	dma_sync_single_for_device(dev, at, size, DMA_TO_DEVICE);
	if (!why && !device_sees(at, size, 2))
		why = "a change does not reach the device";
	dma_unmap_single(dev, at, size, DMA_TO_DEVICE);
	if (!why && !holds(buffer, size, 2))
		why = "the buffer has changed";
	return why;
}

static const char *stream_from(u8 *buffer, size_t size)
{
	size_t half = size / 2;
	const char *why = NULL;
	dma_addr_t at;

	fill(buffer, size, 3);
	at = dma_map_single_attrs(dev, buffer, size, DMA_FROM_DEVICE, DMA_ATTR_NO_WARN);
	if (dma_mapping_error(dev, at))
		return "cannot be mapped";
	/*
	 * If the device writes nothing, the buffer must keep its content, and must not get that of
	 * the bounce buffer.
	 */
	dma_sync_single_for_cpu(dev, at, size, DMA_FROM_DEVICE);
	if (!holds(buffer, size, 3))
		why = "a device that wrote nothing has changed it";
	if (!device_writes(at, half, size - half, 4))
		why = "the device has no memory there";
	dma_sync_single_for_cpu(dev, at + half, size - half, DMA_FROM_DEVICE);
	for (size_t i = half; i < size && !why; i++)
		if (buffer[i] != byte_of(i, 4))
			why = "a part the device wrote does not arrive";
	device_writes(at, 0, size, 5);
	dma_unmap_single(dev, at, size, DMA_FROM_DEVICE);
	if (!why && !holds(buffer, size, 5))
		why = "what the device wrote does not arrive";
	return why;
}

static void streaming(unsigned int bits, size_t size, size_t offset)
{
	unsigned int order = get_order(size + offset);
	u8 *pages = high_buffer(order);
	const char *why;

	if (!pages) {
		result("streaming", size, bits, "no memory above 4 GiB was found");
		return;
	}
	dma_set_mask(dev, mask_of(bits));
	why = stream_to(pages + offset, size, bits);
	if (!why)
		why = stream_from(pages + offset, size);
	result("streaming", size, bits, why);
	free_pages((unsigned long)pages, order);
}

#define ENTRIES 40

static void scatterlist(unsigned int bits)
{
	static const unsigned int length[] = { 512, 4096, 3000, 8192, 65536, 1, 131072, 4095 };
	struct scatterlist *sg;
	struct sg_table table;
	const char *why = NULL;
	int i;

	if (sg_alloc_table(&table, ENTRIES, GFP_KERNEL)) {
		result("scatterlist", ENTRIES, bits, "no memory");
		return;
	}
	for_each_sgtable_sg(&table, sg, i) {
		unsigned int size = length[i % ARRAY_SIZE(length)];
		u8 *pages = high_buffer(get_order(size));

		if (!pages) {
			why = "no memory above 4 GiB was found";
			sg_set_page(sg, NULL, 0, 0);
			continue;
		}
		fill(pages, size, i);
		sg_set_buf(sg, pages, size);
	}
	dma_set_mask(dev, mask_of(bits));
	if (!why && dma_map_sgtable(dev, &table, DMA_BIDIRECTIONAL, DMA_ATTR_NO_WARN))
		why = "cannot be mapped";
	if (why)
		goto out;
	for_each_sgtable_dma_sg(&table, sg, i) {
		if (sg_dma_address(sg) + sg_dma_len(sg) - 1 > mask_of(bits))
			why = "beyond the device's reach";
		else if (!device_sees(sg_dma_address(sg), sg_dma_len(sg), i))
			why = "the device sees something else";
		device_writes(sg_dma_address(sg), 0, sg_dma_len(sg), i + 100);
	}
	dma_sync_sgtable_for_cpu(dev, &table, DMA_BIDIRECTIONAL);
	dma_unmap_sgtable(dev, &table, DMA_BIDIRECTIONAL, 0);
	for_each_sgtable_sg(&table, sg, i)
		if (!why && !holds(sg_virt(sg), sg->length, i + 100))
			why = "what the device wrote does not arrive";
out:
	result("scatterlist", ENTRIES, bits, why);
	for_each_sgtable_sg(&table, sg, i)
		if (sg->length)
			free_pages((unsigned long)sg_virt(sg), get_order(sg->length));
	sg_free_table(&table);
}

static void coherent(unsigned int bits, unsigned int order)
{
	size_t size = PAGE_SIZE << order;
	const char *why = NULL;
	dma_addr_t at;
	u8 *memory;

	dma_set_coherent_mask(dev, mask_of(bits));
	memory = dma_alloc_coherent(dev, size, &at, GFP_KERNEL | __GFP_NOWARN);
	if (!memory) {
		result("coherent", size, bits, "cannot be allocated");
		return;
	}
	if (memchr_inv(memory, 0, size))
		why = "not zeroed";
	else if (at + size - 1 > mask_of(bits))
		why = "beyond the device's reach";
	else if (at & (size - 1))
		why = "not aligned";
	fill(memory, size, 6);
	if (!why && !device_sees(at, size, 6))
		why = "the device sees something else";
	device_writes(at, 0, size, 7);
	if (!why && !holds(memory, size, 7))
		why = "what the device wrote does not arrive";
	dma_free_coherent(dev, size, memory, at);
	result("coherent", size, bits, why);
}

/* The pool is 64 MiB as a rule: this is more than any has. */
#define MANY 8192
#define PIECE (256 << 10)

static void exhaustion(void)
{
	dma_addr_t *at = vcalloc(MANY, sizeof(*at));
	unsigned int order = get_order(PIECE), n;
	u8 *buffer = high_buffer(order);
	const char *why = NULL;

	dma_set_mask(dev, mask_of(32));
	if (!at || !buffer) {
		result("exhaustion", 0, 32, "no memory");
		goto out;
	}
	for (n = 0; n < MANY; n++) {
		at[n] = dma_map_single_attrs(dev, buffer, PIECE, DMA_TO_DEVICE, DMA_ATTR_NO_WARN);
		if (dma_mapping_error(dev, at[n]))
			break;
	}
	if (n == MANY)
		why = "the pool has no end";
	else if (n < 8)
		why = "the pool is empty from the start";
	for (unsigned int i = 0; i < n; i++)
		dma_unmap_single(dev, at[i], PIECE, DMA_TO_DEVICE);
	result("exhaustion", n, 32, why);
	why = stream_to(buffer, PIECE, 32);
	result("recovery", n, 32, why);
out:
	free_pages((unsigned long)buffer, order);
	vfree(at);
}

/* Nanoseconds for one mapping and its end, the best of some rounds. */
static u64 measure(void *buffer, size_t size, unsigned int count)
{
	u64 best = U64_MAX;

	for (unsigned int round = 0; round < 7; round++) {
		u64 start = ktime_get_ns();

		for (unsigned int i = 0; i < count; i++) {
			dma_addr_t at = dma_map_single(dev, buffer, size, DMA_TO_DEVICE);

			if (dma_mapping_error(dev, at))
				return 0;
			dma_unmap_single(dev, at, size, DMA_TO_DEVICE);
		}
		best = min(best, ktime_get_ns() - start);
		cond_resched();
	}
	return best / count;
}

static u64 measure_list(struct sg_table *table, unsigned int count)
{
	u64 best = U64_MAX;

	for (unsigned int round = 0; round < 7; round++) {
		u64 start = ktime_get_ns();

		for (unsigned int i = 0; i < count; i++) {
			if (dma_map_sgtable(dev, table, DMA_TO_DEVICE, 0))
				return 0;
			dma_unmap_sgtable(dev, table, DMA_TO_DEVICE, 0);
		}
		best = min(best, ktime_get_ns() - start);
		cond_resched();
	}
	return best / count;
}

static void benchmark(void)
{
	static const unsigned int sizes[] = { 1, 16, 32 };
	struct sg_table table;
	struct scatterlist *sg;
	int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		unsigned int order = get_order(sizes[i] << PAGE_SHIFT);
		void *buffer = high_buffer(order);

		if (!buffer)
			continue;
		dma_set_mask(dev, mask_of(64));
		pr_info("bench direct pages %u ns %llu\n", sizes[i],
			measure(buffer, sizes[i] << PAGE_SHIFT, 100000 / sizes[i]));
		dma_set_mask(dev, mask_of(32));
		pr_info("bench bounced pages %u ns %llu\n", sizes[i],
			measure(buffer, sizes[i] << PAGE_SHIFT, 10000 / sizes[i]));
		free_pages((unsigned long)buffer, order);
	}
	dma_set_mask(dev, mask_of(64));
	if (sg_alloc_table(&table, 64, GFP_KERNEL))
		return;
	for_each_sgtable_sg(&table, sg, i)
		sg_set_page(sg, alloc_page(GFP_KERNEL | __GFP_NOFAIL), PAGE_SIZE, 0);
	pr_info("bench list pages 64 ns %llu\n", measure_list(&table, 2000));
	for_each_sgtable_sg(&table, sg, i)
		__free_page(sg_page(sg));
	sg_free_table(&table);
}

static void tests(void)
{
	static const size_t sizes[] = { 1, 100, 4096, 65536, PIECE };
	static const size_t large[] = { PIECE + 1, 1 << 20, 2 << 20 };
	static const unsigned int bits[] = { 64, 32 };

	for (int b = 0; b < ARRAY_SIZE(bits); b++) {
		for (int i = 0; i < ARRAY_SIZE(sizes); i++) {
			streaming(bits[b], sizes[i], 0);
			if (sizes[i] < PIECE)
				streaming(bits[b], sizes[i], 1000);
		}
		scatterlist(bits[b]);
		for (unsigned int order = 0; order <= MAX_PAGE_ORDER; order++)
			coherent(bits[b], order);
	}
	/* Larger than any buffer of the pool: the C object fails these. */
	for (int i = 0; i < ARRAY_SIZE(large); i++)
		streaming(32, large[i], 0);
	exhaustion();
}

static int __init xen_dma_test_init(void)
{
	struct platform_device *pdev;

	if (!xen_pv_domain())
		return -ENODEV;
	pdev = platform_device_register_simple(KBUILD_MODNAME, PLATFORM_DEVID_NONE, NULL, 0);
	if (IS_ERR(pdev))
		return PTR_ERR(pdev);
	dev = &pdev->dev;
	if (bench)
		benchmark();
	else
		tests();
	pr_info("done: %u passed, %u failed\n", passed, failed);
	platform_device_unregister(pdev);
	return 0;
}

static void __exit xen_dma_test_exit(void)
{
}

module_init(xen_dma_test_init);
module_exit(xen_dma_test_exit);

MODULE_DESCRIPTION("Tests of DMA in a Xen PV domain");
MODULE_LICENSE("GPL");
