// SPDX-License-Identifier: GPL-2.0

//! Seeing another driver's buffer as a device does.
//!
//! Attachments are static ones: the exporter leaves the memory where it is while it is mapped. Mapping waits until the
//! kernel itself has done what it does to the memory (moving it, clearing it), not for what devices and programs do.

use core::ptr::NonNull;

use kernel::bindings as k;
use kernel::error::from_err_ptr;
use kernel::prelude::*;

use super::DmaBuf;
use crate::series;

/// The kernel's functions. Generic code ends up in drivers, where their symbols are not found: only this module imports
/// their name space.
mod calls {
    use kernel::bindings as k;

    macro_rules! calls {
        ($(fn $name:ident = $function:ident($($argument:ident: $type:ty),*) $(-> $result:ty)?;)*) => {
            $(
                /// # Safety
                ///
                /// That of the function that it calls.
                #[inline(never)]
                pub(super) unsafe fn $name($($argument: $type),*) $(-> $result)? {
                    // SAFETY: By the requirements of this function.
                    unsafe { k::$function($($argument),*) }
                }
            )*
        };
    }

    calls! {
        fn attach = dma_buf_attach(buffer: *mut k::dma_buf, device: *mut k::device) -> *mut k::dma_buf_attachment;
        fn detach = dma_buf_detach(buffer: *mut k::dma_buf, attachment: *mut k::dma_buf_attachment);
        fn map = dma_buf_map_attachment_unlocked(
            attachment: *mut k::dma_buf_attachment, direction: k::dma_data_direction
        ) -> *mut k::sg_table;
        fn unmap = dma_buf_unmap_attachment_unlocked(
            attachment: *mut k::dma_buf_attachment, table: *mut k::sg_table, direction: k::dma_data_direction
        );
    }
}

/// A device that buffers are imported for.
///
/// # Safety
///
/// `as_raw` returns always the same device, which is registered and has a DMA mask as long as this exists.
pub unsafe trait AsDevice: Send + Sync + 'static {
    /// The device.
    fn as_raw(&self) -> *mut k::device;
}

/// What the device does with the memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// It reads.
    ToDevice,
    /// It writes.
    FromDevice,
    /// It reads and writes.
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

/// A buffer that is attached to a device. Dropped, it is detached.
///
/// # Invariants
///
/// `attachment` is that of `buffer` and `device`, which both are there as long as it.
pub struct Attachment<D: AsDevice> {
    attachment: NonNull<k::dma_buf_attachment>,
    buffer: DmaBuf,
    _device: D,
}

// SAFETY: A buffer can be detached by any task.
unsafe impl<D: AsDevice> Send for Attachment<D> {}
// SAFETY: There is nothing to do with a reference.
unsafe impl<D: AsDevice> Sync for Attachment<D> {}

impl<D: AsDevice> Attachment<D> {
    /// Attaches a buffer. May sleep; not with the buffer's reservation lock held.
    ///
    /// # Errors
    ///
    /// Whatever its exporter has to say against it, `EBUSY` if the device cannot reach the memory.
    pub fn new(buffer: DmaBuf, device: D) -> Result<Self> {
        // SAFETY: Both are valid.
        let attachment = unsafe { calls::attach(buffer.as_raw(), device.as_raw()) };
        let attachment = NonNull::new(from_err_ptr(attachment)?).ok_or(ENOMEM)?;
        // INVARIANT: It was made for these.
        Ok(Self {
            attachment,
            buffer,
            _device: device,
        })
    }

    /// Maps it for the device. May sleep; not with the buffer's reservation lock held.
    ///
    /// # Errors
    ///
    /// Whatever its exporter has to say against it, `EINTR` if the task got a signal.
    pub fn map(self, direction: Direction) -> Result<Mapping<D>> {
        // SAFETY: By the type invariant.
        let table = unsafe { calls::map(self.attachment.as_ptr(), direction.as_raw()) };
        let table = NonNull::new(from_err_ptr(table)?).ok_or(ENOMEM)?;
        // INVARIANT: It is mapped.
        Ok(Mapping {
            table,
            attachment: self,
            direction,
        })
    }
}

impl<D: AsDevice> Drop for Attachment<D> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant. It is not used after this.
        unsafe { calls::detach(self.buffer.as_raw(), self.attachment.as_ptr()) };
    }
}

/// A buffer that is mapped for a device: its memory stays until this is dropped.
///
/// # Invariants
///
/// `table` is what mapping `attachment` in `direction` has returned.
pub struct Mapping<D: AsDevice> {
    table: NonNull<k::sg_table>,
    attachment: Attachment<D>,
    direction: Direction,
}

// SAFETY: A buffer can be unmapped by any task.
unsafe impl<D: AsDevice> Send for Mapping<D> {}
// SAFETY: The table is only read.
unsafe impl<D: AsDevice> Sync for Mapping<D> {}

impl<D: AsDevice> Mapping<D> {
    /// Where the device finds the memory, piece by piece.
    pub fn segments(&self) -> Segments<'_> {
        // SAFETY: By the type invariant it is a table, which the exporter does not change.
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
        // SAFETY: By the type invariant. It is not used after this.
        unsafe { calls::unmap(attachment, self.table.as_ptr(), direction) };
    }
}

/// A piece of a [`Mapping`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    /// Where the device finds it.
    pub address: u64,
    /// Its length in bytes.
    pub len: u64,
}

/// The pieces of a [`Mapping`], in the order of the buffer.
///
/// # Invariants
///
/// `next` is the first of `left` entries of a table that is mapped.
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
        // SAFETY: By the type invariant it is an entry.
        let segment = unsafe {
            Segment {
                address: k::sg_dma_address(self.next),
                len: k::sg_dma_len(self.next).into(),
            }
        };
        // INVARIANT: There is one less, from the next on.
        // SAFETY: As above.
        self.next = unsafe { k::sg_next(self.next) };
        Some(segment)
    }
}
