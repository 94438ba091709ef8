// SPDX-License-Identifier: GPL-2.0
/*
 * The exports of xen_events to modules, those of drivers/xen/events. They are in C because the
 * version of an export is computed from its declaration in a C header.
 */

#include <linux/export.h>
#include <xen/events.h>

EXPORT_SYMBOL_GPL(irq_from_evtchn);
EXPORT_SYMBOL_GPL(notify_remote_via_irq);
EXPORT_SYMBOL_GPL(xen_irq_lateeoi);
EXPORT_SYMBOL_GPL(xen_irq_from_gsi);
EXPORT_SYMBOL_GPL(xen_pirq_from_irq);
EXPORT_SYMBOL_GPL(bind_evtchn_to_irq);
EXPORT_SYMBOL_GPL(bind_evtchn_to_irq_lateeoi);
EXPORT_SYMBOL_GPL(bind_interdomain_evtchn_to_irq_lateeoi);
EXPORT_SYMBOL_GPL(xen_evtchn_nr_channels);
EXPORT_SYMBOL_GPL(bind_evtchn_to_irqhandler);
EXPORT_SYMBOL_GPL(bind_evtchn_to_irqhandler_lateeoi);
EXPORT_SYMBOL_GPL(bind_interdomain_evtchn_to_irqhandler_lateeoi);
EXPORT_SYMBOL_GPL(bind_virq_to_irqhandler);
EXPORT_SYMBOL_GPL(unbind_from_irqhandler);
EXPORT_SYMBOL_GPL(xen_set_irq_priority);
EXPORT_SYMBOL_GPL(evtchn_make_refcounted);
EXPORT_SYMBOL_GPL(evtchn_get);
EXPORT_SYMBOL_GPL(evtchn_put);
EXPORT_SYMBOL_GPL(xen_evtchn_do_upcall);
EXPORT_SYMBOL(xen_clear_irq_pending);
EXPORT_SYMBOL(xen_poll_irq_timeout);
EXPORT_SYMBOL_GPL(xen_test_irq_shared);
