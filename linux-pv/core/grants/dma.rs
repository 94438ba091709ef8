// SPDX-License-Identifier: GPL-2.0

//! Pages to map grants at that a device can use: a buffer of the device's driver, whose memory is
//! given back to the hypervisor while it is one.

use kernel::{
    bindings as k,
    ffi::{
        c_int,
        c_uint, //
    },
    prelude::*, //
};

use core_bindings::{
    self as bindings,
    gnttab_dma_alloc_args, //
};

use xen_abi::PAGE_SIZE;
use xen_core::{
    declared_in_c,
    error::Error, //
};

use crate::{
    map::list,
    pages::{
        gnttab_pages_clear_private,
        gnttab_pages_set_private, //
    },
};

declared_in_c! {
    gnttab_dma_alloc_pages: unsafe extern "C" fn(*mut gnttab_dma_alloc_args) -> c_int;
    gnttab_dma_free_pages: unsafe extern "C" fn(*mut gnttab_dma_alloc_args) -> c_int;
}

/// The attributes of the buffer.
fn attributes(args: &gnttab_dma_alloc_args) -> usize {
    let attributes = match args.coherent {
        true => k::DMA_ATTR_NO_WARN,
        false => k::DMA_ATTR_NO_WARN | k::DMA_ATTR_WRITE_COMBINE,
    };
    attributes as usize
}

fn bytes(args: &gnttab_dma_alloc_args) -> usize {
    (args.nr_pages.max(0) as usize).saturating_mul(PAGE_SIZE)
}

/// Allocates a buffer and gives its memory back to the hypervisor. May sleep.
///
/// # Safety
///
/// The arguments are valid: a device, and lists with room for as many pages as they say.
#[no_mangle]
pub unsafe extern "C" fn gnttab_dma_alloc_pages(args: *mut gnttab_dma_alloc_args) -> c_int {
    // SAFETY: By the requirement of this function.
    let args = unsafe { &mut *args };
    if args.nr_pages < 0 || args.nr_pages > c_int::MAX / PAGE_SIZE as c_int {
        return Error::ENOMEM.to_raw();
    }
    let gfp = k::GFP_KERNEL | k::__GFP_NOWARN;
    let bus = &raw mut args.dev_bus_addr;
    // SAFETY: The device is valid.
    args.vaddr = unsafe { k::dma_alloc_attrs(args.dev, bytes(args), bus, gfp, attributes(args)) };
    if args.vaddr.is_null() {
        return Error::ENOMEM.to_raw();
    }
    let count = args.nr_pages as c_uint;
    let first = args.dev_bus_addr as usize / PAGE_SIZE;
    // SAFETY: The lists have so many elements. The pages are those of the buffer, which is new.
    let result = unsafe {
        let (pages, frames) = (list(args.pages, count), list(args.frames, count));
        for ((page, frame), pfn) in pages.iter_mut().zip(frames).zip(first..) {
            *page = bindings::xen_core_pfn_to_page(pfn);
            *frame = bindings::xen_core_page_to_gfn(*page);
            bindings::xen_core_scrub_page(*page);
        }
        bindings::xen_core_reset_va_mapping(count as usize, args.pages);
        match bindings::xenmem_reservation_decrease(args.nr_pages, args.frames) {
            done if done == args.nr_pages => gnttab_pages_set_private(args.nr_pages, args.pages),
            _ => Error::EFAULT.to_raw(),
        }
    };
    if result < 0 {
        // SAFETY: The lists and the buffer are those of above. What the hypervisor did not take is
        // the buffer's still; it is asked for all, and gives what is missing.
        let _ = unsafe { gnttab_dma_free_pages(args) };
    }
    result
}

/// Takes memory for a buffer from the hypervisor again, and frees the buffer. May sleep.
///
/// # Safety
///
/// The arguments are those of [`gnttab_dma_alloc_pages`], and nobody uses the buffer.
#[no_mangle]
pub unsafe extern "C" fn gnttab_dma_free_pages(args: *mut gnttab_dma_alloc_args) -> c_int {
    // SAFETY: By the requirement of this function.
    let args = unsafe { &mut *args };
    let count = args.nr_pages.max(0) as c_uint;
    // SAFETY: The lists have so many elements. The pages are those of the buffer.
    unsafe {
        gnttab_pages_clear_private(args.nr_pages, args.pages);
        // The hypervisor is told the pages' numbers, which are those of the buffer.
        let first = args.dev_bus_addr as usize / PAGE_SIZE;
        for (frame, pfn) in list(args.frames, count).iter_mut().zip(first..) {
            *frame = pfn;
        }
        let done = bindings::xenmem_reservation_increase(args.nr_pages, args.frames);
        let result = match done == args.nr_pages {
            true => 0,
            false => {
                pr_warn!("no memory for a DMA buffer of {count} pages: {done}\n");
                Error::EFAULT.to_raw()
            }
        };
        bindings::xen_core_update_va_mapping(count as usize, args.pages, args.frames);
        k::dma_free_attrs(
            args.dev,
            bytes(args),
            args.vaddr,
            args.dev_bus_addr,
            attributes(args),
        );
        result
    }
}
