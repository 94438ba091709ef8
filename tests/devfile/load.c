// SPDX-License-Identifier: GPL-2.0
/*
 * devfile-load DOMAIN prove: writes grants into the table of a paused domain and shows that the device files in dom0's
 * /dev/xen do what they are measured for.
 *
 * devfile-load DOMAIN WARM TIME CELL...: loads the device files, one cell after the other, each for WARM milliseconds and then
 * for TIME milliseconds that count. A cell is OPERATION:BATCH:THREADS; see `operations` for the operations. Prints for each
 *
 *	cell=foreign:64:1 rate=12345.678 total=400
 *
 * where `rate` is in hypercalls, pages or round trips a second, and `total` is all operations, those of WARM included.
 *
 * DOMAIN's memory and its grants are what is mapped. Dom0's own grants would not do: when a PVH domain maps one, Xen
 * takes the page away from where it was. DOMAIN has to be a PVH domain that has never run, with 32 MiB at least.
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

struct worker workers[THREADS];
pthread_barrier_t barrier;
volatile bool over;
uint16_t domain;

static const struct operation *const operations[] = { &hypercall, &foreign, &resource, &grants, &copy, &share, &events };
static double warm_time, time_limit;

void die(const char *what)
{
	perror(what);
	exit(1);
}

void expect(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "%s\n", what);
	exit(1);
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

int open_device(const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/dev/xen/%s", name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	MUST(fd >= 0, path);
	return fd;
}

const char *thread_name(const struct worker *worker)
{
	static const char *const names[THREADS] = { "load-0", "load-1" };

	return names[worker->number];
}

static void burst(struct worker *worker)
{
	for (unsigned int count = 0; count < worker->operation->burst; count++)
		worker->operation->once(worker);
	worker->total += worker->operation->burst;
}

/* An operation that has begun is brought to its end, so its time is what counts, not what was wanted. */
static void measure(struct worker *worker)
{
	double start = seconds(), now;
	uint64_t before;

	while (seconds() - start < warm_time)
		burst(worker);
	before = worker->total;
	start = seconds();
	do {
		burst(worker);
		now = seconds();
	} while (now - start < time_limit);
	worker->rate = (worker->total - before) * worker->batch / (now - start);
}

static void *work(void *argument)
{
	struct worker *worker = argument;
	const struct operation *operation = worker->operation;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(worker->cpu, &set);
	MUST(!sched_setaffinity(0, sizeof(set), &set), "sched_setaffinity");
	/* What a file's interrupts are called. */
	prctl(PR_SET_NAME, thread_name(worker));
	worker->fd = open_device(operation->file);
	if (operation->prepare)
		operation->prepare(worker);
	pthread_barrier_wait(&barrier);
	if (operation->serve && worker->number) {
		operation->serve(worker);
	} else {
		measure(worker);
		if (operation->serve && worker->threads > 1) {
			over = true;
			notify(worker->fd, worker->port);
		}
	}
	/* A port is not to go while the other end is at work. */
	pthread_barrier_wait(&barrier);
	close(worker->fd);
	free(worker->memory);
	return NULL;
}

static const struct operation *operation_of(const char *name)
{
	for (size_t index = 0; index < sizeof(operations) / sizeof(operations[0]); index++)
		if (!strcmp(operations[index]->name, name))
			return operations[index];
	return NULL;
}

static void run(const char *cell)
{
	unsigned int batch = 0, threads = 0, cpus = sysconf(_SC_NPROCESSORS_ONLN);
	pthread_t handles[THREADS];
	const struct operation *operation;
	char name[16] = "";
	uint64_t total = 0;
	double rate = 0;

	sscanf(cell, "%15[a-z]:%u:%u", name, &batch, &threads);
	operation = operation_of(name);
	if (!operation || !batch || batch > operation->max_batch || !threads || threads > THREADS || threads > cpus) {
		fprintf(stderr, "there is no cell %s\n", cell);
		exit(2);
	}
	over = false;
	memset(workers, 0, sizeof(workers));
	pthread_barrier_init(&barrier, NULL, threads);
	for (unsigned int number = 0; number < threads; number++) {
		/* The first processor does whatever else there is to do. */
		workers[number] = (struct worker){
			.operation = operation, .batch = batch, .number = number, .threads = threads, .cpu = cpus - 1 - number,
		};
	}
	for (unsigned int number = 0; number < threads; number++)
		MUST(!pthread_create(&handles[number], NULL, work, &workers[number]), "pthread_create");
	for (unsigned int number = 0; number < threads; number++) {
		pthread_join(handles[number], NULL);
		rate += workers[number].rate;
		total += workers[number].total;
	}
	pthread_barrier_destroy(&barrier);
	printf("cell=%s rate=%.3f total=%llu\n", cell, rate, (unsigned long long)total);
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "usage: devfile-load DOMAIN prove\n       devfile-load DOMAIN WARM TIME CELL...\n");
		return 2;
	}
	domain = atoi(argv[1]);
	if (!strcmp(argv[2], "prove")) {
		prove();
		return 0;
	}
	warm_time = atoi(argv[2]) / 1e3;
	time_limit = argc > 3 ? atoi(argv[3]) / 1e3 : 0;
	for (int index = 4; index < argc; index++)
		run(argv[index]);
	return 0;
}
