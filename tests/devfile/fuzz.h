/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the parts of devfile-fuzz share.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stdint.h>

#define REFS 8
#define STAY 2
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Grants that there are or were; threads fight for them. */
extern volatile uint32_t refs[REFS];
/* Whether this is a domain that must not map its own grants (see calls.c). */
extern bool translated;

/* A number below `bound`. */
uint64_t pick(uint64_t bound);
/* Any number, one that is at some limit most of the time. */
uint64_t number(void);
/* Mostly small: it is what gets past the first check. */
uint64_t count(void);
/* Where there is memory of some kind, or none. */
char *address(void);

/* In fuzz_dmabuf.c: buffers of the kernel's, one of those that gntdev has made, and a request about some. */
extern int stay[STAY];
int udmabuf(void);
int made_buffer(void);
void dmabuf(int fd);

#endif
