// SPDX-License-Identifier: GPL-2.0

//! dma-bufs: buffers that drivers share (`struct dma_buf`), and that processes have as file
//! descriptors.
//!
//! | item | concept |
//! |---|---|
//! | [`DmaBuf`] | a reference to a buffer |
//! | [`Exporter`], [`export()`] | exporting pages of a driver as a buffer |
//! | [`Attachment`], [`Mapping`] | importing a buffer for a device |
//! | [`FrameDevice`] | a device whose DMA addresses are physical addresses |
//!
//! The functions take the reservation lock of a buffer (`dma_resv`), which the caller must not
//! hold. An [`Exporter`] is called without it.
//!
//! C header: `include/linux/dma-buf.h`.

mod export;
mod frames;
mod import;
mod table;

use core::{
    mem::ManuallyDrop,
    ptr::NonNull, //
};

use kernel::{
    bindings as k,
    error::from_err_ptr,
    fs::file::{
        File,
        FileDescriptorReservation, //
    },
    prelude::*,
    sync::aref::ARef, //
};

pub use export::{
    export,
    Exporter,
    Pages, //
};
pub use frames::FrameDevice;
pub use import::{
    AsDevice,
    Attachment,
    Direction,
    Mapping,
    Segment,
    Segments, //
};

/// A reference to a buffer, which exists until the last one is dropped.
///
/// # Invariants
///
/// `0` is valid, and this value owns a reference to its file.
pub struct DmaBuf(NonNull<k::dma_buf>);

// SAFETY: A buffer may be used by any task, and has locks of its own.
unsafe impl Send for DmaBuf {}
// SAFETY: A buffer may be used by any task, and has locks of its own.
unsafe impl Sync for DmaBuf {}

impl DmaBuf {
    /// The buffer of file descriptor `fd` of the current process.
    ///
    /// # Errors
    ///
    /// `EBADF` if there is no such file, `EINVAL` if it is not a dma-buf.
    pub fn get(fd: u32) -> Result<Self> {
        // File descriptors are of type `int`; a negative one is never valid.
        // SAFETY: The function takes any number, and returns a reference or an error.
        unsafe { Self::from_raw(k::dma_buf_get(fd as i32)) }
    }

    /// The size in bytes: a multiple of the page size.
    pub fn size(&self) -> usize {
        // SAFETY: By the type invariant the buffer is valid; its size does not change.
        unsafe { self.0.as_ref().size }
    }

    /// Installs the buffer as a reserved file descriptor.
    pub fn install(self, fd: FileDescriptorReservation) {
        let this = ManuallyDrop::new(self);
        // SAFETY: By the type invariant the buffer is valid; its file does not change.
        let file = unsafe { this.0.as_ref().file };
        // SAFETY: By the type invariant this value owns a reference to the file, which is passed
        // on. There is no `fdget_pos` access to the file, since it has no position.
        let file = unsafe { ARef::from_raw(NonNull::new_unchecked(file.cast::<File>())) };
        fd.fd_install(file);
    }

    pub(crate) fn as_raw(&self) -> *mut k::dma_buf {
        self.0.as_ptr()
    }

    /// # Safety
    ///
    /// `buffer` is an error pointer, or a buffer to which the caller owns a reference.
    unsafe fn from_raw(buffer: *mut k::dma_buf) -> Result<Self> {
        // INVARIANT: By the requirement of this function.
        NonNull::new(from_err_ptr(buffer)?).map(Self).ok_or(ENOMEM)
    }
}

impl Drop for DmaBuf {
    fn drop(&mut self) {
        // SAFETY: By the type invariant this value owns a reference.
        unsafe { k::dma_buf_put(self.0.as_ptr()) };
    }
}
