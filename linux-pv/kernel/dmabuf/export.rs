// SPDX-License-Identifier: GPL-2.0

//! Making a buffer of a driver's pages.

use core::marker::PhantomData;

use kernel::bindings as k;
use kernel::ffi::c_int;
use kernel::new_mutex;
use kernel::page::PAGE_SIZE;
use kernel::prelude::*;
use kernel::sync::Mutex;
use kernel::types::ForeignOwnable;

use super::table::Table;
use super::DmaBuf;
use crate::module::InModule;
use crate::vma::NewArea;

/// Pages that can be shared with devices and programs, and stay what they are as long as what they are borrowed from.
#[derive(Clone, Copy)]
pub struct Pages<'a>(&'a [*mut k::page]);

impl<'a> Pages<'a> {
    /// # Safety
    ///
    /// The pages are valid, not in high memory, may be read and written by anybody, and are used for nothing else until
    /// the last reference to each of them has gone, and at least as long as what they are borrowed from exists.
    pub unsafe fn new(pages: &'a [*mut k::page]) -> Self {
        Self(pages)
    }

    pub(super) fn as_slice(&self) -> &'a [*mut k::page] {
        self.0
    }
}

/// What is exported as a buffer. It is dropped when the last one who has used the buffer has let go of it: devices,
/// programs that have it as a file or in an area of their address space. May sleep then.
pub trait Exporter: InModule + Send + Sync + 'static {
    /// Name of the driver, shown to those who look at the buffer.
    const NAME: &'static CStr;

    /// The pages, always the same.
    fn pages(&self) -> Pages<'_>;
}

/// Makes a buffer, which keeps the module of `T` loaded. Devices see its pages where the DMA interface maps them;
/// programs may map it, as a whole or in part, but share what they write. May sleep.
///
/// # Errors
///
/// `EINVAL` if there is no page, `ENOENT` if the module is being unloaded.
pub fn export<T: Exporter>(exporter: T) -> Result<DmaBuf> {
    let size = exporter.pages().as_slice().len().checked_mul(PAGE_SIZE);
    let size = size.filter(|size| *size != 0).ok_or(EINVAL)?;
    let export = KBox::pin_init(
        pin_init!(Export {
            tables <- new_mutex!(KVec::new(), "xen::dmabuf tables"),
            exporter,
        }),
        GFP_KERNEL_ACCOUNT,
    )?;
    let data = export.into_foreign();
    let info = k::dma_buf_export_info {
        exp_name: T::NAME.as_char_ptr(),
        owner: T::MODULE,
        ops: Callbacks::<T>::TABLE,
        size,
        flags: k::O_RDWR as c_int,
        resv: core::ptr::null_mut(),
        priv_: data,
    };
    // SAFETY: The callbacks take the data to be an `Export<T>`, which `release` drops. They are part of the module, or
    // of one that it needs.
    let made = unsafe { make(&info) };
    made.inspect_err(|_| {
        // SAFETY: Made above, and not passed on.
        drop(unsafe { Data::<T>::from_foreign(data) })
    })
}

/// # Safety
///
/// The callbacks are right for the data, which they own if this succeeds.
// Not part of the generic function: the kernel's symbol is found by this module only, which imports its namespace.
#[inline(never)]
unsafe fn make(info: &k::dma_buf_export_info) -> Result<DmaBuf> {
    // SAFETY: By the requirement of this function; a buffer comes with a reference to it.
    unsafe { DmaBuf::from_raw(k::dma_buf_export(info)) }
}

/// A buffer's data.
#[pin_data]
struct Export<T: Exporter> {
    /// What importers have mapped. Empty when this is dropped: they have a share in the buffer.
    #[pin]
    tables: Mutex<KVec<Table>>,
    exporter: T,
}

type Data<T> = Pin<KBox<Export<T>>>;

impl<T: Exporter> Export<T> {
    /// # Safety
    ///
    /// The device is registered until the table is unmapped, which it is before this is dropped.
    unsafe fn map(
        &self,
        device: *mut k::device,
        direction: k::dma_data_direction,
    ) -> Result<*mut k::sg_table> {
        // SAFETY: By the requirement of this function, and since the pages stay as long as `self`.
        let table = unsafe { Table::new(self.exporter.pages(), device, direction) }?;
        let raw = table.as_raw();
        self.tables.lock().push(table, GFP_KERNEL_ACCOUNT)?;
        Ok(raw)
    }

    fn unmap(&self, table: *mut k::sg_table) {
        let mut tables = self.tables.lock();
        let at = tables.iter().position(|other| other.as_raw() == table);
        let found = at.and_then(|at| tables.remove(at).ok());
        // Not under the lock, since unmapping may take long.
        drop(tables);
        drop(found);
    }
}

/// The C callbacks.
struct Callbacks<T>(PhantomData<T>);

impl<T: Exporter> Callbacks<T> {
    const TABLE: &'static k::dma_buf_ops = &k::dma_buf_ops {
        map_dma_buf: Some(Self::map),
        unmap_dma_buf: Some(Self::unmap),
        begin_cpu_access: Some(Self::begin_cpu_access),
        end_cpu_access: Some(Self::end_cpu_access),
        mmap: Some(Self::mmap),
        release: Some(Self::release),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// `buffer` is one of `T`, and not released while the result is used.
    unsafe fn export<'a>(buffer: *mut k::dma_buf) -> Pin<&'a Export<T>> {
        // SAFETY: `export` has stored it, and only `release` takes it out.
        unsafe { Data::<T>::borrow((*buffer).priv_) }
    }

    /// # Safety
    ///
    /// To be called for a buffer of `T` only, with the reservation lock held, for a device that is registered until the
    /// buffer is detached from it.
    unsafe extern "C" fn map(
        attachment: *mut k::dma_buf_attachment,
        direction: k::dma_data_direction,
    ) -> *mut k::sg_table {
        // SAFETY: By the requirements of this function; what is attached has a share in the buffer.
        let (export, device) = unsafe { (Self::export((*attachment).dmabuf), (*attachment).dev) };
        // SAFETY: A buffer is unmapped before it is detached, and detached before it is released.
        match unsafe { export.map(device, direction) } {
            Ok(table) => table,
            Err(error) => error.to_ptr(),
        }
    }

    /// # Safety
    ///
    /// To be called for a buffer of `T` only, with what `map` has returned.
    unsafe extern "C" fn unmap(
        attachment: *mut k::dma_buf_attachment,
        table: *mut k::sg_table,
        _direction: k::dma_data_direction,
    ) {
        // SAFETY: As in `map`.
        unsafe { Self::export((*attachment).dmabuf) }.unmap(table);
    }

    /// # Safety
    ///
    /// To be called for a buffer of `T` only.
    unsafe extern "C" fn begin_cpu_access(
        buffer: *mut k::dma_buf,
        direction: k::dma_data_direction,
    ) -> c_int {
        // SAFETY: By the requirement of this function.
        let export = unsafe { Self::export(buffer) };
        for table in export.tables.lock().iter() {
            table.hand_to_cpus(direction);
        }
        0
    }

    /// # Safety
    ///
    /// To be called for a buffer of `T` only.
    unsafe extern "C" fn end_cpu_access(
        buffer: *mut k::dma_buf,
        direction: k::dma_data_direction,
    ) -> c_int {
        // SAFETY: By the requirement of this function.
        let export = unsafe { Self::export(buffer) };
        for table in export.tables.lock().iter() {
            table.hand_to_device(direction);
        }
        0
    }

    /// # Safety
    ///
    /// To be called for a buffer of `T` only, with a new area whose file is the buffer's.
    unsafe extern "C" fn mmap(buffer: *mut k::dma_buf, vma: *mut k::vm_area_struct) -> c_int {
        // SAFETY: By the requirement of this function.
        let (export, area) = unsafe { (Self::export(buffer), NewArea::from_raw(vma)) };
        // The area has a share in the buffer by its file, and a reference to each page.
        match area.map_pages(export.exporter.pages().as_slice()) {
            Ok(()) => 0,
            Err(error) => error.to_errno(),
        }
    }

    /// # Safety
    ///
    /// To be called once, for a buffer of `T` that nobody uses any more.
    unsafe extern "C" fn release(buffer: *mut k::dma_buf) {
        // SAFETY: `export` has stored it, and nobody uses it after this.
        drop(unsafe { Data::<T>::from_foreign((*buffer).priv_) });
    }
}
