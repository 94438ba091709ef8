// SPDX-License-Identifier: GPL-2.0

//! Importing a buffer for a device.
//!
//! Attachments are static: the exporter does not move the memory while it is mapped. Mapping waits
//! for fences of the kernel itself (moving or clearing memory), not for those of devices and
//! processes.

use core::ptr::NonNull;

use kernel::{
    bindings as k,
    error::from_err_ptr,
    prelude::*, //
};

use super::DmaBuf;
use crate::series;

/// The C functions. They are not called by generic code, which is compiled into drivers, since only
/// this module imports the namespace of their symbols.
mod calls {
    use kernel::bindings as k;

    macro_rules! calls {
        ($(
            fn $name:ident = $function:ident($($argument:ident: $type:ty),*) $(-> $result:ty)?;
        )*) => {
            $(
                /// # Safety
                ///
                /// That of the C function.
                #[inline(never)]
                pub(super) unsafe fn $name($($argument: $type),*) $(-> $result)? {
                    // SAFETY: By the requirements of this function.
                    unsafe { k::$function($($argument),*) }
                }
            )*
        };
    }

    calls! {
        fn attach = dma_buf_attach(
            buffer: *mut k::dma_buf, device: *mut k::device
        ) -> *mut k::dma_buf_attachment;
        fn detach = dma_buf_detach(buffer: *mut k::dma_buf, attachment: *mut k::dma_buf_attachment);
        fn map = dma_buf_map_attachment_unlocked(
            attachment: *mut k::dma_buf_attachment, direction: k::dma_data_direction
        ) -> *mut k::sg_table;
        fn unmap = dma_buf_unmap_attachment_unlocked(
            attachment: *mut k::dma_buf_attachment,
            table: *mut k::sg_table,
            direction: k::dma_data_direction
        );
    }
}

/// A device for which buffers are imported.
///
/// # Safety
///
/// `as_raw` always returns the same device, which is registered and has a DMA mask as long as this
/// value exists.
pub unsafe trait AsDevice: Send + Sync + 'static {
    /// The device.
    fn as_raw(&self) -> *mut k::device;
}

/// Direction of transfers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// The device reads.
    ToDevice,
    /// The device writes.
    FromDevice,
    /// The device reads and writes.
    Both,
}

impl Direction {
    fn as_raw(self) -> k::dma_data_direction {
        match self {
            Direction::ToDevice => series::DMA_TO_DEVICE,
            Direction::FromDevice => series::DMA_FROM_DEVICE,
            Direction::Both => series::DMA_BIDIRECTIONAL,
        }
    }
}

/// A buffer that is attached to a device; detached when this is dropped.
///
/// # Invariants
///
/// `attachment` is of `buffer` and `device`, which both exist as long.
pub struct Attachment<D: AsDevice> {
    attachment: NonNull<k::dma_buf_attachment>,
    buffer: DmaBuf,
    _device: D,
}

// SAFETY: Any task may detach a buffer; `D` is `Send`.
unsafe impl<D: AsDevice> Send for Attachment<D> {}
// SAFETY: A reference gives access to nothing.
unsafe impl<D: AsDevice> Sync for Attachment<D> {}

impl<D: AsDevice> Attachment<D> {
    /// Attaches a buffer. May sleep. To be called without the buffer's reservation lock.
    ///
    /// # Errors
    ///
    /// Those of the exporter, for instance `EBUSY` if the device cannot access the memory.
    pub fn new(buffer: DmaBuf, device: D) -> Result<Self> {
        // SAFETY: The buffer is valid by the invariant of `DmaBuf`, the device by the requirement
        // of `AsDevice`.
        let attachment = unsafe { calls::attach(buffer.as_raw(), device.as_raw()) };
        let attachment = NonNull::new(from_err_ptr(attachment)?).ok_or(ENOMEM)?;
        // INVARIANT: The attachment is of this buffer and device.
        Ok(Self {
            attachment,
            buffer,
            _device: device,
        })
    }

    /// Maps the buffer for the device. May sleep. To be called without the buffer's reservation
    /// lock.
    ///
    /// # Errors
    ///
    /// Those of the exporter, `EINTR` if the task gets a signal.
    pub fn map(self, direction: Direction) -> Result<Mapping<D>> {
        // SAFETY: By the type invariant the attachment is valid.
        let table = unsafe { calls::map(self.attachment.as_ptr(), direction.as_raw()) };
        let table = NonNull::new(from_err_ptr(table)?).ok_or(ENOMEM)?;
        // INVARIANT: The table is from mapping this attachment.
        Ok(Mapping {
            table,
            attachment: self,
            direction,
        })
    }
}

impl<D: AsDevice> Drop for Attachment<D> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the attachment is valid; it is not used afterwards.
        unsafe { calls::detach(self.buffer.as_raw(), self.attachment.as_ptr()) };
    }
}

/// A buffer that is mapped for a device; unmapped when this is dropped.
///
/// # Invariants
///
/// `table` is from mapping `attachment` in `direction`.
pub struct Mapping<D: AsDevice> {
    table: NonNull<k::sg_table>,
    attachment: Attachment<D>,
    direction: Direction,
}

// SAFETY: Any task may unmap a buffer; `D` is `Send`.
unsafe impl<D: AsDevice> Send for Mapping<D> {}
// SAFETY: The table is only read.
unsafe impl<D: AsDevice> Sync for Mapping<D> {}

impl<D: AsDevice> Mapping<D> {
    /// The segments of the buffer in the device's address space.
    pub fn segments(&self) -> Segments<'_> {
        // SAFETY: By the type invariant this is a valid table, which the exporter does not change.
        let table = unsafe { self.table.as_ref() };
        Segments {
            next: table.sgl,
            left: table.nents,
            _table: table,
        }
    }
}

impl<D: AsDevice> Drop for Mapping<D> {
    fn drop(&mut self) {
        let attachment = self.attachment.attachment.as_ptr();
        let direction = self.direction.as_raw();
        // SAFETY: By the type invariant the attachment is mapped with this table, which is not used
        // afterwards.
        unsafe { calls::unmap(attachment, self.table.as_ptr(), direction) };
    }
}

/// A contiguous part of a [`Mapping`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    /// The device's address.
    pub address: u64,
    /// Length in bytes.
    pub len: u64,
}

/// The segments of a [`Mapping`], in the order of the buffer.
///
/// # Invariants
///
/// `next` is the first of the last `left` entries of a mapped table.
#[derive(Clone)]
pub struct Segments<'a> {
    next: *mut k::scatterlist,
    left: u32,
    _table: &'a k::sg_table,
}

impl Iterator for Segments<'_> {
    type Item = Segment;

    fn next(&mut self) -> Option<Segment> {
        self.left = self.left.checked_sub(1)?;
        if self.next.is_null() {
            return None;
        }
        // SAFETY: By the type invariant this is a valid entry.
        let segment = unsafe {
            Segment {
                address: k::sg_dma_address(self.next),
                len: k::sg_dma_len(self.next).into(),
            }
        };
        // INVARIANT: One entry less is left.
        // SAFETY: By the type invariant this is a valid entry.
        self.next = unsafe { k::sg_next(self.next) };
        Some(segment)
    }
}
