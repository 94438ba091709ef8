// SPDX-License-Identifier: GPL-2.0
/*
 * devfile-load's operations on privcmd, gntdev and gntalloc.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xen/xen.h>
#include <xen/grant_table.h>
#include <xen/sys/gntalloc.h>
#include <xen/sys/gntdev.h>
#include <xen/sys/privcmd.h>

#include "load.h"
#include "granted.h"

static void *map(int fd, size_t pages, off_t offset)
{
	void *area = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);

	MUST(area != MAP_FAILED, "mmap");
	return area;
}

static void unmap(void *area, size_t pages)
{
	MUST(!munmap(area, pages * PAGE), "munmap");
}

static void *zeroed(size_t size)
{
	void *memory = calloc(1, size);

	MUST(memory, "calloc");
	return memory;
}

/* The cheapest hypercall there is. */

static void version(struct worker *worker)
{
	privcmd_hypercall_t request = { .op = __HYPERVISOR_xen_version };

	MUST(ioctl(worker->fd, IOCTL_PRIVCMD_HYPERCALL, &request) >= 0x40000, "IOCTL_PRIVCMD_HYPERCALL");
}

const struct operation hypercall = { .name = "hypercall", .file = "privcmd", .max_batch = 1, .burst = 64, .once = version };

/* Frames of the domain, mapped and unmapped. `memory` has room for an error each. */

static xen_pfn_t frames[FRAMES];

static int *prepare_frames(unsigned int count)
{
	for (unsigned int index = 0; index < count; index++)
		frames[index] = FIRST_FRAME + index;
	return zeroed(count * sizeof(int));
}

static void *map_foreign(int fd, unsigned int count, int *errors)
{
	void *area = map(fd, count, 0);
	privcmd_mmapbatch_v2_t batch = {
		.num = count, .dom = domain, .addr = (uintptr_t)area, .arr = frames, .err = errors,
	};

	MUST(!ioctl(fd, IOCTL_PRIVCMD_MMAPBATCH_V2, &batch), "IOCTL_PRIVCMD_MMAPBATCH_V2");
	for (unsigned int index = 0; index < count; index++)
		expect(!errors[index], "a frame is not mapped");
	return area;
}

static void prepare_foreign(struct worker *worker)
{
	worker->memory = prepare_frames(worker->batch);
}

static void map_unmap_foreign(struct worker *worker)
{
	unmap(map_foreign(worker->fd, worker->batch, worker->memory), worker->batch);
}

const struct operation foreign = {
	.name = "foreign", .file = "privcmd", .max_batch = FRAMES, .burst = 1,
	.prepare = prepare_foreign, .once = map_unmap_foreign,
};

/* The first frame of the domain's grant table, mapped and unmapped. */

static void *map_table(int fd)
{
	void *area = map(fd, 1, 0);
	privcmd_mmap_resource_t resource = {
		.dom = domain, .type = GRANT_TABLE, .num = 1, .addr = (uintptr_t)area,
	};

	MUST(!ioctl(fd, IOCTL_PRIVCMD_MMAP_RESOURCE, &resource), "IOCTL_PRIVCMD_MMAP_RESOURCE");
	return area;
}

static void map_unmap_table(struct worker *worker)
{
	unmap(map_table(worker->fd), 1);
}

const struct operation resource = { .name = "resource", .file = "privcmd", .max_batch = 1, .burst = 4, .once = map_unmap_table };

/* The domain's grants, mapped and unmapped. `memory` is the request. */

static void prepare_grants(struct worker *worker)
{
	struct ioctl_gntdev_map_grant_ref *request;

	request = zeroed(sizeof(*request) + worker->batch * sizeof(request->refs[0]));
	request->count = worker->batch;
	for (unsigned int index = 0; index < worker->batch; index++) {
		struct ioctl_gntdev_grant_ref grant = { .domid = domain, .ref = FIRST_GRANT + index };

		memcpy(&request->refs[index], &grant, sizeof(grant));
	}
	worker->memory = request;
}

static void *map_grants(struct worker *worker)
{
	struct ioctl_gntdev_map_grant_ref *request = worker->memory;

	MUST(!ioctl(worker->fd, IOCTL_GNTDEV_MAP_GRANT_REF, request), "IOCTL_GNTDEV_MAP_GRANT_REF");
	return map(worker->fd, worker->batch, request->index);
}

static void unmap_grants(struct worker *worker, void *area)
{
	struct ioctl_gntdev_map_grant_ref *request = worker->memory;
	struct ioctl_gntdev_unmap_grant_ref unmapped = { .index = request->index, .count = worker->batch };

	unmap(area, worker->batch);
	MUST(!ioctl(worker->fd, IOCTL_GNTDEV_UNMAP_GRANT_REF, &unmapped), "IOCTL_GNTDEV_UNMAP_GRANT_REF");
}

static void map_unmap_grants(struct worker *worker)
{
	unmap_grants(worker, map_grants(worker));
}

const struct operation grants = {
	.name = "grants", .file = "gntdev", .max_batch = GRANTS, .burst = 1,
	.prepare = prepare_grants, .once = map_unmap_grants,
};

/* The domain's grants, a page each, copied. `memory` is the pages copied to, then the segments. */

static struct ioctl_gntdev_grant_copy_segment *segments(struct worker *worker)
{
	return (void *)((char *)worker->memory + worker->batch * PAGE);
}

static void prepare_copy(struct worker *worker)
{
	size_t size = worker->batch * (PAGE + sizeof(struct ioctl_gntdev_grant_copy_segment));

	worker->memory = aligned_alloc(PAGE, (size + PAGE - 1) / PAGE * PAGE);
	MUST(worker->memory, "aligned_alloc");
	memset(worker->memory, 0, size);
	for (unsigned int index = 0; index < worker->batch; index++) {
		struct ioctl_gntdev_grant_copy_segment *segment = segments(worker) + index;

		segment->flags = GNTCOPY_source_gref;
		segment->source.foreign.ref = FIRST_GRANT + index;
		segment->source.foreign.domid = domain;
		segment->dest.virt = (char *)worker->memory + index * PAGE;
		segment->len = PAGE;
	}
}

static void copy_grants(struct worker *worker)
{
	struct ioctl_gntdev_grant_copy request = { .count = worker->batch, .segments = segments(worker) };

	MUST(!ioctl(worker->fd, IOCTL_GNTDEV_GRANT_COPY, &request), "IOCTL_GNTDEV_GRANT_COPY");
	for (unsigned int index = 0; index < worker->batch; index++)
		expect(segments(worker)[index].status == GNTST_okay, "a grant is not copied");
}

const struct operation copy = {
	.name = "copy", .file = "gntdev", .max_batch = COPIES, .burst = 16,
	.prepare = prepare_copy, .once = copy_grants,
};

/* Pages granted to the domain, shown, and taken back. `memory` is the request. */

static void prepare_share(struct worker *worker)
{
	struct ioctl_gntalloc_alloc_gref *request;

	worker->memory = zeroed(sizeof(*request) + worker->batch * sizeof(request->gref_ids[0]));
}

static void share_pages(struct worker *worker)
{
	struct ioctl_gntalloc_alloc_gref *request = worker->memory;
	struct ioctl_gntalloc_dealloc_gref back = { .count = worker->batch };

	request->domid = domain;
	request->flags = GNTALLOC_FLAG_WRITABLE;
	request->count = worker->batch;
	MUST(!ioctl(worker->fd, IOCTL_GNTALLOC_ALLOC_GREF, request), "IOCTL_GNTALLOC_ALLOC_GREF");
	unmap(map(worker->fd, worker->batch, request->index), worker->batch);
	back.index = request->index;
	MUST(!ioctl(worker->fd, IOCTL_GNTALLOC_DEALLOC_GREF, &back), "IOCTL_GNTALLOC_DEALLOC_GREF");
}

const struct operation share = {
	.name = "share", .file = "gntalloc", .max_batch = GRANTS, .burst = 1,
	.prepare = prepare_share, .once = share_pages,
};

/* Grants the domain's first frames to dom0. */
static void grant(int privcmd)
{
	volatile grant_entry_v1_t *table = map_table(privcmd);

	grant_frames(table, GRANTS, GTF_permit_access);
	unmap((void *)table, 1);
}

/* What is written to a page by one way is read by all others. */
void prove(void)
{
	struct worker mapped = { .batch = GRANTS }, copied = { .batch = COPIES };
	int privcmd = open_device("privcmd"), *errors = prepare_frames(FRAMES);
	size_t words = PAGE / sizeof(uint64_t);
	volatile uint64_t *area, *granted;
	uint64_t salt = getpid();

	area = map_foreign(privcmd, FRAMES, errors);
	for (size_t page = 0; page < FRAMES; page++)
		area[page * words + page % words] = salt + page;
	unmap((void *)area, FRAMES);
	area = map_foreign(privcmd, FRAMES, errors);
	for (size_t page = 0; page < FRAMES; page++)
		expect(area[page * words + page % words] == salt + page, "a frame is not what it was");

	grant(privcmd);
	mapped.fd = copied.fd = open_device("gntdev");
	prepare_grants(&mapped);
	granted = map_grants(&mapped);
	for (size_t page = 0; page < GRANTS; page++) {
		expect(granted[page * words + page % words] == salt + page, "a grant is not of its frame");
		granted[page * words + page % words] = ~page;
		expect(area[page * words + page % words] == ~page, "what is written to a grant is not in its frame");
	}
	unmap_grants(&mapped, (void *)granted);
	prepare_copy(&copied);
	copy_grants(&copied);
	for (size_t page = 0; page < COPIES; page++)
		expect(((uint64_t *)copied.memory)[page * words + page % words] == ~page, "a grant's copy is not like it");
	unmap((void *)area, FRAMES);
}
