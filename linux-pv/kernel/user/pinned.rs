// SPDX-License-Identifier: GPL-2.0

//! A program's memory that is kept where it is.

use kernel::bindings as k;
use kernel::page::PAGE_SIZE;
use kernel::prelude::*;

/// Buffers of the current program whose pages are there, may be written to, and stay where they are while
/// this lives. They count as changed when it is dropped.
///
/// # Invariants
///
/// `pages` were pinned for writing and not unpinned.
pub struct Pinned {
    buffers: KVec<(usize, usize)>,
    pages: KVec<*mut k::page>,
}

impl Pinned {
    /// Pins buffers, each an address and bytes, that touch `pages` pages. May sleep.
    ///
    /// # Errors
    ///
    /// `EFAULT` if the program has no memory there that it may write to, or a buffer touches no page.
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
        // The kernel may pin fewer than it was asked for, and none only with an error.
        loop {
            let at = (address & !(PAGE_SIZE - 1)) + done * PAGE_SIZE;
            let left = i32::try_from(count - done)?;
            let room = self.pages.spare_capacity_mut().as_mut_ptr();
            // SAFETY: There is room for as many pages.
            let pinned = unsafe { k::pin_user_pages_fast(at, left, k::FOLL_WRITE, room.cast()) };
            if pinned <= 0 {
                return Err(match pinned {
                    0 => EFAULT,
                    error => Error::from_errno(error),
                });
            }
            // SAFETY: That many pages were written to the room, which has been reserved.
            // INVARIANT: They are pinned.
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
        // SAFETY: By the type invariant.
        unsafe { k::unpin_user_pages_dirty_lock(pages, count, true) };
    }
}
