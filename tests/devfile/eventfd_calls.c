// SPDX-License-Identifier: GPL-2.0
/*
 * Calls that have eventfds make hypercalls, and have them signalled by a guest. No guest is needed: see eventfds.c for
 * what comes of them when there is one.
 *
 * The kernel's own driver is made to answer as well, but in stock kernels it is built without (XEN_PRIVCMD_EVENTFD is
 * not set) and has one answer for all: BUILT is what marks that. If a kernel had it, some of these calls would stop it.
 */

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <xen/xen.h>
#include <xen/sys/privcmd.h>

#include "check.h"

#define BUILT(wanted) (ours ? (wanted) : -EOPNOTSUPP)
/* An eventfd that was signalled: its count has been read, or not. */
#define TAKEN (ours ? -EAGAIN : 1)

static bool ours;

/* Has an eventfd make a hypercall that fails, of which the kernel's log tells. */
void irqfd_calls(int fd)
{
	/* inject_msi: made at once. track_dirty_vram: made by a worker. */
	uint32_t brief[8] = { 14 }, longer[8] = { 7 };
	int event = eventfd(0, EFD_NONBLOCK), other = open_device("privcmd", 0);
	struct irqfd args = {
		.dm_op = (uintptr_t)brief, .size = sizeof(brief), .fd = event, .dom = NOBODY,
	};
	uint64_t one = 1;

	ours = is_ours();
	CHECK(ioctl(fd, PRIVCMD_IRQFD, NULL), BUILT(-EFAULT));
	args.flags = 2;
	CHECK(ioctl(fd, PRIVCMD_IRQFD, &args), BUILT(-EINVAL));
	args.flags = 3;
	CHECK(ioctl(fd, PRIVCMD_IRQFD, &args), BUILT(-EINVAL));
	args.flags = 0;
	args.size = PAGE + 1;
	CHECK(ioctl(fd, PRIVCMD_IRQFD, &args), BUILT(-E2BIG));
	args.size = sizeof(brief);
	args.dm_op = 8;
	CHECK(ioctl(fd, PRIVCMD_IRQFD, &args), BUILT(-EFAULT));
	args.dm_op = (uintptr_t)brief;
	args.fd = -1;
	CHECK(ioctl(fd, PRIVCMD_IRQFD, &args), BUILT(-EBADF));
	args.fd = fd;
	CHECK(ioctl(fd, PRIVCMD_IRQFD, &args), BUILT(-EINVAL));
	args.flags = 1;
	CHECK(ioctl(fd, PRIVCMD_IRQFD, &args), BUILT(-EINVAL));
	args.fd = -1;
	CHECK(ioctl(fd, PRIVCMD_IRQFD, &args), BUILT(-EBADF));
	args.fd = event;
	/* None was begun, which is no error. */
	CHECK(ioctl(fd, PRIVCMD_IRQFD, &args), BUILT(0));

	for (int round = 0; round < 2; round++) {
		/* Signalled before, and after. */
		CHECK(write(event, &one, sizeof(one)), sizeof(one));
		args.flags = 0;
		CHECK(ioctl(fd, PRIVCMD_IRQFD, &args), BUILT(0));
		CHECK(counted(event), TAKEN);
		CHECK(write(event, &one, sizeof(one)), sizeof(one));
		CHECK(counted(event), TAKEN);
		CHECK(ioctl(fd, PRIVCMD_IRQFD, &args), BUILT(-EBUSY));
		CHECK(ioctl(other, PRIVCMD_IRQFD, &args), BUILT(-EBUSY));
		/* It belongs to one domain. */
		args.flags = 1;
		args.dom = NOBODY + 1;
		CHECK(ioctl(fd, PRIVCMD_IRQFD, &args), BUILT(0));
		CHECK(write(event, &one, sizeof(one)), sizeof(one));
		CHECK(counted(event), TAKEN);
		args.dom = NOBODY;
		CHECK(ioctl(round ? other : fd, PRIVCMD_IRQFD, &args), BUILT(0));
		CHECK(write(event, &one, sizeof(one)), sizeof(one));
		CHECK(counted(event), 1);
		args.dm_op = (uintptr_t)longer;
	}
	/* A file that goes takes its own along. */
	args.flags = 0;
	CHECK(ioctl(other, PRIVCMD_IRQFD, &args), BUILT(0));
	close(other);
	CHECK(write(event, &one, sizeof(one)), sizeof(one));
	CHECK(counted(event), 1);
	/* So does an eventfd. */
	CHECK(ioctl(fd, PRIVCMD_IRQFD, &args), BUILT(0));
	close(event);
}

/* Pages of requests need a guest: see eventfds.c. */
void ioeventfd_calls(int fd)
{
	void *own = map(-1, 1, MAP_PRIVATE | MAP_ANONYMOUS, 0), *area = map(fd, 2, MAP_SHARED, 0);
	int event = eventfd(0, EFD_NONBLOCK), errors[2];
	uint32_t port = 4000;
	struct ioeventfd args = {
		.ioreq = (uintptr_t)area, .ports = (uintptr_t)&port, .addr = 0x1000, .addr_len = 4, .event_fd = event,
		.vcpus = 1, .dom = NOBODY,
	};
	xen_pfn_t frames[2] = { 1, 2 };
	bool pv = is_pv();
	privcmd_mmapbatch_v2_t batch = {
		.num = 2, .dom = NOBODY, .addr = (uintptr_t)area, .arr = frames, .err = errors,
	};

	ours = is_ours();
	CHECK(ioctl(fd, PRIVCMD_IOEVENTFD, NULL), BUILT(-EFAULT));
	args.flags = 2;
	CHECK(ioctl(fd, PRIVCMD_IOEVENTFD, &args), BUILT(-EINVAL));
	args.flags = 1;
	CHECK(ioctl(fd, PRIVCMD_IOEVENTFD, &args), BUILT(-ENODEV));
	args.event_fd = -1;
	CHECK(ioctl(fd, PRIVCMD_IOEVENTFD, &args), BUILT(-EBADF));
	args.flags = 0;
	CHECK(ioctl(fd, PRIVCMD_IOEVENTFD, &args), BUILT(-EBADF));
	args.event_fd = fd;
	CHECK(ioctl(fd, PRIVCMD_IOEVENTFD, &args), BUILT(-EINVAL));
	args.event_fd = event;
	args.addr_len = 3;
	CHECK(ioctl(fd, PRIVCMD_IOEVENTFD, &args), BUILT(-EINVAL));
	args.addr_len = 0;
	CHECK(ioctl(fd, PRIVCMD_IOEVENTFD, &args), BUILT(-EINVAL));
	args.addr_len = 8;
	args.addr = -8;
	CHECK(ioctl(fd, PRIVCMD_IOEVENTFD, &args), BUILT(-EINVAL));
	args.addr = 0x1000;
	args.vcpus = 0;
	CHECK(ioctl(fd, PRIVCMD_IOEVENTFD, &args), BUILT(-EINVAL));
	args.vcpus = 4097;
	CHECK(ioctl(fd, PRIVCMD_IOEVENTFD, &args), BUILT(-EINVAL));
	args.vcpus = 1;
	/* Nothing is mapped there, or nothing of another domain's. */
	args.ioreq = 8;
	CHECK(ioctl(fd, PRIVCMD_IOEVENTFD, &args), BUILT(-EFAULT));
	args.ioreq = (uintptr_t)own;
	CHECK(ioctl(fd, PRIVCMD_IOEVENTFD, &args), BUILT(-EFAULT));
	args.ioreq = (uintptr_t)area;
	CHECK(ioctl(fd, PRIVCMD_IOEVENTFD, &args), BUILT(-EFAULT));
	/* No frame could be mapped. The kernel of a PV domain could not get at one. */
	CHECK(ioctl(fd, IOCTL_PRIVCMD_MMAPBATCH_V2, &batch), 0);
	CHECK(ioctl(fd, PRIVCMD_IOEVENTFD, &args), BUILT(pv ? -EOPNOTSUPP : -EFAULT));
	munmap(area, 2 * PAGE);
	munmap(own, PAGE);
	close(event);
}

void restricted_eventfd_calls(int fd)
{
	struct irqfd irqfd = { .fd = -1 };
	struct ioeventfd ioeventfd = { .event_fd = -1, .addr_len = 4, .vcpus = 1 };

	ours = is_ours();
	CHECK(ioctl(fd, PRIVCMD_IRQFD, &irqfd), BUILT(-EPERM));
	irqfd.flags = 1;
	CHECK(ioctl(fd, PRIVCMD_IRQFD, &irqfd), BUILT(-EPERM));
	irqfd.dom = NOBODY;
	CHECK(ioctl(fd, PRIVCMD_IRQFD, &irqfd), BUILT(-EBADF));
	CHECK(ioctl(fd, PRIVCMD_IOEVENTFD, &ioeventfd), BUILT(-EPERM));
	ioeventfd.flags = 1;
	CHECK(ioctl(fd, PRIVCMD_IOEVENTFD, &ioeventfd), BUILT(-EPERM));
	ioeventfd.dom = NOBODY;
	CHECK(ioctl(fd, PRIVCMD_IOEVENTFD, &ioeventfd), BUILT(-EBADF));
}
