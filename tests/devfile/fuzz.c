// SPDX-License-Identifier: GPL-2.0
/*
 * devfile-fuzz SECONDS SEED: makes calls on the device files in dom0's /dev/xen that make no sense, or sense by chance, from
 * several threads of several processes at once, and takes the address space apart under them: areas are unmapped in
 * part, moved, inherited, left mapped at exit. Only results that a call can have are looked for; what has to hold is
 * that the kernel stays sound and nothing is left behind, which the scenario looks at.
 *
 * Run it on our drivers: C's stop the kernel on some of this. No guest should run, and it makes no hypercall but
 * harmless ones, since a program that may make any can stop the machine.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <xen/xen.h>
#include <xen/grant_table.h>
#include <xen/sys/evtchn.h>
#include <xen/sys/gntalloc.h>
#include <xen/sys/gntdev.h>
#include <xen/sys/privcmd.h>

#include "check.h"
#include "fuzz.h"

#define PROCESSES 3
#define THREADS 3
#define AREAS 12
/* Pages from one area to the next. */
#define APART 16

enum { EVTCHN, PRIVCMD, HYPERCALL, GNTALLOC, GNTDEV, FILES };
static const char *const names[FILES] = { "evtchn", "privcmd", "hypercall", "gntalloc", "gntdev" };

/* What threads of a process fight for: read and written without a lock, on purpose. */
static volatile int fds[FILES];
static volatile uint32_t ports[8];
volatile uint32_t refs[REFS];
static volatile int events[4];
static volatile uint64_t offsets[8];
static char *good, *read_only, *arena;
bool translated;
static time_t end;

static __thread uint64_t state;

static uint64_t rnd(void)
{
	/* xorshift64 */
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

uint64_t pick(uint64_t bound)
{
	return rnd() % bound;
}

uint64_t number(void)
{
	static const uint64_t some[] = {
		0, 1, 2, 3, 15, 16, 17, 255, 511, 512, 513, 4095, 4096, 4097, 65536, 65537, 1 << 30, INT32_MAX,
		UINT32_MAX, 1ull << 47, INT64_MAX, UINT64_MAX - 4095, UINT64_MAX,
	};

	return pick(8) ? some[pick(COUNT(some))] : rnd() >> pick(64);
}

/* Where there may be an area; all are in one place, so that nothing else of the program is there. */
static void *area(void)
{
	return arena + PAGE * (APART * pick(AREAS) + (pick(8) ? 0 : pick(3)));
}

/* Mostly small: it is what gets past the first check. */
uint64_t count(void)
{
	return pick(4) ? pick(5) : number();
}

char *address(void)
{
	switch (pick(8)) {
	case 0: return NULL;
	case 1: return read_only + pick(PAGE);
	case 2: return (char *)number();
	case 3: return area();
	case 4: return good + 16 * PAGE - pick(64);
	default: return good + pick(8 * PAGE);
	}
}

static domid_t domain(void)
{
	return pick(3) ? 0x7000 : DOMID_SELF;
}

static void evtchn(int fd)
{
	union {
		struct ioctl_evtchn_bind_virq virq;
		struct ioctl_evtchn_bind_interdomain inter;
		struct ioctl_evtchn_bind_unbound_port unbound;
		struct ioctl_evtchn_unbind unbind;
		struct ioctl_evtchn_restrict_domid limit;
	} arg = { 0 };
	void *where = pick(8) ? (void *)&arg : address();
	uint32_t some[64];
	long port;

	switch (pick(10)) {
	case 0:
		arg.virq.virq = count();
		port = ioctl(fd, IOCTL_EVTCHN_BIND_VIRQ, where);
		break;
	case 1:
		arg.inter.remote_port = ports[pick(COUNT(ports))];
		port = ioctl(fd, IOCTL_EVTCHN_BIND_INTERDOMAIN, where);
		break;
	case 2:
	case 3:
		port = ioctl(fd, IOCTL_EVTCHN_BIND_UNBOUND_PORT, where);
		break;
	case 4:
		arg.unbind.port = ports[pick(COUNT(ports))];
		ioctl(fd, IOCTL_EVTCHN_UNBIND, where);
		return;
	case 5:
		arg.unbind.port = pick(8) ? ports[pick(COUNT(ports))] : number();
		ioctl(fd, IOCTL_EVTCHN_NOTIFY, where);
		return;
	case 6:
		ioctl(fd, IOCTL_EVTCHN_RESET, where);
		return;
	case 7:
		if (read(fd, pick(4) ? (void *)some : address(), pick(sizeof(some))) < 0)
			return;
		return;
	case 8:
		for (size_t index = 0; index < COUNT(some); index++)
			some[index] = ports[pick(COUNT(ports))];
		if (write(fd, pick(4) ? (void *)some : address(), pick(sizeof(some))) < 0)
			return;
		return;
	default:
		if (!pick(200)) {
			arg.limit.domid = domain();
			ioctl(fd, IOCTL_EVTCHN_RESTRICT_DOMID, where);
		}
		poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 0);
		return;
	}
	if (port > 0)
		ports[pick(COUNT(ports))] = port;
}

static void privcmd(int fd)
{
	privcmd_hypercall_t version = { .op = __HYPERVISOR_xen_version };
	privcmd_mmapbatch_v2_t batch = {
		.num = count(), .dom = domain(), .addr = (uintptr_t)area(), .arr = (void *)address(),
		.err = (void *)address(),
	};
	privcmd_mmapbatch_t old = {
		.num = count(), .dom = domain(), .addr = (uintptr_t)area(), .arr = (void *)address(),
	};
	privcmd_mmap_entry_t entries[3];
	privcmd_mmap_t ranges = { .num = pick(4), .dom = domain(), .entry = entries };
	privcmd_mmap_resource_t resource = {
		.dom = domain(), .type = pick(4), .id = pick(3), .idx = count(), .num = count(),
		.addr = (uintptr_t)area(),
	};
	privcmd_dm_op_buf_t bufs[3];
	privcmd_dm_op_t dm_op = { .dom = 0x7000, .num = pick(20), .ubufs = bufs };
	/* Raising interrupts, and what a worker does, in a domain that there is not. */
	uint32_t buffer[8] = { pick(2) ? 14 : pick(22) };
	volatile int *event = &events[pick(COUNT(events))];
	struct irqfd irqfd = {
		.dm_op = pick(8) ? (uintptr_t)buffer : (uintptr_t)address(), .size = pick(8) ? sizeof(buffer) : number(),
		.fd = pick(16) ? *event : fd, .flags = pick(16) ? pick(2) : number(), .dom = 0x7000 + pick(2),
	};
	uint32_t some[3] = { ports[pick(8)], ports[pick(8)], ports[pick(8)] };
	struct ioeventfd ioeventfd = {
		.ioreq = (uintptr_t)area(), .ports = pick(8) ? (uintptr_t)some : (uintptr_t)address(),
		.addr = number(), .addr_len = 1 << pick(5), .event_fd = *event, .vcpus = pick(16) ? pick(4) : number(),
		.vq = count(), .flags = pick(16) ? pick(2) : number(), .dom = pick(2) ? 0 : 0x7000,
	};
	uint64_t one = 1;
	domid_t limit = domain();
	int new;

	for (size_t index = 0; index < COUNT(entries); index++) {
		entries[index].va = (uintptr_t)area() + PAGE * index;
		entries[index].mfn = pick(1 << 20);
		entries[index].npages = count();
		bufs[index].uptr = address();
		bufs[index].size = pick(5000);
	}
	switch (pick(12)) {
	case 8: ioctl(fd, PRIVCMD_IRQFD, pick(16) ? (void *)&irqfd : address()); break;
	case 9: ioctl(fd, PRIVCMD_IOEVENTFD, pick(16) ? (void *)&ioeventfd : address()); break;
	case 10:
		if (write(*event, &one, sizeof(one)) < 0)
			break;
		break;
	case 11:
		/* In place of the old one, whose number others use. */
		new = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (new >= 0 && dup3(new, *event, O_CLOEXEC) >= 0)
			close(new);
		break;
	case 0: ioctl(fd, IOCTL_PRIVCMD_HYPERCALL, pick(4) ? (void *)&version : NULL); break;
	case 1: ioctl(fd, IOCTL_PRIVCMD_MMAP, &ranges); break;
	case 2: ioctl(fd, IOCTL_PRIVCMD_MMAPBATCH, pick(8) ? (void *)&old : address()); break;
	case 3:
	case 4: ioctl(fd, IOCTL_PRIVCMD_MMAPBATCH_V2, pick(8) ? (void *)&batch : address()); break;
	case 5: ioctl(fd, IOCTL_PRIVCMD_DM_OP, &dm_op); break;
	case 6: ioctl(fd, IOCTL_PRIVCMD_MMAP_RESOURCE, &resource); break;
	default:
		if (!pick(200))
			ioctl(fd, IOCTL_PRIVCMD_RESTRICT, &limit);
		ioctl(fd, IOCTL_PRIVCMD_PCIDEV_GET_GSI, address());
	}
}

static void gntalloc(int fd)
{
	struct {
		struct ioctl_gntalloc_alloc_gref op;
		uint32_t more[8];
	} alloc = { .op = { .domid = pick(2) ? 0 : 0x7000, .flags = pick(2), .count = count() } };
	struct ioctl_gntalloc_dealloc_gref dealloc = {
		.index = offsets[pick(COUNT(offsets))], .count = count(),
	};
	struct ioctl_gntalloc_unmap_notify notify = {
		.index = offsets[pick(COUNT(offsets))] + pick(2 * PAGE), .action = pick(5),
		.event_channel_port = ports[pick(COUNT(ports))],
	};
	size_t slot = pick(COUNT(refs));

	switch (pick(4)) {
	case 0:
		if (alloc.op.count > 8 && alloc.op.count <= 1024)
			alloc.op.count = 8;
		if (!ioctl(fd, IOCTL_GNTALLOC_ALLOC_GREF, pick(8) ? (void *)&alloc : address())) {
			refs[slot] = alloc.op.gref_ids[0];
			offsets[slot] = alloc.op.index;
		}
		break;
	case 1: ioctl(fd, IOCTL_GNTALLOC_DEALLOC_GREF, &dealloc); break;
	default: ioctl(fd, IOCTL_GNTALLOC_SET_UNMAP_NOTIFY, &notify);
	}
}

static void gntdev(int fd)
{
	struct {
		struct ioctl_gntdev_map_grant_ref op;
		struct ioctl_gntdev_grant_ref more[8];
	} grants = { .op = { .count = count() } };
	struct ioctl_gntdev_unmap_grant_ref unmap = { .index = PAGE * pick(12), .count = pick(4) };
	struct ioctl_gntdev_get_offset_for_vaddr where = { .vaddr = (uintptr_t)area() };
	struct ioctl_gntdev_unmap_notify notify = {
		.index = PAGE * pick(12) + pick(PAGE), .action = pick(5),
		.event_channel_port = ports[pick(COUNT(ports))],
	};
	struct ioctl_gntdev_grant_copy_segment segments[4];
	struct ioctl_gntdev_grant_copy copy = { .count = count(), .segments = segments };

	if (grants.op.count > 8 && grants.op.count <= 65536)
		grants.op.count = 8;
	if (copy.count > COUNT(segments))
		copy.segments = (void *)address();
	for (size_t index = 0; index < 8; index++) {
		/* A frame that a translated domain maps again is not where its kernel has it any more (see calls.c). */
		(&grants.op.refs[0])[index].domid = translated ? 0x7000 : 0;
		(&grants.op.refs[0])[index].ref = pick(8) ? refs[pick(COUNT(refs))] : number();
	}
	for (size_t index = 0; index < COUNT(segments); index++) {
		segments[index].source.virt = address();
		segments[index].dest.virt = good + pick(8 * PAGE);
		segments[index].len = pick(4200);
		segments[index].flags = pick(3);
		if (segments[index].flags & GNTCOPY_source_gref) {
			segments[index].source.foreign.ref = refs[pick(COUNT(refs))];
			segments[index].source.foreign.offset = pick(100);
			segments[index].source.foreign.domid = 0;
		}
		if (segments[index].flags & GNTCOPY_dest_gref) {
			segments[index].dest.foreign.ref = refs[pick(COUNT(refs))];
			segments[index].dest.foreign.offset = pick(100);
			segments[index].dest.foreign.domid = 0;
		}
	}
	switch (pick(6)) {
	case 0:
	case 1: ioctl(fd, IOCTL_GNTDEV_MAP_GRANT_REF, pick(8) ? (void *)&grants : address()); break;
	case 2: ioctl(fd, IOCTL_GNTDEV_UNMAP_GRANT_REF, &unmap); break;
	case 3: ioctl(fd, IOCTL_GNTDEV_GET_OFFSET_FOR_VADDR, &where); break;
	case 4: ioctl(fd, IOCTL_GNTDEV_SET_UNMAP_NOTIFY, &notify); break;
	default: ioctl(fd, IOCTL_GNTDEV_GRANT_COPY, &copy);
	}
}

/* Maps anonymous memory there, so that no other mapping takes the addresses. */
static void nothing(char *at, size_t pages)
{
	mmap(at, pages * PAGE, PROT_NONE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

/* Maps, and takes areas apart. Their memory is only read, and by the kernel: a fault is an error, no signal. */
static void memory(void)
{
	char *at = area(), *to = area();
	size_t pages = 1 + pick(4);
	int pipes[2];

	switch (pick(8)) {
	case 0:
	case 1:
		mmap(at, pages * PAGE, pick(4) ? PROT_READ | PROT_WRITE : PROT_READ,
		     MAP_FIXED | (pick(8) ? MAP_SHARED : MAP_PRIVATE),
		     pick(6) ? fds[1 + pick(FILES - 1)] : made_buffer(),
		     pick(2) ? PAGE * pick(12) : offsets[pick(COUNT(offsets))]);
		break;
	case 2:
		nothing(at, 8);
		break;
	case 3:
		nothing(at + PAGE * pick(2), 1);
		break;
	case 4:
		if (mremap(at, pages * PAGE, (1 + pick(4)) * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to)
			nothing(at, pages);
		break;
	case 5:
		mprotect(at, PAGE, PROT_READ | (pick(2) ? PROT_WRITE : 0));
		break;
	case 6:
		madvise(at, PAGE, MADV_DONTNEED);
		break;
	default:
		if (!pipe2(pipes, O_CLOEXEC | O_NONBLOCK)) {
			if (write(pipes[1], at, pages * PAGE) < 0)
				errno = 0;
			close(pipes[0]);
			close(pipes[1]);
		}
	}
}

static void reopen(size_t file)
{
	char path[32];
	int new;

	snprintf(path, sizeof(path), "/dev/xen/%s", names[file]);
	new = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (new >= 0 && dup3(new, fds[file], O_CLOEXEC) >= 0)
		close(new);
}

static void inherit(void)
{
	pid_t child = fork();

	if (!child) {
		/* What is inherited is used a little, then left to the end of the process. */
		for (int calls = 0; calls < 20; calls++)
			memory();
		_exit(0);
	}
	if (child > 0)
		waitpid(child, NULL, 0);
}

static void *thread(void *seed)
{
	uint64_t calls = 0;

	state = (uintptr_t)seed;
	while (time(NULL) < end) {
		for (int turn = 0; turn < 64; turn++, calls++) {
			size_t file = pick(FILES + 2);

			switch (file) {
			case EVTCHN: evtchn(fds[file]); break;
			case PRIVCMD: privcmd(fds[file]); break;
			case GNTALLOC: gntalloc(fds[file]); break;
			case GNTDEV: pick(3) ? gntdev(fds[file]) : dmabuf(fds[file]); break;
			default: memory();
			}
		}
		if (!pick(16))
			reopen(pick(FILES));
		if (!pick(64))
			inherit();
	}
	return (void *)(uintptr_t)calls;
}

static int process(uint64_t seed)
{
	pthread_t threads[THREADS];
	uint64_t calls = 0;
	char path[32];

	for (size_t file = 0; file < FILES; file++) {
		snprintf(path, sizeof(path), "/dev/xen/%s", names[file]);
		fds[file] = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
		if (fds[file] < 0) {
			perror(path);
			return 2;
		}
	}
	for (size_t event = 0; event < COUNT(events); event++)
		events[event] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	for (size_t index = 0; index < COUNT(stay); index++)
		stay[index] = udmabuf();
	good = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	read_only = mmap(NULL, 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	arena = mmap(NULL, AREAS * APART * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (good == MAP_FAILED || read_only == MAP_FAILED || arena == MAP_FAILED)
		return 2;
	for (int number = 0; number < THREADS; number++)
		if (pthread_create(&threads[number], NULL, thread, (void *)(seed + number + 1)))
			return 2;
	for (int number = 0; number < THREADS; number++) {
		void *done = NULL;

		pthread_join(threads[number], &done);
		calls += (uintptr_t)done;
	}
	printf("%llu calls\n", (unsigned long long)calls);
	return 0;
}

int main(int argc, char **argv)
{
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	int worst = 0, status;

	translated = !is_pv();
	if (argc < 2) {
		fprintf(stderr, "usage: devfile-fuzz SECONDS SEED\n");
		return 2;
	}
	end = time(NULL) + atoi(argv[1]);
	for (int number = 0; number < PROCESSES; number++) {
		pid_t child = fork();

		if (!child) {
			status = process(seed * 1000003 + number * 101);
			fflush(stdout);
			/* Everything is left open and mapped. */
			_exit(status);
		}
	}
	while (wait(&status) > 0) {
		if (!WIFEXITED(status))
			worst = 3;
		else if (WEXITSTATUS(status) > worst)
			worst = WEXITSTATUS(status);
	}
	return worst;
}
