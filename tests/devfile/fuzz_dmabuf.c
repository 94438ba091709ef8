// SPDX-License-Identifier: GPL-2.0
/*
 * devfile-fuzz's requests about dma-bufs.
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/udmabuf.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xen/sys/gntdev.h>

#include "check.h"
#include "fuzz.h"

/* Buffers: those that stay, of the kernel's, and those that gntdev has made, which are closed by the thread that takes them out. */
int stay[STAY] = { -1, -1 };
static int made[8] = { -1, -1, -1, -1, -1, -1, -1, -1 };

int made_buffer(void)
{
	return made[pick(COUNT(made))];
}

static int buffer(void)
{
	return pick(3) ? stay[pick(COUNT(stay))] : pick(8) ? made_buffer() : (int)number();
}

void dmabuf(int fd)
{
	struct {
		struct ioctl_gntdev_dmabuf_exp_from_refs op;
		uint32_t more[7];
	} export = {
		.op = { .flags = pick(4) ? 0 : number(), .count = count(), .domid = translated ? 0x7000 : 0 },
	};
	struct ioctl_gntdev_dmabuf_exp_wait_released wait = { .fd = buffer(), .wait_to_ms = pick(3) };
	struct {
		struct ioctl_gntdev_dmabuf_imp_to_refs op;
		uint32_t more[7];
	} import = { .op = { .fd = buffer(), .count = pick(4) ? 2 : count(), .domid = pick(2) ? 0 : 0x7000 } };
	struct ioctl_gntdev_dmabuf_imp_release release = { .fd = buffer() };
	struct dma_buf_sync sync = { .flags = pick(8) };
	int old;

	if (export.op.count > 8 && export.op.count <= 65536)
		export.op.count = 8;
	for (size_t index = 0; index < 8; index++)
		(&export.op.refs[0])[index] = pick(16) ? refs[pick(COUNT(refs))] : number();
	switch (pick(8)) {
	case 0:
	case 1:
		if (!ioctl(fd, IOCTL_GNTDEV_DMABUF_EXP_FROM_REFS, pick(8) ? (void *)&export : address())) {
			old = __atomic_exchange_n(&made[pick(COUNT(made))], (int)export.op.fd, __ATOMIC_RELAXED);
			if (old >= 0)
				close(old);
		}
		break;
	case 2:
		old = __atomic_exchange_n(&made[pick(COUNT(made))], -1, __ATOMIC_RELAXED);
		if (old >= 0)
			close(old);
		break;
	case 3: ioctl(fd, IOCTL_GNTDEV_DMABUF_EXP_WAIT_RELEASED, pick(8) ? (void *)&wait : address()); break;
	case 4:
		if (!ioctl(fd, IOCTL_GNTDEV_DMABUF_IMP_TO_REFS, pick(8) ? (void *)&import : address()))
			refs[pick(COUNT(refs))] = import.op.refs[0];
		break;
	case 5:
	case 6: ioctl(fd, IOCTL_GNTDEV_DMABUF_IMP_RELEASE, pick(8) ? (void *)&release : address()); break;
	default: ioctl(made_buffer(), DMA_BUF_IOCTL_SYNC, &sync);
	}
}

/* A buffer of two pages of a file in memory, if the kernel makes such. */
int udmabuf(void)
{
	struct udmabuf_create create = { .flags = UDMABUF_FLAGS_CLOEXEC, .size = 2 * PAGE };
	int fd = open("/dev/udmabuf", O_RDWR | O_CLOEXEC), new = -1;

	create.memfd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (!ftruncate(create.memfd, 2 * PAGE) && !fcntl(create.memfd, F_ADD_SEALS, F_SEAL_SHRINK))
		new = ioctl(fd, UDMABUF_CREATE, &create);
	close(create.memfd);
	if (fd >= 0)
		close(fd);
	return new;
}
