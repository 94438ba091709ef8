// SPDX-License-Identifier: GPL-2.0
/*
 * devfile-load's operation on evtchn: an event there and one back, each sent, read and answered. The two ends of the
 * channel belong to one file, or to one of each thread's. A worker's `port` is what the first thread sends from, and
 * waits for; `other` is the other end.
 */

#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <xen/xen.h>
#include <xen/sys/evtchn.h>

#include "load.h"

/*
 * Has the interrupts of a worker's ports come to where it runs. Neither driver chooses, and where the kernel puts them
 * makes more of a difference than the driver.
 */
static void place_interrupts(const struct worker *worker)
{
	char line[1024], name[32], path[64];
	FILE *all = fopen("/proc/interrupts", "r");
	bool found = false;

	MUST(all, "/proc/interrupts");
	snprintf(name, sizeof(name), "evtchn:%s\n", thread_name(worker));
	while (fgets(line, sizeof(line), all)) {
		size_t length = strlen(line);
		FILE *file;

		if (length < strlen(name) || strcmp(line + length - strlen(name), name))
			continue;
		snprintf(path, sizeof(path), "/proc/irq/%ld/smp_affinity_list", strtol(line, NULL, 10));
		file = fopen(path, "w");
		MUST(file && fprintf(file, "%u\n", worker->cpu) > 0 && !fclose(file), path);
		found = true;
	}
	fclose(all);
	expect(found, "the ports have no interrupts");
}

void notify(int fd, uint32_t port)
{
	struct ioctl_evtchn_notify request = { .port = port };

	MUST(!ioctl(fd, IOCTL_EVTCHN_NOTIFY, &request), "IOCTL_EVTCHN_NOTIFY");
}

/* Waits for an event of `port`, and answers all that come. */
static void await(int fd, uint32_t port)
{
	uint32_t got;

	do {
		MUST(read(fd, &got, sizeof(got)) == sizeof(got), "reading an event");
		MUST(write(fd, &got, sizeof(got)) == sizeof(got), "answering an event");
	} while (got != port);
}

/* A new channel begins with an event. */
static void drain(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	uint32_t got;

	while (poll(&poll_fd, 1, 20) == 1) {
		MUST(read(fd, &got, sizeof(got)) == sizeof(got), "reading the first event");
		MUST(write(fd, &got, sizeof(got)) == sizeof(got), "answering the first event");
	}
}

static void prepare_events(struct worker *worker)
{
	struct ioctl_evtchn_bind_unbound_port unbound = { .remote_domain = 0 };
	struct ioctl_evtchn_bind_interdomain inter = { .remote_domain = 0 };
	struct worker *first = &workers[0], *last = &workers[worker->threads - 1];
	int port;

	if (worker == first) {
		port = ioctl(worker->fd, IOCTL_EVTCHN_BIND_UNBOUND_PORT, &unbound);
		MUST(port > 0, "IOCTL_EVTCHN_BIND_UNBOUND_PORT");
		worker->port = port;
	}
	pthread_barrier_wait(&barrier);
	if (worker == last) {
		inter.remote_port = first->port;
		port = ioctl(worker->fd, IOCTL_EVTCHN_BIND_INTERDOMAIN, &inter);
		MUST(port > 0, "IOCTL_EVTCHN_BIND_INTERDOMAIN");
		first->other = port;
	}
	pthread_barrier_wait(&barrier);
	place_interrupts(worker);
	drain(worker->fd);
}

static void there_and_back(struct worker *worker)
{
	notify(worker->fd, worker->port);
	if (worker->threads == 1) {
		await(worker->fd, worker->other);
		notify(worker->fd, worker->other);
	}
	await(worker->fd, worker->port);
}

static void serve_events(struct worker *worker)
{
	uint32_t port = workers[0].other;

	for (;;) {
		await(worker->fd, port);
		if (over)
			return;
		notify(worker->fd, port);
	}
}

const struct operation events = {
	.name = "events", .file = "evtchn", .max_batch = 1, .burst = 16,
	.prepare = prepare_events, .once = there_and_back, .serve = serve_events,
};
