// SPDX-License-Identifier: GPL-2.0

//! Pinned user memory.

use kernel::{
    bindings as k,
    page::PAGE_SIZE,
    prelude::*, //
};

/// Buffers of the current process whose pages are pinned for writing. They are marked dirty and
/// unpinned when this is dropped.
///
/// # Invariants
///
/// `pages` are pinned for writing by this value.
pub struct Pinned {
    buffers: KVec<(usize, usize)>,
    pages: KVec<*mut k::page>,
}

impl Pinned {
    /// Pins buffers, each given by address and length, which have `pages` pages in all. May sleep.
    ///
    /// # Errors
    ///
    /// `EFAULT` if a buffer is empty or not writable user memory.
    pub fn new(buffers: KVec<(usize, usize)>, pages: usize) -> Result<Self> {
        let mut this = Self {
            buffers,
            pages: KVec::with_capacity(pages, GFP_KERNEL)?,
        };
        for index in 0..this.buffers.len() {
            if let Some((address, size)) = this.buffers.get(index).copied() {
                this.pin(address, size)?;
            }
        }
        Ok(this)
    }

    fn pin(&mut self, address: usize, size: usize) -> Result {
        address.checked_add(size).ok_or(EFAULT)?;
        let in_page = address % PAGE_SIZE;
        let count = in_page.checked_add(size).ok_or(EFAULT)?.div_ceil(PAGE_SIZE);
        if count == 0 {
            return Err(EFAULT);
        }
        self.pages.reserve(count, GFP_KERNEL)?;
        let mut done = 0;
        // The kernel may pin fewer pages than requested; if it pins none, there is an error.
        loop {
            let at = (address & !(PAGE_SIZE - 1)) + done * PAGE_SIZE;
            let left = i32::try_from(count - done)?;
            let room = self.pages.spare_capacity_mut().as_mut_ptr();
            // SAFETY: `room` has room for `left` pages.
            let pinned = unsafe { k::pin_user_pages_fast(at, left, k::FOLL_WRITE, room.cast()) };
            if pinned <= 0 {
                return Err(match pinned {
                    0 => EFAULT,
                    error => Error::from_errno(error),
                });
            }
            // INVARIANT: These pages are pinned.
            // SAFETY: That many elements were written to the reserved room.
            unsafe { self.pages.inc_len(pinned as usize) };
            done += pinned as usize;
            if done >= count {
                return Ok(());
            }
        }
    }

    /// The buffers.
    pub fn buffers(&self) -> &[(usize, usize)] {
        &self.buffers
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let (pages, count) = (self.pages.as_mut_ptr(), self.pages.len());
        // SAFETY: By the type invariant the pages are pinned for writing by this value.
        unsafe { k::unpin_user_pages_dirty_lock(pages, count, true) };
    }
}
