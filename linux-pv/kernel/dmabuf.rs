// SPDX-License-Identifier: GPL-2.0

//! Buffers that are shared with other drivers (`struct dma_buf`), and with programs as file descriptors.
//!
//! | item | what it gives |
//! |---|---|
//! | [`DmaBuf`] | a share in a buffer |
//! | [`Exporter`], [`export()`] | making a buffer of a driver's pages |
//! | [`Attachment`], [`Mapping`] | seeing another driver's buffer as a device does |
//! | [`FrameDevice`] | a device that sees memory where it is |
//!
//! The reservation lock of a buffer (`dma_resv`) is taken by the functions that are called here, and not held by
//! anything that is called back without need: what an [`Exporter`] does happens without it.
//!
//! C header: `include/linux/dma-buf.h`.

mod export;
mod frames;
mod import;
mod table;

use core::mem::ManuallyDrop;
use core::ptr::NonNull;

use kernel::bindings as k;
use kernel::error::from_err_ptr;
use kernel::fs::file::{File, FileDescriptorReservation};
use kernel::prelude::*;
use kernel::sync::aref::ARef;

pub use export::{export, Exporter, Pages};
pub use frames::FrameDevice;
pub use import::{AsDevice, Attachment, Direction, Mapping, Segment, Segments};

/// A share in a buffer: it is there until the last one has gone.
///
/// # Invariants
///
/// `0` is valid, and this owns a reference to its file.
pub struct DmaBuf(NonNull<k::dma_buf>);

// SAFETY: A buffer is used by any task, and has locks of its own.
unsafe impl Send for DmaBuf {}
// SAFETY: As above.
unsafe impl Sync for DmaBuf {}

impl DmaBuf {
    /// The buffer that the current program has as this file descriptor. May not be called with the buffer's
    /// reservation lock held.
    ///
    /// # Errors
    ///
    /// `EBADF` if there is no such descriptor, `EINVAL` if it is something else's.
    pub fn get(fd: u32) -> Result<Self> {
        // The descriptors of files are `int`; those that are not are nobody's.
        // SAFETY: Whatever the number is, it is looked up, and a reference is returned.
        unsafe { Self::from_raw(k::dma_buf_get(fd as i32)) }
    }

    /// Bytes that it has: a multiple of a page.
    pub fn size(&self) -> usize {
        // SAFETY: By the type invariant; the size does not change.
        unsafe { self.0.as_ref().size }
    }

    /// Lets the program that has reserved a file descriptor have the buffer as that.
    pub fn install(self, fd: FileDescriptorReservation) {
        let this = ManuallyDrop::new(self);
        // SAFETY: By the type invariant it is valid; its file does not change.
        let file = unsafe { this.0.as_ref().file };
        // SAFETY: A buffer has a file, whose reference is passed on. Files of buffers have no position that reads and
        // writes would share.
        let file = unsafe { ARef::from_raw(NonNull::new_unchecked(file.cast::<File>())) };
        fd.fd_install(file);
    }

    pub(crate) fn as_raw(&self) -> *mut k::dma_buf {
        self.0.as_ptr()
    }

    /// # Safety
    ///
    /// `buffer` is an error, or comes with a reference to it that is passed on.
    unsafe fn from_raw(buffer: *mut k::dma_buf) -> Result<Self> {
        // INVARIANT: By the requirement of this function.
        NonNull::new(from_err_ptr(buffer)?).map(Self).ok_or(ENOMEM)
    }
}

impl Drop for DmaBuf {
    fn drop(&mut self) {
        // SAFETY: By the type invariant there is a reference to give back.
        unsafe { k::dma_buf_put(self.0.as_ptr()) };
    }
}
