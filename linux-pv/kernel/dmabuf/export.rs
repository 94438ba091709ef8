// SPDX-License-Identifier: GPL-2.0

//! Exporting pages of a driver as a buffer.

use core::marker::PhantomData;

use kernel::{
    bindings as k,
    ffi::c_int,
    new_mutex,
    page::PAGE_SIZE,
    prelude::*,
    sync::Mutex,
    types::ForeignOwnable, //
};

use crate::{
    module::InModule,
    vma::NewArea, //
};

use super::{
    table::Table,
    DmaBuf, //
};

/// Pages that can be exported.
#[derive(Clone, Copy)]
pub struct Pages<'a>(&'a [*mut k::page]);

impl<'a> Pages<'a> {
    /// # Safety
    ///
    /// - The pages are valid and not in high memory, for `'a`.
    /// - They may be read and written by devices and processes, and are not used otherwise until
    ///   the last reference to each is dropped.
    pub unsafe fn new(pages: &'a [*mut k::page]) -> Self {
        Self(pages)
    }

    pub(super) fn as_slice(&self) -> &'a [*mut k::page] {
        self.0
    }
}

/// The owner of exported pages. It is dropped, in a context that may sleep, when the last user of
/// the buffer is gone: an importer, an open file, or an area of an address space.
pub trait Exporter: InModule + Send + Sync + 'static {
    /// Name of the exporter in debugfs.
    const NAME: &'static CStr;

    /// The pages; always the same.
    fn pages(&self) -> Pages<'_>;
}

/// Exports a buffer, which keeps the module of `T` loaded. Importers get its pages mapped for their
/// device; processes may map all or a part of it, shared. May sleep.
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
    // SAFETY: The data is an `Export<T>`, as the callbacks expect. The callbacks belong to the
    // module of `T`, or to this one, on which it depends.
    let made = unsafe { make(&info) };
    made.inspect_err(|_| {
        // SAFETY: The data was made above, and the call failed, so it is still owned.
        drop(unsafe { Data::<T>::from_foreign(data) })
    })
}

/// # Safety
///
/// The callbacks may be called with the data, which the buffer owns if this succeeds.
// Not generic, since only this module imports the namespace of the kernel's symbol.
#[inline(never)]
unsafe fn make(info: &k::dma_buf_export_info) -> Result<DmaBuf> {
    // SAFETY: By the requirement of this function; the C function returns a reference or an error.
    unsafe { DmaBuf::from_raw(k::dma_buf_export(info)) }
}

/// A buffer's data.
#[pin_data]
struct Export<T: Exporter> {
    /// The tables of importers. Empty when this is dropped, since importers have a reference to the
    /// buffer.
    #[pin]
    tables: Mutex<KVec<Table>>,
    exporter: T,
}

type Data<T> = Pin<KBox<Export<T>>>;

impl<T: Exporter> Export<T> {
    /// # Safety
    ///
    /// The device is registered until the table is unmapped, which happens before `self` is
    /// dropped.
    unsafe fn map(
        &self,
        device: *mut k::device,
        direction: k::dma_data_direction,
    ) -> Result<*mut k::sg_table> {
        // SAFETY: By the requirement of this function; the pages are valid as long as `self`.
        let table = unsafe { Table::new(self.exporter.pages(), device, direction) }?;
        let raw = table.as_raw();
        self.tables.lock().push(table, GFP_KERNEL_ACCOUNT)?;
        Ok(raw)
    }

    fn unmap(&self, table: *mut k::sg_table) {
        let mut tables = self.tables.lock();
        let at = tables.iter().position(|other| other.as_raw() == table);
        let found = at.and_then(|at| tables.remove(at).ok());
        // Unmapped without the lock, since that may take long.
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
        // SAFETY: `export` stored the data, which only `release` takes.
        unsafe { Data::<T>::borrow((*buffer).priv_) }
    }

    /// # Safety
    ///
    /// To be called for a buffer of `T` only, with the reservation lock held, for a device that is
    /// registered until the buffer is detached from it.
    unsafe extern "C" fn map(
        attachment: *mut k::dma_buf_attachment,
        direction: k::dma_data_direction,
    ) -> *mut k::sg_table {
        // SAFETY: By the requirements of this function; an attachment has a reference to its
        // buffer.
        let (export, device) = unsafe { (Self::export((*attachment).dmabuf), (*attachment).dev) };
        // SAFETY: A buffer is unmapped before it is detached, and detached before it is released.
        match unsafe { export.map(device, direction) } {
            Ok(table) => table,
            Err(error) => error.to_ptr(),
        }
    }

    /// # Safety
    ///
    /// To be called for a buffer of `T` only, with a table that `map` returned.
    unsafe extern "C" fn unmap(
        attachment: *mut k::dma_buf_attachment,
        table: *mut k::sg_table,
        _direction: k::dma_data_direction,
    ) {
        // SAFETY: By the requirement of this function; an attachment has a reference to its buffer.
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
            table.sync_for_cpu(direction);
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
            table.sync_for_device(direction);
        }
        0
    }

    /// # Safety
    ///
    /// To be called for a buffer of `T` only, with a new area whose file is the buffer's.
    unsafe extern "C" fn mmap(buffer: *mut k::dma_buf, vma: *mut k::vm_area_struct) -> c_int {
        // SAFETY: By the requirement of this function.
        let (export, area) = unsafe { (Self::export(buffer), NewArea::from_raw(vma)) };
        // The area has a reference to the buffer by its file, and one to each page.
        match area.map_pages(export.exporter.pages().as_slice()) {
            Ok(()) => 0,
            Err(error) => error.to_errno(),
        }
    }

    /// # Safety
    ///
    /// To be called once, for a buffer of `T` that is not used any more.
    unsafe extern "C" fn release(buffer: *mut k::dma_buf) {
        // SAFETY: `export` stored the data, which is not used any more.
        drop(unsafe { Data::<T>::from_foreign((*buffer).priv_) });
    }
}
