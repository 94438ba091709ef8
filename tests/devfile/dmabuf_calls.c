// SPDX-License-Identifier: GPL-2.0
/*
 * What has to come of the requests about dma-bufs. Distributions' C drivers are built without them.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/udmabuf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xen/sys/gntdev.h>

#include "check.h"

/* Room for two references. */
struct export {
	struct ioctl_gntdev_dmabuf_exp_from_refs op;
	uint32_t more[1];
};

static int wait_released(int fd, uint32_t buffer, uint32_t ms)
{
	struct ioctl_gntdev_dmabuf_exp_wait_released wait = { .fd = buffer, .wait_to_ms = ms };

	return ioctl(fd, IOCTL_GNTDEV_DMABUF_EXP_WAIT_RELEASED, &wait);
}

static int release(int fd, uint32_t buffer)
{
	struct ioctl_gntdev_dmabuf_imp_release release = { .fd = buffer };

	return ioctl(fd, IOCTL_GNTDEV_DMABUF_IMP_RELEASE, &release);
}

static int sync_buffer(int buffer, uint64_t flags)
{
	struct dma_buf_sync sync = { .flags = flags };

	return ioctl(buffer, DMA_BUF_IOCTL_SYNC, &sync);
}

/* A structure that ends in a list, at the very end of memory, so that only the first of the list is there. */
static void *at_the_end(const void *from, size_t len)
{
	char *pages = map(-1, 2, MAP_PRIVATE | MAP_ANONYMOUS, 0);

	munmap(pages + PAGE, PAGE);
	return memcpy(pages + PAGE - len, from, len);
}

/* Grants as a buffer: what is wrong. Only in domains that are not PV. */
static void bad_exports(int fd)
{
	struct export export = { .op.refs = { 0x7ffffffe } };

	export.op.count = 0;
	CHECK(ioctl(fd, IOCTL_GNTDEV_DMABUF_EXP_FROM_REFS, &export), -EINVAL);
	export.op.count = 1 << 30;
	CHECK(ioctl(fd, IOCTL_GNTDEV_DMABUF_EXP_FROM_REFS, &export), -EINVAL);
	export.op.count = 2;
	CHECK(ioctl(fd, IOCTL_GNTDEV_DMABUF_EXP_FROM_REFS, at_the_end(&export, sizeof(export.op))), -EFAULT);
	export.op.flags = GNTDEV_DMA_FLAG_WC | GNTDEV_DMA_FLAG_COHERENT;
	CHECK(ioctl(fd, IOCTL_GNTDEV_DMABUF_EXP_FROM_REFS, &export), -EINVAL);
	/* C's driver with dma-bufs has an allocator for these; ours has none, and says what C's says without. */
	if (is_ours()) {
		export.op.flags = GNTDEV_DMA_FLAG_WC;
		CHECK(ioctl(fd, IOCTL_GNTDEV_DMABUF_EXP_FROM_REFS, &export), -ENOTTY);
		export.op.flags = GNTDEV_DMA_FLAG_COHERENT | 1 << 9;
		CHECK(ioctl(fd, IOCTL_GNTDEV_DMABUF_EXP_FROM_REFS, &export), -ENOTTY);
	}
	/* Flags that nobody knows are ignored. The second grant there is not. */
	export.op.flags = 1 << 9;
	export.more[0] = 0x7fffffff;
	CHECK(ioctl(fd, IOCTL_GNTDEV_DMABUF_EXP_FROM_REFS, &export), -EINVAL);
}

/* And which file sees which buffer, and hears of its release. */
static void good_exports(int fd, const struct granted *granted)
{
	struct export export = {
		.op = { .count = 2, .fd = -1, .domid = granted->domain, .refs = { granted->refs[0] } }, .more = { granted->refs[1] },
	};
	unsigned char *area;
	pid_t child;
	int buffer;

	CHECK(ioctl(fd, IOCTL_GNTDEV_DMABUF_EXP_FROM_REFS, &export), 0);
	buffer = export.op.fd;
	CHECK(fcntl(buffer, F_GETFD), FD_CLOEXEC);
	CHECK(lseek(buffer, 0, SEEK_END), 2 * PAGE);
	CHECK(release(fd, buffer), -ENOENT);
	CHECK(wait_released(fd, buffer, 0), -ETIMEDOUT);
	CHECK(wait_released(fd, buffer, 20), -ETIMEDOUT);
	CHECK(wait_released(fd, fd, 0), -ENOENT);
	CHECK(sync_buffer(buffer, DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW), 0);
	CHECK(sync_buffer(buffer, DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW), 0);
	CHECK(sync_buffer(buffer, DMA_BUF_SYNC_START), -EINVAL);

	/* Only ours can be mapped; an area has a share in the buffer. */
	if (is_ours()) {
		UNMAPPED(map(buffer, 1, MAP_PRIVATE, 0), -EINVAL);
		UNMAPPED(map(buffer, 3, MAP_SHARED, 0), -EINVAL);
		UNMAPPED(map(buffer, 2, MAP_SHARED, PAGE), -EINVAL);
		area = map(buffer, 2, MAP_SHARED, 0);
		MAPPED(area);
		if (area != MAP_FAILED) {
			for (int byte = 0; byte < 2 * PAGE; byte++)
				granted->area[byte] = byte % 249;
			CHECK(sync_buffer(buffer, DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW), 0);
			TRUE(!memcmp(area, granted->area, 2 * PAGE));
			for (int byte = 0; byte < 2 * PAGE; byte++)
				area[byte] = byte % 241;
			CHECK(sync_buffer(buffer, DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW), 0);
			TRUE(!memcmp(area, granted->area, 2 * PAGE));
			CHECK(munmap(area, PAGE), 0);
			close(buffer);
			CHECK(wait_released(fd, buffer, 20), -ETIMEDOUT);
			granted->area[PAGE + 1] = 77;
			TRUE(area[PAGE + 1] == 77);
			CHECK(munmap(area + PAGE, PAGE), 0);
		}
	} else {
		UNMAPPED(map(buffer, 2, MAP_SHARED, 0), -EINVAL);
		close(buffer);
	}
	/* The last one gives it back before its call is over. */
	CHECK(wait_released(fd, buffer, 1000), -ENOENT);

	/* Somebody else has it a little longer. */
	export.op.flags = 0;
	CHECK(ioctl(fd, IOCTL_GNTDEV_DMABUF_EXP_FROM_REFS, &export), 0);
	buffer = export.op.fd;
	child = fork();
	if (!child) {
		usleep(300000);
		_exit(0);
	}
	close(buffer);
	CHECK(wait_released(fd, buffer, 10), -ETIMEDOUT);
	CHECK(wait_released(fd, buffer, 20000), 0);
	CHECK(wait_released(fd, buffer, -1), -ENOENT);
	CHECK(waitpid(child, NULL, 0), child);
}

/* A buffer of two pages that are those of a file in memory; -1 if the kernel makes none. */
static int udmabuf(int *file)
{
	struct udmabuf_create create = { .flags = UDMABUF_FLAGS_CLOEXEC, .size = 2 * PAGE };
	int fd = open("/dev/udmabuf", O_RDWR | O_CLOEXEC), buffer = -1;

	if (fd < 0)
		return -1;
	*file = create.memfd = memfd_create("calls", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (!ftruncate(*file, 2 * PAGE) && !fcntl(*file, F_ADD_SEALS, F_SEAL_SHRINK))
		buffer = ioctl(fd, UDMABUF_CREATE, &create);
	close(fd);
	return buffer;
}

/* A buffer of another driver's is granted to this domain, which maps the grants, and keeps them a while. */
static void dmabuf_imports(int fd, bool pv)
{
	struct {
		struct ioctl_gntdev_dmabuf_imp_to_refs op;
		uint32_t more[1];
	} import = { .op.fd = -1, .op.count = 2 };
	struct {
		struct ioctl_gntdev_map_grant_ref op;
		struct ioctl_gntdev_grant_ref more;
	} grant = { .op.count = 2 };
	struct ioctl_gntdev_unmap_grant_ref unmap = { .count = 2 };
	unsigned char *memory, *area;
	int file, buffer;

	import.op.count = 0;
	CHECK(ioctl(fd, IOCTL_GNTDEV_DMABUF_IMP_TO_REFS, &import), -EINVAL);
	import.op.count = 1 << 30;
	CHECK(ioctl(fd, IOCTL_GNTDEV_DMABUF_IMP_TO_REFS, &import), -EINVAL);
	import.op.count = 2;
	CHECK(ioctl(fd, IOCTL_GNTDEV_DMABUF_IMP_TO_REFS, &import), -EBADF);
	import.op.fd = fd;
	CHECK(ioctl(fd, IOCTL_GNTDEV_DMABUF_IMP_TO_REFS, &import), -EINVAL);
	CHECK(release(fd, fd), -ENOENT);
	CHECK(release(fd, -1), -ENOENT);

	buffer = udmabuf(&file);
	if (buffer < 0) {
		printf("no /dev/udmabuf: importing a buffer is not tried\n");
		return;
	}
	memory = map(file, 2, MAP_SHARED, 0);
	MAPPED(memory);
	import.op.fd = buffer;
	for (int wrong_count = 1; wrong_count <= 3; wrong_count += 2) {
		import.op.count = wrong_count;
		CHECK(ioctl(fd, IOCTL_GNTDEV_DMABUF_IMP_TO_REFS, &import), -EINVAL);
	}
	import.op.count = 2;
	CHECK(ioctl(fd, IOCTL_GNTDEV_DMABUF_IMP_TO_REFS, at_the_end(&import, sizeof(import.op))), -EFAULT);
	CHECK(release(fd, buffer), -ENOENT);
	/* In a PV domain C's driver grants a copy of what is not in one piece, or some other page. */
	if (pv && !is_ours())
		return;
	CHECK(ioctl(fd, IOCTL_GNTDEV_DMABUF_IMP_TO_REFS, &import), 0);
	CHECK(wait_released(fd, buffer, 0), -ENOENT);
	grant.op.refs[0].ref = import.op.refs[0];
	grant.more.ref = import.more[0];
	TRUE(grant.op.refs[0].ref && grant.more.ref && grant.op.refs[0].ref != grant.more.ref);
	if (!pv) {
		/* Mapping them would take the pages away from where the kernel has them: see calls.c. */
		CHECK(release(fd, buffer), 0);
		CHECK(release(fd, buffer), -ENOENT);
		close(buffer);
		close(file);
		CHECK(munmap(memory, 2 * PAGE), 0);
		return;
	}
	CHECK(ioctl(fd, IOCTL_GNTDEV_MAP_GRANT_REF, &grant), 0);
	area = map(fd, 2, MAP_SHARED, grant.op.index);
	MAPPED(area);
	for (int byte = 0; byte < 2 * PAGE; byte++)
		memory[byte] = byte % 239;
	TRUE(area == MAP_FAILED || !memcmp(memory, area, 2 * PAGE));
	/* What is mapped stays what it is. */
	CHECK(release(fd, buffer), 0);
	CHECK(release(fd, buffer), -ENOENT);
	close(buffer);
	close(file);
	if (area != MAP_FAILED) {
		for (int byte = 0; byte < 2 * PAGE; byte++)
			area[byte] = byte % 233;
		TRUE(!memcmp(memory, area, 2 * PAGE));
		CHECK(munmap(area, 2 * PAGE), 0);
	}
	unmap.index = grant.op.index;
	CHECK(ioctl(fd, IOCTL_GNTDEV_UNMAP_GRANT_REF, &unmap), 0);
	CHECK(munmap(memory, 2 * PAGE), 0);
	/* Ending access is tried again every second. */
	sleep(3);
}

void dmabuf_calls(const struct granted *granted)
{
	bool pv = is_pv(), ours = is_ours();
	int fd = open_device("gntdev", 0);
	/* Distributions' kernels are built without XEN_GNTDEV_DMABUF, which ours does not need. */
	bool none = !ours && ioctl(fd, IOCTL_GNTDEV_DMABUF_IMP_RELEASE, NULL) < 0 && errno == ENOTTY;

	errno = 0;
	CHECK(ioctl(fd, IOCTL_GNTDEV_DMABUF_EXP_FROM_REFS, NULL), none ? -ENOTTY : pv ? -EINVAL : -EFAULT);
	CHECK(ioctl(fd, IOCTL_GNTDEV_DMABUF_EXP_WAIT_RELEASED, NULL), none ? -ENOTTY : -EFAULT);
	CHECK(ioctl(fd, IOCTL_GNTDEV_DMABUF_IMP_TO_REFS, NULL), none ? -ENOTTY : -EFAULT);
	CHECK(ioctl(fd, IOCTL_GNTDEV_DMABUF_IMP_RELEASE, NULL), none ? -ENOTTY : -EFAULT);
	if (!none) {
		CHECK(wait_released(fd, 0, 0), -ENOENT);
		CHECK(wait_released(fd, -1, -1), -ENOENT);
		if (!pv)
			bad_exports(fd);
		if (!pv && granted)
			good_exports(fd, granted);
		dmabuf_imports(fd, pv);
	}
	close(fd);
}
