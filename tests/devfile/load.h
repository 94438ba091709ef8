/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the parts of devfile-load share: workers, operations, and what all of them call.
 */

#ifndef LOAD_H
#define LOAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PAGE 4096ul
/* Pages that can be mapped in one batch. */
#define FRAMES 4096
#define GRANTS 128
#define COPIES 16
#define THREADS 2

/* One thread of a cell. */
struct worker {
	const struct operation *operation;
	unsigned int batch, number, threads, cpu;
	int fd;
	double rate;
	uint64_t total;
	/* What the operation needs; see its file. */
	void *memory;
	uint32_t port, other;
};

/* An operation. */
struct operation {
	const char *name, *file;
	/* The largest batch. */
	unsigned int max_batch;
	/* Operations between two looks at the clock, which may be as dear as the cheapest of them. */
	unsigned int burst;
	void (*prepare)(struct worker *worker);
	void (*once)(struct worker *worker);
	/* What all threads do but the first, if that is something else, until `over`. */
	void (*serve)(struct worker *worker);
};

extern struct worker workers[THREADS];
extern pthread_barrier_t barrier;
extern volatile bool over;
/* Whose memory and grants are mapped. */
extern uint16_t domain;

/* load-maps.c */
extern const struct operation hypercall, foreign, resource, grants, copy, share;
/* load-events.c */
extern const struct operation events;

/* The end, with the reason of the last system call. */
void __attribute__((noreturn)) die(const char *what);
#define MUST(condition, what) do { if (!(condition)) die(what); } while (0)
/* The end, unless the condition holds. */
void expect(bool condition, const char *what);

/* Opens a device file. */
int open_device(const char *name);
/* By which the interrupts of the files that a thread has opened are known. */
const char *thread_name(const struct worker *worker);
/* Sends an event to the other end of a port. */
void notify(int fd, uint32_t port);
/* Ends the program unless each operation on memory does what it should. */
void prove(void);

#endif
