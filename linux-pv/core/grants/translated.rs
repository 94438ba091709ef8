// SPDX-License-Identifier: GPL-2.0

//! Where the table lies in an HVM or PVH domain: at frames of the domain's own address space that
//! hold no memory, and at which the hypervisor shows the table.
//!
//! In a PVH domain these are pages without memory, in an HVM domain those of the Xen platform
//! device. Status words of version 2 are at pages without memory in both. C has no place for them
//! there, and uses a null pointer.

use kernel::{
    bindings as k,
    ffi::{
        c_int,
        c_void, //
    },
    prelude::*, //
};

use core_bindings as bindings;

use xen_abi::{
    memory::{
        op::ADD_TO_PHYSMAP,
        space,
        AddToPhysmap,
        GRANT_TABLE_STATUS, //
    },
    xen::{
        domid,
        hypercall::MEMORY_OP, //
    },
    PAGE_SIZE, //
};

use xen_core::{
    declared_in_c,
    error::{
        Error,
        Result, //
    },
    hypercall_instruction::call2,
    irq_lock::IrqLock, //
};

use xen_grant::Version;

use xen_hypercall::Errno;

use crate::{
    entries::Place,
    frames, //
};

declared_in_c! {
    gnttab_setup_auto_xlat_frames: unsafe extern "C" fn(k::phys_addr_t) -> c_int;
    gnttab_free_auto_xlat_frames: unsafe extern "C" fn();
}

/// Frames at which the hypervisor can show parts of the table, and the address at which they are
/// mapped.
///
/// # Invariants
///
/// The frames are mapped at `address`, in their order, and used for nothing else.
struct Window {
    address: *mut u8,
    frames: Gfns,
}

// SAFETY: By the type invariant the memory is nobody else's, and mapped for all CPUs.
unsafe impl Send for Window {}

/// Numbers of frames.
enum Gfns {
    /// Consecutive ones.
    From {
        /// The first one.
        first: u64,
        /// How many.
        count: u32,
    },
    /// Any.
    List(KVVec<u64>),
}

impl Gfns {
    fn get(&self, index: u32) -> Option<u64> {
        match self {
            Self::From { first, count } if index < *count => Some(first.wrapping_add(index.into())),
            Self::From { .. } => None,
            Self::List(list) => list.get(index as usize).copied(),
        }
    }
}

impl Window {
    /// Of pages without memory. May sleep.
    fn of_pages(count: u32) -> Result<Self> {
        let (mut pages, mut list) = (KVVec::new(), KVVec::new());
        for _ in 0..count {
            pages.push(core::ptr::null_mut::<k::page>(), GFP_KERNEL)?;
        }
        // SAFETY: The list has room for so many.
        Error::check(unsafe { bindings::xen_core_alloc_unpopulated(count, pages.as_mut_ptr()) })?;
        let mut is_complete = true;
        for page in pages.iter() {
            // SAFETY: The page was just allocated.
            let number = unsafe { bindings::xen_core_page_to_gfn(*page) };
            is_complete &= list.push(number as u64, GFP_KERNEL).is_ok();
        }
        let address = match is_complete {
            // SAFETY: The pages were just allocated.
            true => unsafe { bindings::xen_core_vmap(pages.as_mut_ptr(), count) },
            false => core::ptr::null_mut(),
        };
        if address.is_null() {
            // SAFETY: They were just allocated, and are not used.
            unsafe { bindings::xen_core_free_unpopulated(count, pages.as_mut_ptr()) };
            return Err(Error::ENOMEM);
        }
        // INVARIANT: They were just mapped.
        Ok(Self {
            address: address.cast(),
            frames: Gfns::List(list),
        })
    }

    /// Shows frames of the table, from the last to the first, so that it grows at once. `kind` is
    /// added to their numbers.
    fn show(&self, kind: u64, from: u32, to: u32) -> Result {
        for index in (from..to).rev() {
            let mut add = AddToPhysmap {
                domid: domid::SELF,
                size: 0,
                space: space::GRANT_TABLE.into(),
                idx: kind | u64::from(index),
                gpfn: self.frames.get(index).ok_or(Error::ENOSPC)?,
            };
            let arguments = [u64::from(ADD_TO_PHYSMAP), (&raw mut add) as u64];
            // SAFETY: This is a domain of Xen's. By the type invariant the frame is used for
            // nothing else.
            let result = unsafe { call2(MEMORY_OP, arguments) };
            if result != 0 {
                pr_warn!("grant table add_to_physmap failed, err={result}\n");
                return Err(match Errno::check(result) {
                    Ok(_) => Error::EIO,
                    Err(error) => error.into(),
                });
            }
        }
        Ok(())
    }
}

/// The window that was prepared for the table before it is set up.
struct Prepared(Option<Window>);

// SAFETY: `init` is called before it is used.
static PREPARED: IrqLock<Prepared> = unsafe { IrqLock::new(Prepared(None)) };

/// Initialises the lock.
///
/// # Safety
///
/// To be called once, at boot, before any other function here.
pub(crate) unsafe fn init() {
    // SAFETY: By the requirement of this function.
    unsafe { PREPARED.init() };
}

/// Prepares a window of pages without memory.
#[cfg(CONFIG_XEN_PVH)]
pub(crate) fn prepare_pages() -> Result {
    let window = Window::of_pages(frames::max())?;
    PREPARED.with(|prepared| prepared.0 = Some(window));
    Ok(())
}

/// Prepares the window at a physical address: the platform device's memory.
#[no_mangle]
pub extern "C" fn gnttab_setup_auto_xlat_frames(address: k::phys_addr_t) -> c_int {
    if PREPARED.with(|prepared| prepared.0.is_some()) {
        return Error::EINVAL.to_raw();
    }
    let count = frames::max_now();
    let bytes = (count as usize).saturating_mul(PAGE_SIZE);
    // SAFETY: The caller owns the memory.
    let mapped = unsafe { k::memremap(address, bytes, k::MEMREMAP_WB as usize) };
    if mapped.is_null() {
        pr_warn!("Failed to ioremap gnttab share frames (addr={address:#x})!\n");
        return Error::ENOMEM.to_raw();
    }
    // INVARIANT: It was just mapped, and is the caller's for this.
    let window = Window {
        address: mapped.cast(),
        frames: Gfns::From {
            first: address / PAGE_SIZE as u64,
            count,
        },
    };
    PREPARED.with(|prepared| prepared.0 = Some(window));
    0
}

/// Undoes [`gnttab_setup_auto_xlat_frames`], if the table was not set up there.
#[no_mangle]
pub extern "C" fn gnttab_free_auto_xlat_frames() {
    if let Some(window) = PREPARED.with(|prepared| prepared.0.take()) {
        let address = window.address.cast::<c_void>();
        // SAFETY: It is from `memremap`, and was taken out.
        unsafe { k::memunmap(address) };
    }
}

/// The table of an HVM or PVH domain.
pub(crate) struct Translated {
    entries: Window,
    /// In version 2.
    status: Option<Window>,
}

impl Translated {
    /// In the window that was prepared. May sleep.
    pub(crate) fn new(version: Version, max: u32) -> Result<Self> {
        let status = match version {
            Version::V1 => None,
            Version::V2 => Some(Window::of_pages(version.status_frames(max))?),
        };
        match PREPARED.with(|prepared| prepared.0.take()) {
            Some(entries) => Ok(Self { entries, status }),
            None => {
                pr_warn!("gnttab share frames is not mapped!\n");
                Err(Error::ENOMEM)
            }
        }
    }

    /// Leaves the window for [`gnttab_free_auto_xlat_frames`].
    pub(crate) fn give_back(self) {
        let entries = self.entries;
        PREPARED.with(|prepared| prepared.0 = Some(entries));
    }

    /// See [`Mapping::map`](crate::frames::Mapping::map).
    pub(crate) fn map(&mut self, version: Version, from: u32, to: u32) -> Result<Place> {
        self.entries.show(0, from, to)?;
        let mut place = Place {
            entries: self.entries.address,
            status: core::ptr::null_mut(),
        };
        if version == Version::V2 {
            let status = self.status.as_ref().ok_or(Error::ENOSPC)?;
            // The frame with the last words of before is there already.
            let shown = version.status_frames(from);
            status.show(GRANT_TABLE_STATUS, shown, version.status_frames(to))?;
            place.status = status.address;
        }
        Ok(place)
    }
}
