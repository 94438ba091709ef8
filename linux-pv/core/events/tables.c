// SPDX-License-Identifier: GPL-2.0
/*
 * What of the event channels has to be C: parameters of the command line, with the names that they
 * have in C.
 */

#include <linux/moduleparam.h>
#include <xen/events.h>

#include "../bindings/events.h"

#undef MODULE_PARAM_PREFIX
#define MODULE_PARAM_PREFIX "xen."

bool xen_fifo_events = true;
module_param_named(fifo_events, xen_fifo_events, bool, 0);

unsigned int xen_core_event_loop_timeout = 2;
module_param_named(event_loop_timeout, xen_core_event_loop_timeout, uint, 0644);

unsigned int xen_core_event_eoi_delay = 10;
module_param_named(event_eoi_delay, xen_core_event_eoi_delay, uint, 0644);
