// SPDX-License-Identifier: GPL-2.0
/*
 * Bodies of the shims declared in time.h.
 */

#include <linux/jump_label.h>

#include "time.h"

void xen_core_static_key_inc(struct static_key *key)
{
	static_key_slow_inc(key);
}
