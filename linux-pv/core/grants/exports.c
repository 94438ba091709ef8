// SPDX-License-Identifier: GPL-2.0
/*
 * Exports of xen_grants to modules, and its parameters: those of drivers/xen/grant-table.c. They
 * are in C because the version of an export is computed from its declaration in a C header, and
 * because parameters are made by macros.
 */

#include <linux/export.h>
#include <linux/moduleparam.h>
#include <xen/grant_table.h>

#include "../bindings/grants.h"

/* The name of the C object. */
#undef MODULE_PARAM_PREFIX
#define MODULE_PARAM_PREFIX "grant_table."

module_param_named(version, xen_core_grant_version, uint, 0);
module_param_named(free_per_iteration, xen_core_grant_free_per_iteration, uint, 0600);

EXPORT_SYMBOL_GPL(gnttab_grant_foreign_access_ref);
EXPORT_SYMBOL_GPL(gnttab_grant_foreign_access);
EXPORT_SYMBOL_GPL(gnttab_end_foreign_access_ref);
EXPORT_SYMBOL_GPL(gnttab_try_end_foreign_access);
EXPORT_SYMBOL_GPL(gnttab_end_foreign_access);
EXPORT_SYMBOL_GPL(gnttab_free_grant_reference);
EXPORT_SYMBOL_GPL(gnttab_free_grant_references);
EXPORT_SYMBOL_GPL(gnttab_free_grant_reference_seq);
EXPORT_SYMBOL_GPL(gnttab_alloc_grant_references);
EXPORT_SYMBOL_GPL(gnttab_alloc_grant_reference_seq);
EXPORT_SYMBOL_GPL(gnttab_empty_grant_references);
EXPORT_SYMBOL_GPL(gnttab_claim_grant_reference);
EXPORT_SYMBOL_GPL(gnttab_release_grant_reference);
EXPORT_SYMBOL_GPL(gnttab_request_free_callback);
EXPORT_SYMBOL_GPL(gnttab_cancel_free_callback);
EXPORT_SYMBOL_GPL(gnttab_max_grant_frames);
EXPORT_SYMBOL_GPL(gnttab_setup_auto_xlat_frames);
EXPORT_SYMBOL_GPL(gnttab_free_auto_xlat_frames);
EXPORT_SYMBOL_GPL(gnttab_pages_set_private);
EXPORT_SYMBOL_GPL(gnttab_alloc_pages);
EXPORT_SYMBOL_GPL(gnttab_page_cache_init);
EXPORT_SYMBOL_GPL(gnttab_page_cache_get);
EXPORT_SYMBOL_GPL(gnttab_page_cache_put);
EXPORT_SYMBOL_GPL(gnttab_page_cache_shrink);
EXPORT_SYMBOL_GPL(gnttab_pages_clear_private);
EXPORT_SYMBOL_GPL(gnttab_free_pages);
#ifdef CONFIG_XEN_GRANT_DMA_ALLOC
EXPORT_SYMBOL_GPL(gnttab_dma_alloc_pages);
EXPORT_SYMBOL_GPL(gnttab_dma_free_pages);
#endif
EXPORT_SYMBOL_GPL(gnttab_batch_map);
EXPORT_SYMBOL_GPL(gnttab_batch_copy);
EXPORT_SYMBOL_GPL(gnttab_foreach_grant_in_range);
EXPORT_SYMBOL_GPL(gnttab_map_refs);
EXPORT_SYMBOL_GPL(gnttab_unmap_refs);
EXPORT_SYMBOL_GPL(gnttab_unmap_refs_async);
EXPORT_SYMBOL_GPL(gnttab_unmap_refs_sync);
EXPORT_SYMBOL_GPL(gnttab_init);
