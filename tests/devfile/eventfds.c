// SPDX-License-Identifier: GPL-2.0
/*
 * devfile-eventfds DOMAIN: eventfds between dom0 and a running HVM or PVH guest, through our /dev/xen/privcmd; the
 * kernel's own is built without in stock kernels.
 *
 * The guest is not asked to do anything. It gets one more device model, whose page of requests it does not know of;
 * this program plays the hypervisor, writes a request there and sends the event, over a channel with both ends in
 * dom0. Then an eventfd powers the guest off.
 */

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#define __XEN_TOOLS__ 1
#include <xen/xen.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include <xen/hvm/dm_op.h>
#include <xen/hvm/ioreq.h>
#include <xen/sys/evtchn.h>
#include <xen/sys/privcmd.h>

#include "check.h"

#define DEVICE 0x7ff000000ull
/* VIRTIO_MMIO_QUEUE_NOTIFY */
#define DOORBELL (DEVICE + 0x50)
#define QUEUE 3

static int dm_op(int fd, domid_t domain, struct xen_dm_op *op)
{
	privcmd_dm_op_buf_t buf = { .uptr = op, .size = sizeof(*op) };
	privcmd_dm_op_t args = { .dom = domain, .num = 1, .ubufs = &buf };

	return ioctl(fd, IOCTL_PRIVCMD_DM_OP, &args);
}

static void doorbells(int fd, domid_t domain)
{
	struct ioctl_evtchn_bind_unbound_port unbound = { .remote_domain = 0 };
	struct ioctl_evtchn_bind_interdomain inter = { .remote_domain = 0 };
	struct xen_dm_op create = { .op = XEN_DMOP_create_ioreq_server };
	struct xen_dm_op destroy = { .op = XEN_DMOP_destroy_ioreq_server };
	privcmd_mmap_resource_t resource = {
		.dom = domain, .type = XENMEM_resource_ioreq_server, .num = 1,
		.idx = XENMEM_resource_ioreq_server_frame_ioreq(0),
	};
	int events = open_device("evtchn", 0), eventfds[2];
	struct ioctl_evtchn_notify notify;
	struct ioeventfd args;
	volatile struct ioreq *slot;
	uint32_t p, q;
	void *area;

	CHECK(dm_op(fd, domain, &create), 0);
	resource.id = create.u.create_ioreq_server.id;
	area = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	TRUE(area != MAP_FAILED);
	resource.addr = (uintptr_t)area;
	CHECK(ioctl(fd, IOCTL_PRIVCMD_MMAP_RESOURCE, &resource), 0);
	p = ioctl(events, IOCTL_EVTCHN_BIND_UNBOUND_PORT, &unbound);
	inter.remote_port = p;
	q = ioctl(events, IOCTL_EVTCHN_BIND_INTERDOMAIN, &inter);
	notify.port = q;
	for (int index = 0; index < 2; index++)
		eventfds[index] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	/* The domain that the port leads to, which is dom0 itself. */
	args = (struct ioeventfd){
		.ioreq = (uintptr_t)area, .ports = (uintptr_t)&p, .addr = DEVICE, .addr_len = 4,
		.event_fd = eventfds[0], .vcpus = 1, .vq = QUEUE, .dom = domain,
	};
	CHECK(ioctl(fd, PRIVCMD_IOEVENTFD, &args), -EINVAL);
	args.dom = 0;
	args.ports = 8;
	CHECK(ioctl(fd, PRIVCMD_IOEVENTFD, &args), -EFAULT);
	args.ports = (uintptr_t)&p;
	p += 1000;
	CHECK(ioctl(fd, PRIVCMD_IOEVENTFD, &args), -ENOENT);
	p -= 1000;
	args.vcpus = 129;
	CHECK(ioctl(fd, PRIVCMD_IOEVENTFD, &args), -EFAULT);
	args.vcpus = 1;
	CHECK(ioctl(fd, PRIVCMD_IOEVENTFD, &args), 0);
	CHECK(ioctl(fd, PRIVCMD_IOEVENTFD, &args), -EBUSY);
	args.event_fd = eventfds[1];
	args.vq = QUEUE + 1;
	args.vcpus = 2;
	CHECK(ioctl(fd, PRIVCMD_IOEVENTFD, &args), -EINVAL);
	args.vcpus = 1;
	CHECK(ioctl(fd, PRIVCMD_IOEVENTFD, &args), 0);

	slot = area;
	for (int round = 0; round < 50; round++) {
		int which = round & 1;

		slot->addr = DOORBELL;
		slot->data = QUEUE + which;
		slot->count = 1;
		slot->size = 4;
		slot->dir = IOREQ_WRITE;
		slot->data_is_ptr = 0;
		slot->type = IOREQ_TYPE_COPY;
		__sync_synchronize();
		slot->state = STATE_IOREQ_READY;
		CHECK(ioctl(events, IOCTL_EVTCHN_NOTIFY, &notify), 0);
		/* The device model gets the request too, first, and unmasks the event. */
		TRUE(comes(events, p));
		TRUE(comes(events, q));
		CHECK(slot->state, STATE_IORESP_READY);
		CHECK(counted(eventfds[which]), 1);
		CHECK(counted(eventfds[!which]), -EAGAIN);
	}
	/* What is none of ours is left to the device model. */
	for (int other = 0; other < 4; other++) {
		slot->addr = DOORBELL + (other == 0 ? 4 : 0);
		slot->data = QUEUE + (other == 1 ? 2 : 0);
		slot->size = other == 2 ? 2 : 4;
		slot->dir = other == 3 ? IOREQ_READ : IOREQ_WRITE;
		__sync_synchronize();
		slot->state = STATE_IOREQ_READY;
		CHECK(ioctl(events, IOCTL_EVTCHN_NOTIFY, &notify), 0);
		TRUE(comes(events, p));
		CHECK(slot->state, STATE_IOREQ_READY);
		CHECK(counted(eventfds[0]), -EAGAIN);
		CHECK(counted(eventfds[1]), -EAGAIN);
	}

	/* One goes, the other stays, and outlives the area. */
	args.flags = 1;
	CHECK(ioctl(fd, PRIVCMD_IOEVENTFD, &args), 0);
	CHECK(ioctl(fd, PRIVCMD_IOEVENTFD, &args), -ENODEV);
	slot->data = QUEUE + 1;
	slot->size = 4;
	slot->dir = IOREQ_WRITE;
	slot->state = STATE_IOREQ_READY;
	CHECK(ioctl(events, IOCTL_EVTCHN_NOTIFY, &notify), 0);
	TRUE(comes(events, p));
	CHECK(slot->state, STATE_IOREQ_READY);
	CHECK(munmap(area, PAGE), 0);
	CHECK(ioctl(events, IOCTL_EVTCHN_NOTIFY, &notify), 0);
	TRUE(comes(events, p));
	args.event_fd = eventfds[0];
	CHECK(ioctl(fd, PRIVCMD_IOEVENTFD, &args), 0);
	CHECK(ioctl(fd, PRIVCMD_IOEVENTFD, &args), -ENODEV);
	destroy.u.destroy_ioreq_server.id = resource.id;
	CHECK(dm_op(fd, domain, &destroy), 0);
	for (int index = 0; index < 2; index++)
		close(eventfds[index]);
	close(events);
}

static void power_off(int fd, domid_t domain)
{
	struct xen_dm_op op = { .op = XEN_DMOP_remote_shutdown };
	int event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	struct irqfd args = {
		.dm_op = (uintptr_t)&op, .size = sizeof(op), .fd = event, .dom = domain,
	};
	uint64_t one = 1;

	op.u.remote_shutdown.reason = SHUTDOWN_poweroff;
	CHECK(ioctl(fd, PRIVCMD_IRQFD, &args), 0);
	/* It was copied. */
	memset(&op, 0xff, sizeof(op));
	CHECK(write(event, &one, sizeof(one)), sizeof(one));
	/* A worker makes it. */
	sleep(1);
	args.flags = 1;
	CHECK(ioctl(fd, PRIVCMD_IRQFD, &args), 0);
	close(event);
}

int main(int argc, char **argv)
{
	domid_t domain = argc > 1 ? atoi(argv[1]) : 0;
	int fd;

	if (!domain) {
		fprintf(stderr, "usage: devfile-eventfds DOMAIN\n");
		return 2;
	}
	fd = open_device("privcmd", 0);
	/* A PV domain's kernel does not see what its programs have mapped. */
	if (!is_pv())
		doorbells(fd, domain);
	power_off(fd, domain);
	close(fd);
	printf("%d calls, %d wrong\n", calls, wrong);
	return wrong ? 1 : 0;
}
