/* SPDX-License-Identifier: GPL-2.0 */
/*
 * C functions around the PCI devices that dom0 passes to this domain. Without CONFIG_PCI_XEN there
 * are none.
 */
#ifndef XEN_RS_PCI_H
#define XEN_RS_PCI_H

#include <linux/types.h>

#if defined(CONFIG_PCI_XEN) && defined(CONFIG_PCI_MSI)
#include <linux/pci.h>
#include <asm/xen/pci.h>

/*
 * linux/msi.h: copies at most `room` indices of MSI-X entries without an interrupt; returns their
 * number.
 */
int xen_rs_msix_entries(struct pci_dev *dev, u16 *entries, int room);
#endif

#endif
