// SPDX-License-Identifier: GPL-2.0
/*
 * Calls on the device files in dom0's /dev/xen, good ones and bad ones, and what has to come of them: the same from
 * the kernel's own drivers as from ours, so a scenario runs this on both. Where the two differ on purpose
 * (docs/design/dom0-devices.md), and where C's drivers would stop the kernel, nothing is called.
 * What the kernel's own are built without is called on both, and answered differently: see eventfd_calls.c and
 * dmabuf_calls.c.
 *
 * Prints a line for each call whose result is not as expected, then how many there were; exits with 1 if
 * there was one.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xen/xen.h>
#include <xen/grant_table.h>
#include <xen/sys/evtchn.h>
#include <xen/sys/gntalloc.h>
#include <xen/sys/gntdev.h>
#include <xen/sys/privcmd.h>

#include "check.h"

/* An address that no program can have. */
#define NOWHERE ((void *)(1ul << 60))

/* An address that a program can have, but has not; the compiler is not to know. */
static void *volatile hole = (void *)8;

static bool pv;

static void evtchn(void)
{
	struct ioctl_evtchn_bind_unbound_port unbound = { .remote_domain = 0 };
	struct ioctl_evtchn_bind_interdomain inter = { .remote_domain = 0 };
	struct ioctl_evtchn_unbind unbind = { .port = -1 };
	struct ioctl_evtchn_notify notify = { .port = 4000 };
	struct ioctl_evtchn_bind_virq virq = { .virq = 1000 };
	struct ioctl_evtchn_restrict_domid limit = { 0 };
	int fd = open_device("evtchn", O_NONBLOCK);
	uint32_t buf[2] = { 4000, 4001 };
	long p, q;

	CHECK(read(fd, buf, 3), 0);
	CHECK(read(fd, buf, 4), -EAGAIN);
	CHECK(read(fd, hole, 4), -EAGAIN);
	CHECK(write(fd, buf, 3), 0);
	CHECK(write(fd, buf, 7), 4);
	CHECK(write(fd, hole, 4), -EFAULT);
	CHECK(lseek(fd, 0, SEEK_SET), -ESPIPE);
	CHECK(pread(fd, buf, 4, 0), -ESPIPE);
	CHECK(ioctl(fd, _IO('E', 99)), -ENOSYS);
	CHECK(ioctl(fd, IOCTL_EVTCHN_BIND_VIRQ, NULL), -EFAULT);
	CHECK(ioctl(fd, IOCTL_EVTCHN_BIND_INTERDOMAIN, NULL), -EFAULT);
	CHECK(ioctl(fd, IOCTL_EVTCHN_BIND_UNBOUND_PORT, NULL), -EFAULT);
	CHECK(ioctl(fd, IOCTL_EVTCHN_UNBIND, NULL), -EFAULT);
	CHECK(ioctl(fd, IOCTL_EVTCHN_NOTIFY, NULL), -EFAULT);
	CHECK(ioctl(fd, IOCTL_EVTCHN_RESTRICT_DOMID, NULL), -EFAULT);
	CHECK(ioctl(fd, IOCTL_EVTCHN_BIND_VIRQ, &virq), -EINVAL);
	CHECK(ioctl(fd, IOCTL_EVTCHN_UNBIND, &unbind), -EINVAL);
	/* How many ports there may be grows with those that there are, in steps of a page's worth. */
	unbind.port = 1000;
	CHECK(ioctl(fd, IOCTL_EVTCHN_UNBIND, &unbind), -ENOTCONN);
	CHECK(ioctl(fd, IOCTL_EVTCHN_NOTIFY, &notify), -ENOTCONN);
	CHECK(ioctl(fd, IOCTL_EVTCHN_RESET, NULL), 0);
	CHECK(fcntl(fd, F_SETFL, O_NONBLOCK | O_ASYNC), 0);
	CHECK(fcntl(fd, F_SETFL, O_NONBLOCK), 0);

	/* Both ends of a channel. */
	p = ioctl(fd, IOCTL_EVTCHN_BIND_UNBOUND_PORT, &unbound);
	inter.remote_port = p;
	q = ioctl(fd, IOCTL_EVTCHN_BIND_INTERDOMAIN, &inter);
	TRUE(p > 0 && q > 0 && p != q);
	for (int round = 0; round < 100; round++) {
		notify.port = p;
		CHECK(ioctl(fd, IOCTL_EVTCHN_NOTIFY, &notify), 0);
		TRUE(comes(fd, q));
		notify.port = q;
		CHECK(ioctl(fd, IOCTL_EVTCHN_NOTIFY, &notify), 0);
		TRUE(comes(fd, p));
	}
	unbind.port = p;
	CHECK(ioctl(fd, IOCTL_EVTCHN_UNBIND, &unbind), 0);
	CHECK(ioctl(fd, IOCTL_EVTCHN_UNBIND, &unbind), -ENOTCONN);
	/* More ports than the first queue has slots; the file closes them. */
	for (int count = 0; count < 200; count++)
		TRUE(ioctl(fd, IOCTL_EVTCHN_BIND_UNBOUND_PORT, &unbound) > 0);
	close(fd);

	fd = open_device("evtchn", 0);
	CHECK(ioctl(fd, IOCTL_EVTCHN_RESTRICT_DOMID, &limit), -EINVAL);
	limit.domid = 0x7ff0;
	CHECK(ioctl(fd, IOCTL_EVTCHN_RESTRICT_DOMID, &limit), -EINVAL);
	limit.domid = NOBODY;
	CHECK(ioctl(fd, IOCTL_EVTCHN_RESTRICT_DOMID, &limit), 0);
	CHECK(ioctl(fd, IOCTL_EVTCHN_RESTRICT_DOMID, &limit), -EACCES);
	CHECK(ioctl(fd, IOCTL_EVTCHN_BIND_VIRQ, NULL), -EACCES);
	CHECK(ioctl(fd, IOCTL_EVTCHN_BIND_UNBOUND_PORT, NULL), -EACCES);
	CHECK(ioctl(fd, IOCTL_EVTCHN_BIND_INTERDOMAIN, &inter), -EACCES);
	inter.remote_domain = 0x10000 | NOBODY;
	CHECK(ioctl(fd, IOCTL_EVTCHN_BIND_INTERDOMAIN, &inter), -EACCES);
	close(fd);
}

static void privcmd_areas(int fd)
{
	xen_pfn_t frames[2] = { 1, 2 };
	int errors[2] = { 7, 7 };
	void *area = map(fd, 2, MAP_SHARED, 0);
	void *own = map(-1, 1, MAP_PRIVATE | MAP_ANONYMOUS, 0);
	privcmd_mmapbatch_v2_t batch = {
		.num = 0, .dom = NOBODY, .addr = (uintptr_t)area, .arr = frames, .err = errors,
	};
	privcmd_mmapbatch_t old = {
		.num = 0, .dom = NOBODY, .addr = (uintptr_t)area, .arr = frames,
	};
	privcmd_mmap_resource_t resource = { .dom = NOBODY, .addr = (uintptr_t)area };

	MAPPED(area);
	CHECK(ioctl(fd, IOCTL_PRIVCMD_MMAPBATCH_V2, &batch), -EINVAL);
	CHECK(ioctl(fd, IOCTL_PRIVCMD_MMAPBATCH, &old), -EINVAL);
	CHECK(ioctl(fd, IOCTL_PRIVCMD_MMAP_RESOURCE, &resource), -EINVAL);
	resource.num = 1;
	resource.addr = (uintptr_t)own;
	CHECK(ioctl(fd, IOCTL_PRIVCMD_MMAP_RESOURCE, &resource), -EINVAL);
	resource.addr = 0;
	CHECK(ioctl(fd, IOCTL_PRIVCMD_MMAP_RESOURCE, &resource), -EINVAL);
	batch.num = old.num = 1;
	CHECK(ioctl(fd, IOCTL_PRIVCMD_MMAPBATCH_V2, &batch), -EINVAL);
	CHECK(ioctl(fd, IOCTL_PRIVCMD_MMAPBATCH, &old), -EINVAL);
	batch.num = old.num = 3;
	batch.arr = old.arr = NULL;
	CHECK(ioctl(fd, IOCTL_PRIVCMD_MMAPBATCH_V2, &batch), -EFAULT);
	CHECK(ioctl(fd, IOCTL_PRIVCMD_MMAPBATCH, &old), -EFAULT);
	batch.num = 2;
	batch.arr = frames;
	batch.err = NOWHERE;
	CHECK(ioctl(fd, IOCTL_PRIVCMD_MMAPBATCH_V2, &batch), -EFAULT);
	batch.err = NULL;
	CHECK(ioctl(fd, IOCTL_PRIVCMD_MMAPBATCH_V2, &batch), -EFAULT);
	batch.err = errors;
	batch.addr = (uintptr_t)own;
	CHECK(ioctl(fd, IOCTL_PRIVCMD_MMAPBATCH_V2, &batch), -EINVAL);

	/* No such domain: the request succeeds, and says of each frame that it is not mapped. */
	batch.addr = (uintptr_t)area;
	CHECK(ioctl(fd, IOCTL_PRIVCMD_MMAPBATCH_V2, &batch), 0);
	TRUE(errors[0] < 0 && errors[1] < 0);
	/* The holes can be tried again, in the area only; not where the first try left pages in them. */
	batch.num = 1;
	batch.addr += PAGE;
	CHECK(ioctl(fd, IOCTL_PRIVCMD_MMAPBATCH_V2, &batch), pv ? 0 : -EINVAL);
	batch.num = 2;
	CHECK(ioctl(fd, IOCTL_PRIVCMD_MMAPBATCH_V2, &batch), -EINVAL);
	CHECK(munmap(area, PAGE), -EINVAL);
	CHECK(munmap(area, 2 * PAGE), 0);
	munmap(own, PAGE);
}

static void privcmd(void)
{
	privcmd_hypercall_t version = { .op = __HYPERVISOR_xen_version };
	privcmd_hypercall_t none = { .op = 63 };
	char bytes[2 * PAGE];
	privcmd_dm_op_buf_t bufs[17] = { { .uptr = bytes, .size = PAGE + 1 } };
	privcmd_dm_op_t dm_op = { .dom = NOBODY };
	privcmd_mmapbatch_v2_t batch = { .dom = 0 };
	privcmd_mmap_resource_t resource = { .dom = 0 };
	domid_t domain = NOBODY, other = NOBODY + 1;
	int fd = open_device("privcmd", 0);

	CHECK(read(fd, bytes, 1), -EINVAL);
	CHECK(ioctl(fd, _IO('P', 99)), -ENOTTY);
	CHECK(ioctl(fd, IOCTL_PRIVCMD_HYPERCALL, NULL), -EFAULT);
	CHECK(ioctl(fd, IOCTL_PRIVCMD_MMAP, NULL), pv ? -EFAULT : -ENOSYS);
	CHECK(ioctl(fd, IOCTL_PRIVCMD_MMAPBATCH, NULL), -EFAULT);
	CHECK(ioctl(fd, IOCTL_PRIVCMD_MMAPBATCH_V2, NULL), -EFAULT);
	CHECK(ioctl(fd, IOCTL_PRIVCMD_DM_OP, NULL), -EFAULT);
	CHECK(ioctl(fd, IOCTL_PRIVCMD_RESTRICT, NULL), -EFAULT);
	CHECK(ioctl(fd, IOCTL_PRIVCMD_MMAP_RESOURCE, NULL), -EFAULT);
	CHECK(ioctl(fd, IOCTL_PRIVCMD_PCIDEV_GET_GSI, NULL), -EFAULT);
	irqfd_calls(fd);
	ioeventfd_calls(fd);

	TRUE(ioctl(fd, IOCTL_PRIVCMD_HYPERCALL, &version) >= 0x40000);
	CHECK(ioctl(fd, IOCTL_PRIVCMD_HYPERCALL, &none), -ENOSYS);

	CHECK(ioctl(fd, IOCTL_PRIVCMD_DM_OP, &dm_op), 0);
	dm_op.num = 1;
	CHECK(ioctl(fd, IOCTL_PRIVCMD_DM_OP, &dm_op), -EFAULT);
	dm_op.ubufs = bufs;
	CHECK(ioctl(fd, IOCTL_PRIVCMD_DM_OP, &dm_op), -E2BIG);
	dm_op.num = 17;
	CHECK(ioctl(fd, IOCTL_PRIVCMD_DM_OP, &dm_op), -E2BIG);
	dm_op.num = 1;
	bufs[0].size = 1;
	bufs[0].uptr = NOWHERE;
	CHECK(ioctl(fd, IOCTL_PRIVCMD_DM_OP, &dm_op), -EFAULT);
	bufs[0].uptr = NULL;
	CHECK(ioctl(fd, IOCTL_PRIVCMD_DM_OP, &dm_op), -EFAULT);
	bufs[0].uptr = bytes;
	CHECK(ioctl(fd, IOCTL_PRIVCMD_DM_OP, &dm_op), -ESRCH);
	privcmd_areas(fd);

	CHECK(ioctl(fd, IOCTL_PRIVCMD_RESTRICT, &domain), 0);
	CHECK(ioctl(fd, IOCTL_PRIVCMD_RESTRICT, &domain), 0);
	CHECK(ioctl(fd, IOCTL_PRIVCMD_RESTRICT, &other), -EINVAL);
	CHECK(ioctl(fd, IOCTL_PRIVCMD_HYPERCALL, NULL), -EPERM);
	CHECK(ioctl(fd, IOCTL_PRIVCMD_MMAPBATCH_V2, &batch), -EPERM);
	CHECK(ioctl(fd, IOCTL_PRIVCMD_MMAP_RESOURCE, &resource), -EPERM);
	CHECK(ioctl(fd, IOCTL_PRIVCMD_DM_OP, &dm_op), -ESRCH);
	dm_op.dom = 0;
	CHECK(ioctl(fd, IOCTL_PRIVCMD_DM_OP, &dm_op), -EPERM);
	restricted_eventfd_calls(fd);
	close(fd);
}

static void hypercall(void)
{
	int fd = open_device("hypercall", 0), status = -1;
	unsigned char *area;
	pid_t child;

	UNMAPPED(map(fd, 1, MAP_PRIVATE, 0), -EINVAL);
	CHECK(ioctl(fd, _IO('P', 0)), -ENOTTY);
	area = map(fd, 3, MAP_SHARED, 0);
	MAPPED(area);
	close(fd);
	for (int byte = 0; byte < 3 * PAGE; byte++)
		if (area[byte])
			TRUE(!"zeroed");
	area[0] = area[2 * PAGE] = 42;
	child = fork();
	if (!child)
		_exit(area[0] == 42 && !munmap(area + PAGE, PAGE) && area[2 * PAGE] == 42 ? 0 : 1);
	CHECK(waitpid(child, &status, 0), child);
	CHECK(status, 0);
	CHECK(munmap(area, PAGE), 0);
	TRUE(area[2 * PAGE] == 42);
	CHECK(munmap(area + PAGE, 2 * PAGE), 0);
}

/* Two pages that dom0 has granted to itself. */
struct own {
	int fd;
	uint64_t index;
	uint32_t refs[2];
	unsigned char *area;
};

static void gntalloc(struct own *own)
{
	struct {
		struct ioctl_gntalloc_alloc_gref op;
		uint32_t more[4];
	} alloc = { .op = { .domid = 0, .flags = GNTALLOC_FLAG_WRITABLE, .count = 1 << 30 } };
	struct ioctl_gntalloc_dealloc_gref dealloc = { .index = 1 << 30, .count = 1 };
	struct ioctl_gntalloc_unmap_notify notify = { .index = 1 << 30 };
	int fd = own->fd = open_device("gntalloc", 0);

	CHECK(ioctl(fd, _IO('G', 99)), -ENOTTY);
	CHECK(ioctl(fd, IOCTL_GNTALLOC_ALLOC_GREF, NULL), -EFAULT);
	CHECK(ioctl(fd, IOCTL_GNTALLOC_DEALLOC_GREF, NULL), -EFAULT);
	CHECK(ioctl(fd, IOCTL_GNTALLOC_SET_UNMAP_NOTIFY, NULL), -EFAULT);
	CHECK(ioctl(fd, IOCTL_GNTALLOC_ALLOC_GREF, &alloc), -ENOSPC);
	CHECK(ioctl(fd, IOCTL_GNTALLOC_DEALLOC_GREF, &dealloc), -EINVAL);
	CHECK(ioctl(fd, IOCTL_GNTALLOC_SET_UNMAP_NOTIFY, &notify), -ENOENT);
	alloc.op.count = 2;
	CHECK(ioctl(fd, IOCTL_GNTALLOC_ALLOC_GREF, &alloc), 0);
	own->index = alloc.op.index;
	memcpy(own->refs, alloc.op.gref_ids, sizeof(own->refs));
	TRUE(own->refs[0] && own->refs[1] && own->refs[0] != own->refs[1]);

	notify.index = own->index + PAGE + 5;
	notify.action = 4;
	CHECK(ioctl(fd, IOCTL_GNTALLOC_SET_UNMAP_NOTIFY, &notify), -EINVAL);
	notify.action = UNMAP_NOTIFY_SEND_EVENT;
	notify.event_channel_port = 4000;
	CHECK(ioctl(fd, IOCTL_GNTALLOC_SET_UNMAP_NOTIFY, &notify), -EINVAL);
	notify.action = UNMAP_NOTIFY_CLEAR_BYTE;
	CHECK(ioctl(fd, IOCTL_GNTALLOC_SET_UNMAP_NOTIFY, &notify), 0);
	notify.action = 0;
	CHECK(ioctl(fd, IOCTL_GNTALLOC_SET_UNMAP_NOTIFY, &notify), 0);

	UNMAPPED(map(fd, 2, MAP_PRIVATE, own->index), -EINVAL);
	UNMAPPED(map(fd, 3, MAP_SHARED, own->index), -ENOENT);
	UNMAPPED(map(fd, 1, MAP_SHARED, own->index + 2 * PAGE), -ENOENT);
	own->area = map(fd, 2, MAP_SHARED, own->index);
	MAPPED(own->area);
}

static void gntdev_copies(int fd, struct own *own)
{
	static unsigned char bytes[2 * PAGE];
	struct ioctl_gntdev_grant_copy_segment segment = {
		.source.virt = bytes, .dest.virt = bytes + PAGE, .len = 8,
	};
	struct ioctl_gntdev_grant_copy copy = { .count = 1 };

	CHECK(ioctl(fd, IOCTL_GNTDEV_GRANT_COPY, NULL), -EFAULT);
	CHECK(ioctl(fd, IOCTL_GNTDEV_GRANT_COPY, &copy), -EFAULT);
	copy.segments = &segment;
	CHECK(ioctl(fd, IOCTL_GNTDEV_GRANT_COPY, &copy), -EINVAL);
	segment.flags = GNTCOPY_source_gref;
	segment.source.foreign.ref = own->refs[0];
	segment.source.foreign.domid = 0;
	segment.source.foreign.offset = 1;
	segment.len = PAGE;
	CHECK(ioctl(fd, IOCTL_GNTDEV_GRANT_COPY, &copy), -EINVAL);
	/* Across two pages of memory. */
	for (int byte = 0; byte < PAGE; byte++)
		own->area[byte] = byte % 251;
	segment.source.foreign.offset = 0;
	segment.dest.virt = bytes + 100;
	segment.status = 77;
	CHECK(ioctl(fd, IOCTL_GNTDEV_GRANT_COPY, &copy), 0);
	CHECK(segment.status, 0);
	TRUE(!memcmp(bytes + 100, own->area, PAGE));
	segment.dest.virt = NULL;
	CHECK(ioctl(fd, IOCTL_GNTDEV_GRANT_COPY, &copy), -EFAULT);
	/* No such grant. */
	segment.dest.virt = bytes;
	segment.source.foreign.ref = 0x7fffffff;
	CHECK(ioctl(fd, IOCTL_GNTDEV_GRANT_COPY, &copy), 0);
	TRUE(segment.status < 0);
}

/*
 * Maps a page that the domain has granted to itself. Not in a translated domain: Xen has a frame in one place of
 * such a domain's memory, and takes it away from where the kernel has it.
 */
static void gntdev_maps(int fd, struct own *own, uint64_t index)
{
	struct ioctl_gntdev_get_offset_for_vaddr where = { 0 };
	struct ioctl_gntdev_unmap_notify notify = { .index = index + 7, .action = UNMAP_NOTIFY_CLEAR_BYTE };
	unsigned char *area;

	UNMAPPED(map(fd, 1, MAP_PRIVATE, index), -EINVAL);
	UNMAPPED(map(fd, 2, MAP_SHARED, index), -EINVAL);
	area = map(fd, 1, MAP_SHARED, index);
	MAPPED(area);
	UNMAPPED(map(fd, 1, MAP_SHARED, index), -EINVAL);
	if (area == MAP_FAILED)
		return;
	own->area[7] = 42;
	TRUE(area[7] == 42);
	area[8] = 43;
	TRUE(own->area[8] == 43);
	where.vaddr = (uintptr_t)area;
	CHECK(ioctl(fd, IOCTL_GNTDEV_GET_OFFSET_FOR_VADDR, &where), 0);
	TRUE(where.offset == index && where.count == 1);
	CHECK(ioctl(fd, IOCTL_GNTDEV_SET_UNMAP_NOTIFY, &notify), 0);
	CHECK(munmap(area, PAGE), 0);
	for (int tries = 0; own->area[7] && tries < 100; tries++)
		usleep(10000);
	TRUE(own->area[7] == 0 && own->area[8] == 43);
}

/* If the kernel takes page table entries back, their grants are unmapped, and no others. */
static void gntdev_parts(int fd, struct own *own)
{
	struct {
		struct ioctl_gntdev_map_grant_ref op;
		struct ioctl_gntdev_grant_ref more;
	} grants = { .op = { .count = 2 } };
	struct ioctl_gntdev_grant_ref *refs = grants.op.refs;
	struct ioctl_gntdev_unmap_grant_ref unmap = { .count = 2 };
	unsigned char *area;

	for (int i = 0; i < 2; i++)
		refs[i].ref = own->refs[i];
	CHECK(ioctl(fd, IOCTL_GNTDEV_MAP_GRANT_REF, &grants), 0);
	area = map(fd, 2, MAP_SHARED, grants.op.index);
	MAPPED(area);
	if (area == MAP_FAILED)
		return;
	area[7] = 45;
	TRUE(own->area[7] == 45);
	CHECK(madvise(area, PAGE, MADV_DONTNEED), 0);
	own->area[PAGE + 7] = 44;
	TRUE(area[PAGE + 7] == 44);
	CHECK(munmap(area, 2 * PAGE), 0);
	unmap.index = grants.op.index;
	CHECK(ioctl(fd, IOCTL_GNTDEV_UNMAP_GRANT_REF, &unmap), 0);
}

static void gntdev(struct own *own)
{
	struct ioctl_gntdev_map_grant_ref grant = { .count = 0 };
	struct ioctl_gntdev_unmap_grant_ref unmap = { .index = 1 << 30, .count = 1 };
	struct ioctl_gntdev_get_offset_for_vaddr where = { .vaddr = (uintptr_t)&where };
	struct ioctl_gntdev_unmap_notify notify = { .index = 1 << 30, .action = 4 };
	int fd = open_device("gntdev", 0);

	CHECK(ioctl(fd, _IO('G', 99)), -ENOTTY);
	CHECK(ioctl(fd, IOCTL_GNTDEV_MAP_GRANT_REF, NULL), -EFAULT);
	CHECK(ioctl(fd, IOCTL_GNTDEV_UNMAP_GRANT_REF, NULL), -EFAULT);
	CHECK(ioctl(fd, IOCTL_GNTDEV_GET_OFFSET_FOR_VADDR, NULL), -EFAULT);
	CHECK(ioctl(fd, IOCTL_GNTDEV_SET_UNMAP_NOTIFY, NULL), -EFAULT);
	CHECK(ioctl(fd, IOCTL_GNTDEV_MAP_GRANT_REF, &grant), -EINVAL);
	grant.count = 1 << 30;
	CHECK(ioctl(fd, IOCTL_GNTDEV_MAP_GRANT_REF, &grant), -EINVAL);
	CHECK(ioctl(fd, IOCTL_GNTDEV_UNMAP_GRANT_REF, &unmap), -ENOENT);
	CHECK(ioctl(fd, IOCTL_GNTDEV_GET_OFFSET_FOR_VADDR, &where), -EINVAL);
	CHECK(ioctl(fd, IOCTL_GNTDEV_SET_UNMAP_NOTIFY, &notify), -EINVAL);
	notify.action = UNMAP_NOTIFY_CLEAR_BYTE;
	CHECK(ioctl(fd, IOCTL_GNTDEV_SET_UNMAP_NOTIFY, &notify), -ENOENT);

	/* A grant that there is not is only found out when it is mapped. */
	grant.count = 1;
	grant.refs[0].domid = 0;
	grant.refs[0].ref = 0x7fffffff;
	CHECK(ioctl(fd, IOCTL_GNTDEV_MAP_GRANT_REF, &grant), 0);
	CHECK(grant.index, 0);
	UNMAPPED(map(fd, 1, MAP_SHARED, grant.index), -EINVAL);

	grant.refs[0].ref = own->refs[0];
	CHECK(ioctl(fd, IOCTL_GNTDEV_MAP_GRANT_REF, &grant), 0);
	CHECK(grant.index, PAGE);
	if (pv) {
		gntdev_maps(fd, own, grant.index);
		gntdev_parts(fd, own);
	}
	unmap.index = grant.index;
	unmap.count = 2;
	CHECK(ioctl(fd, IOCTL_GNTDEV_UNMAP_GRANT_REF, &unmap), -ENOENT);
	unmap.count = 1;
	CHECK(ioctl(fd, IOCTL_GNTDEV_UNMAP_GRANT_REF, &unmap), 0);
	CHECK(ioctl(fd, IOCTL_GNTDEV_UNMAP_GRANT_REF, &unmap), -ENOENT);
	gntdev_copies(fd, own);
	close(fd);
}

static void give_up(struct own *own)
{
	struct ioctl_gntalloc_dealloc_gref dealloc = { .index = own->index, .count = 3 };

	CHECK(ioctl(own->fd, IOCTL_GNTALLOC_DEALLOC_GREF, &dealloc), -EINVAL);
	dealloc.count = 2;
	CHECK(ioctl(own->fd, IOCTL_GNTALLOC_DEALLOC_GREF, &dealloc), 0);
	CHECK(ioctl(own->fd, IOCTL_GNTALLOC_DEALLOC_GREF, &dealloc), -EINVAL);
	/* What is mapped is still there. */
	own->area[PAGE] = 1;
	CHECK(munmap(own->area, 2 * PAGE), 0);
	close(own->fd);
}

int main(void)
{
	struct own own = { .fd = -1 };

	pv = is_pv();
	evtchn();
	privcmd();
	hypercall();
	dmabuf_calls(NULL);
	gntalloc(&own);
	if (own.area != MAP_FAILED) {
		gntdev(&own);
		give_up(&own);
	}
	printf("%d calls, %d wrong\n", calls, wrong);
	return wrong ? 1 : 0;
}
