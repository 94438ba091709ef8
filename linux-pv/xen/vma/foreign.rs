// SPDX-License-Identifier: GPL-2.0

//! Frames of other domains in a program's address space.
//!
//! A PV domain has machine frames in its page tables. An auto-translated one (HVM, PVH) adds the
//! frames to its p2m at pages that have no memory, and maps those pages; when the last area that
//! maps them is removed, the frames are removed from the p2m, and the pages freed.

mod kept;

use core::mem;

use kernel::{
    bindings as k,
    error::to_result,
    new_mutex,
    page::{
        PAGE_MASK,
        PAGE_SHIFT, //
    },
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    },
};

use kernel_ext::vma::{
    bounds,
    AddressSpace,
    Callbacks,
    NewArea, //
};

use xen_abi::memory::{
    AcquireResource,
    RSRC_ACQ_CALLER_OWNED, //
};

use xen_bindings as bindings;

use crate::{
    debug,
    domain::{
        self,
        DomId, //
    },
    hypercall,
    page::Gfn, //
};

pub use kept::KeptPage;

/// What is behind an area.
enum Backing {
    /// It has never been filled.
    Unused,
    /// Machine frames.
    Machine,
    /// Pages without memory, one for each page of the area.
    Pages(Unpopulated),
}

/// Pages without memory. Dropping it removes the frames from the p2m and frees the pages. If the
/// frames cannot be removed, the pages are not freed: they would give access to another domain.
///
/// # Invariants
///
/// The pages are owned, and only mapped by areas with a reference to the [`Foreign`] that has this
/// value.
struct Unpopulated {
    pages: KVVec<*mut k::page>,
    /// At which of them a frame is, as many.
    filled: KVVec<bool>,
}

// SAFETY: By the type invariant the pages are owned; any task may map or free them.
unsafe impl Send for Unpopulated {}

impl Unpopulated {
    fn new(count: usize) -> Result<Self> {
        let flags = GFP_KERNEL_ACCOUNT | __GFP_NOWARN;
        let mut pages = KVVec::from_elem(core::ptr::null_mut(), count, flags)?;
        let filled = KVVec::from_elem(false, count, flags)?;
        let number = u32::try_from(count).map_err(|_| ENOMEM)?;
        // SAFETY: There is room for as many pages.
        let got = unsafe { bindings::xen_rs_alloc_unpopulated(number, pages.as_mut_ptr()) };
        to_result(got).map_err(|_| ENOMEM)?;
        debug::FOREIGN_PAGES.add(count);
        Ok(Self { pages, filled })
    }

    /// `count` pages from `index` on, as an array.
    fn part(&mut self, index: usize, count: usize) -> Result<*mut *mut k::page> {
        let end = index.checked_add(count).ok_or(EINVAL)?;
        let part = self.pages.get_mut(index..end).ok_or(EINVAL)?;
        Ok(part.as_mut_ptr())
    }

    /// Notes for each page from `index` on whether there is a frame now.
    fn note(&mut self, index: usize, filled: impl Iterator<Item = bool>) {
        for (place, filled) in self.filled.iter_mut().skip(index).zip(filled) {
            *place = filled;
        }
    }

    /// A page at which there is a frame.
    fn filled(&self, index: usize) -> Option<*mut k::page> {
        let filled = self.filled.get(index).copied().unwrap_or(false);
        self.pages.get(index).copied().filter(|_| filled)
    }
}

impl Drop for Unpopulated {
    fn drop(&mut self) {
        let (pages, count) = (self.pages.as_mut_ptr(), self.pages.len());
        // No area is left, and none is needed: only frames in page tables would be looked up in
        // there.
        let area = core::ptr::null_mut();
        // SAFETY: By the type invariant the pages are owned, and there is no area that maps them:
        // areas are unmapped before they are closed and put their reference.
        let gone = unsafe { bindings::xen_unmap_domain_gfn_range(area, count as i32, pages) };
        if gone == 0 {
            // SAFETY: By the type invariant the pages are owned; there are no frames any more.
            unsafe { bindings::xen_rs_free_unpopulated(count as u32, pages) };
            debug::FOREIGN_PAGES.sub(count);
        } else {
            pr_crit!(
                "{} pages are lost: frames of another domain stay there ({})\n",
                count,
                gone
            );
        }
    }
}

/// The data of an area.
#[pin_data]
struct Foreign {
    /// Taken with `mmap_lock` held.
    #[pin]
    backing: Mutex<Backing>,
}

// SAFETY: The callback has no requirements.
static CALLBACKS: Callbacks = unsafe {
    Callbacks::new::<Foreign>(k::vm_operations_struct {
        may_split: Some(may_split),
        ..pin_init::zeroed()
    })
};

/// An area is one piece: a part of it could not be found again by its beginning.
///
/// # Safety
///
/// None.
unsafe extern "C" fn may_split(_vma: *mut k::vm_area_struct, _addr: usize) -> i32 {
    EINVAL.to_errno()
}

/// Makes an empty area for frames of other domains. May sleep.
pub fn create(area: NewArea<'_>) -> Result {
    let data = Arc::pin_init(
        pin_init!(Foreign {
            backing <- new_mutex!(Backing::Unused, "xen::foreign"),
        }),
        GFP_KERNEL_ACCOUNT,
    )?;
    // Not copied by fork, which could not tell what to copy.
    let flags = k::VM_IO | k::VM_PFNMAP | k::VM_DONTCOPY | k::VM_DONTEXPAND | k::VM_DONTDUMP;
    // SAFETY: What is mapped into the area are frames, by functions that want these flags.
    unsafe { area.set_flags(flags as k::vm_flags_t) };
    // SAFETY: The callbacks were made for a `Foreign`.
    unsafe { area.finish(&CALLBACKS, data) };
    Ok(())
}

/// An area that [`create`] has made, in a locked address space. Addresses are rounded down to whole
/// pages; functions that take a range return `EINVAL` if it is not all in the area.
///
/// # Invariants
///
/// `vma` is an area of this kind, and `data` is its data.
pub struct Area<'a> {
    vma: *mut k::vm_area_struct,
    data: &'a Foreign,
}

impl<'a> Area<'a> {
    /// The area that an address is in, if it is for frames of other domains.
    pub fn find(space: &'a AddressSpace, address: usize) -> Option<Self> {
        let vma = space.find(address, &CALLBACKS)?;
        // SAFETY: The area has these callbacks, so its data is an `Arc<Foreign>`. While the lock is
        // held, the area is not removed, and owns its reference.
        let data = unsafe { &*(*vma).vm_private_data.cast::<Foreign>() };
        Some(Self { vma, data })
    }
}

impl Area<'_> {
    /// The address of its first byte.
    pub fn start(&self) -> usize {
        // SAFETY: By the type invariant the area is valid, and the lock is held.
        unsafe { bounds(self.vma) }.0
    }

    /// How many pages it has.
    pub fn pages(&self) -> usize {
        // SAFETY: By the type invariant the area is valid, and the lock is held.
        let (start, end) = unsafe { bounds(self.vma) };
        (end - start) >> PAGE_SHIFT
    }

    /// Whether it has been filled, or that was tried.
    pub fn is_used(&self) -> bool {
        !matches!(*self.data.backing.lock(), Backing::Unused)
    }

    /// Makes it ready for frames, if it is not. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if there are no pages to put frames at.
    pub fn prepare(&self) -> Result {
        self.prepare_if_new(&mut self.data.backing.lock()).map(drop)
    }

    /// Returns whether it was not ready before: then nothing is mapped in it.
    fn prepare_if_new(&self, backing: &mut Backing) -> Result<bool> {
        let is_new = matches!(*backing, Backing::Unused);
        if is_new {
            *backing = if domain::is_pv() {
                Backing::Machine
            } else {
                Backing::Pages(Unpopulated::new(self.pages())?)
            };
        }
        Ok(is_new)
    }

    /// The range's address, and the index of its first page in the area.
    fn range(&self, address: usize, pages: usize) -> Result<(usize, usize)> {
        let address = address & PAGE_MASK;
        let index = address.checked_sub(self.start()).ok_or(EINVAL)? >> PAGE_SHIFT;
        let end = index.checked_add(pages).ok_or(EINVAL)?;
        if end > self.pages() {
            return Err(EINVAL);
        }
        Ok((address, index))
    }

    /// Whether anything is mapped in a range. May sleep.
    pub fn is_mapped(&self, address: usize, pages: usize) -> Result<bool> {
        let (address, _) = self.range(address, pages)?;
        if pages == 0 {
            return Ok(false);
        }
        // SAFETY: The range is in the area, whose lock is held.
        Ok(unsafe { bindings::xen_rs_range_is_mapped(self.vma, address, pages) })
    }

    /// Maps a domain's frames to consecutive pages of an area that was [prepared](Self::prepare),
    /// and writes the result of each to `errors`: 0 or a negative error number. Returns how many
    /// are mapped or, for some kinds of domain, the error of the last one. May sleep.
    pub fn map(
        &self,
        address: usize,
        frames: &mut [u64],
        errors: &mut [i32],
        domain: DomId,
    ) -> Result<i32> {
        let count = frames.len().min(errors.len());
        let (address, index) = self.range(address, count)?;
        if count == 0 {
            return Ok(0);
        }
        let mut backing = self.data.backing.lock();
        let pages = match &mut *backing {
            Backing::Unused => return Err(EINVAL),
            Backing::Machine => core::ptr::null_mut(),
            Backing::Pages(pages) => pages.part(index, count)?,
        };
        // SAFETY: The range is in the area, which has the required flags (`VM_IO`, `VM_PFNMAP`),
        // and whose lock is held. There are at least `count` frames, errors and, unless the pointer
        // is null, pages, which belong to the area.
        let mapped = unsafe {
            bindings::xen_rs_remap_gfns(
                self.vma,
                address,
                frames.as_mut_ptr(),
                i32::try_from(count)?,
                errors.as_mut_ptr(),
                domain.get().into(),
                pages,
            )
        };
        if let Backing::Pages(pages) = &mut *backing {
            let there = errors.iter().map(|error| mapped >= 0 && *error == 0);
            pages.note(index, there.take(count));
        }
        Ok(mapped)
    }

    /// Maps consecutive frames of a domain, in a PV domain. May sleep.
    ///
    /// # Errors
    ///
    /// Those of the first frame that could not be mapped; those before it are. `EOPNOTSUPP` in
    /// other domains.
    pub fn map_range(&self, address: usize, first: u64, pages: usize, domain: DomId) -> Result {
        let (address, _) = self.range(address, pages)?;
        let count = i32::try_from(pages)?;
        let domain = domain.get().into();
        // SAFETY: The range is in the area, which has the flags that are asked for.
        let mapped =
            unsafe { bindings::xen_rs_remap_gfn_range(self.vma, address, first, count, domain) };
        to_result(mapped)
    }

    /// Maps frames of a domain's resource to consecutive pages of the area where nothing is mapped
    /// yet. `frames` is scratch space, as many as there are to map. May sleep.
    ///
    /// # Errors
    ///
    /// What the hypervisor says; `EINVAL` also if something is mapped there, or there is nothing to
    /// map; `ENOMEM` if there are no pages to put frames at.
    pub fn map_resource(
        &self,
        address: usize,
        resource: &AcquireResource,
        frames: &mut [u64],
    ) -> Result {
        let count = frames.len();
        let (address, index) = self.range(address, count)?;
        if count == 0 {
            return Err(EINVAL);
        }
        let mut backing = self.data.backing.lock();
        if !self.prepare_if_new(&mut backing)? && self.is_mapped(address, count)? {
            return Err(EINVAL);
        }
        match &mut *backing {
            Backing::Unused => Err(EINVAL),
            Backing::Machine => self.map_machine(address, resource, frames),
            Backing::Pages(own) => {
                let pages = own.part(index, count)?;
                for (number, frame) in frames.iter_mut().enumerate() {
                    // SAFETY: There are as many pages, and they are valid.
                    *frame = unsafe { Gfn::of(*pages.add(number)) }.0 as u64;
                }
                // SAFETY: The frames are those of pages without memory, which are not mapped.
                unsafe { hypercall::acquire_resource(resource, frames) }?;
                own.note(index, core::iter::repeat_n(true, count));
                self.map_pages(address, pages, count)
            }
        }
    }

    fn map_machine(
        &self,
        address: usize,
        resource: &AcquireResource,
        frames: &mut [u64],
    ) -> Result {
        // SAFETY: In a PV domain the hypervisor writes the frames to the slice, and changes no
        // memory.
        let flags = unsafe { hypercall::acquire_resource(resource, frames) }?;
        let owner = if flags & RSRC_ACQ_CALLER_OWNED != 0 {
            DomId::SELF
        } else {
            DomId::new(resource.domid)
        };
        let mut errors = KVVec::from_elem(0, frames.len(), GFP_KERNEL)?;
        // SAFETY: The caller has checked that the range is in the area, which has the required
        // flags (`VM_IO`, `VM_PFNMAP`), and whose lock is held. There are as many errors as frames.
        let mapped = unsafe {
            bindings::xen_rs_remap_mfns(
                self.vma,
                address,
                frames.as_mut_ptr(),
                i32::try_from(frames.len())?,
                errors.as_mut_ptr(),
                owner.get().into(),
            )
        };
        to_result(mapped)?;
        errors.iter().try_for_each(|error| to_result(*error))
    }

    /// Maps pages of the area's own.
    fn map_pages(&self, address: usize, pages: *mut *mut k::page, count: usize) -> Result {
        // SAFETY: The area exists while the address space is locked. The lock is held for writing,
        // and all other users of the area's data need it too.
        let data = unsafe { mem::replace(&mut (*self.vma).vm_private_data, pages.cast()) };
        // SAFETY: The function takes the pages from the area's data; there are as many, and the
        // range is in the area.
        let mapped =
            unsafe { bindings::xen_rs_remap_pages(self.vma, address, count << PAGE_SHIFT) };
        // SAFETY: The area exists while the address space is locked; this restores its data.
        unsafe { (*self.vma).vm_private_data = data };
        to_result(mapped)
    }
}
