/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Grants of a domain that does not run, which dom0 writes into its grant table.
 */
#ifndef GRANTED_H
#define GRANTED_H

#include <stdint.h>
#include <xen/xen.h>
#include <xen/grant_table.h>

/* The domain's frames: from 2 MiB on there is memory and nothing else. */
#define FIRST_FRAME 0x200
/* Its grants, of the same frames: the first eight are reserved. */
#define FIRST_GRANT 8
/* XENMEM_resource_grant_table, which headers keep from all but the toolstack. */
#define GRANT_TABLE 1

/* Grants the first frames to dom0, or no more if there are no flags. */
static inline void grant_frames(volatile grant_entry_v1_t *table, unsigned int count, uint16_t flags)
{
	for (unsigned int index = 0; index < count; index++) {
		table[FIRST_GRANT + index].flags = 0;
		table[FIRST_GRANT + index].domid = 0;
		table[FIRST_GRANT + index].frame = FIRST_FRAME + index;
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		table[FIRST_GRANT + index].flags = flags;
	}
}

#endif
