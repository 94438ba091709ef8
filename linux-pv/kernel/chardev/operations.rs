// SPDX-License-Identifier: GPL-2.0

//! What a driver does with an open file, and the C callbacks that lead there.

use core::marker::PhantomData;
use core::ptr;

use kernel::bindings as k;
use kernel::ffi::{c_int, c_long, c_uint, c_ulong};
use kernel::iov::{IovIterDest, IovIterSource};
use kernel::prelude::*;
use kernel::sync::atomic::{Atomic, Relaxed};
use kernel::sync::Arc;
use kernel::types::ForeignOwnable;
use xen_bindings as bindings;

use super::{DeviceFile, Opener, SignalQueue, WaitQueue};
use crate::module::InModule;
use crate::vma::NewArea;

/// What a read may wait for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    /// Until there is something to read.
    ForData,
    /// Only for other readers, if at all (`O_NONBLOCK`).
    ForOthers,
    /// For nothing: this is an attempt of io_uring, which waits by itself (`IOCB_NOWAIT`).
    Never,
}

/// What a file is ready for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ready(u32);

impl Ready {
    /// A read finds something.
    pub const READ: Ready = Ready(bindings::XEN_RS_EPOLLIN);
    /// A write is taken.
    pub const WRITE: Ready = Ready(bindings::XEN_RS_EPOLLOUT);
    /// Something is wrong, and a read would tell what.
    pub const ERROR: Ready = Ready(bindings::XEN_RS_EPOLLERR);

    /// Both.
    pub const fn and(self, other: Ready) -> Ready {
        Ready(self.0 | other.0)
    }

    pub(super) const fn mask(self) -> u32 {
        self.0
    }
}

/// An enquiry about what a file is ready for, which goes on to wait if that is not enough.
pub struct Poll<'a> {
    file: *mut k::file,
    table: *mut k::poll_table_struct,
    _call: PhantomData<&'a ()>,
}

impl Poll<'_> {
    /// Has the enquiry woken with `queue`. To be called before looking whether the file is ready.
    pub fn watch(&self, queue: &WaitQueue) {
        // SAFETY: Both pointers are those of the `poll` call that this value lives in. Whoever is put on
        // the queue has the file open and leaves the queue before the file is released; should the queue
        // go before the file, its drop sees to those who are still on it.
        unsafe { k::poll_wait(self.file, queue.as_raw(), self.table) }
    }
}

/// An open file of a device file. All functions may be called by several threads at once.
#[vtable]
pub trait OpenFile: InModule + Sized + Send + Sync + 'static {
    /// What all open files of the device file share.
    type Shared: Send + Sync + 'static;

    /// The file has no position: reads and writes do not exclude each other.
    const STREAM: bool = false;

    /// Reads take [`Wait::Never`] seriously.
    const NOWAIT: bool = false;

    /// Opens the file for a process. May sleep.
    fn open(shared: Arc<Self::Shared>, opener: Opener) -> Result<Pin<KBox<Self>>>;

    /// Reads bytes and returns how many.
    fn read(&self, _to: &mut IovIterDest<'_>, _wait: Wait) -> Result<usize> {
        build_error!(kernel::error::VTABLE_DEFAULT_ERROR)
    }

    /// Writes bytes and returns how many.
    fn write(&self, _from: &mut IovIterSource<'_>) -> Result<usize> {
        build_error!(kernel::error::VTABLE_DEFAULT_ERROR)
    }

    /// Serves a request; `argument` is often the address of a structure in the program's memory, to be
    /// read with [`crate::user`].
    fn ioctl(&self, _request: u32, _argument: usize) -> Result<isize> {
        build_error!(kernel::error::VTABLE_DEFAULT_ERROR)
    }

    /// Says what the file is ready for, after [`Poll::watch`].
    fn poll(&self, _poll: Poll<'_>) -> Ready {
        build_error!(kernel::error::VTABLE_DEFAULT_ERROR)
    }

    /// Fills an area of the program's address space, by one of the functions in [`crate::vma`].
    fn mmap(&self, _area: NewArea<'_>) -> Result {
        build_error!(kernel::error::VTABLE_DEFAULT_ERROR)
    }

    /// The list of those who want a signal (`O_ASYNC`), always the same for a file.
    fn signals(&self) -> &SignalQueue {
        build_error!(kernel::error::VTABLE_DEFAULT_ERROR)
    }
}

/// The C callbacks of a driver.
pub(super) struct Callbacks<T: OpenFile>(PhantomData<T>);

/// What is kept for an open file.
struct Opened<T> {
    data: Pin<KBox<T>>,
    /// The list of those who want a signal, once there was one, so that they are taken off the same
    /// list. It is valid as long as `data`, from which it was borrowed.
    signals: Atomic<*mut *mut k::fasync_struct>,
}

impl<T: OpenFile> Callbacks<T> {
    /// The table, of a module that stays loaded while a file is open.
    pub(super) const fn table() -> k::file_operations {
        k::file_operations {
            owner: T::MODULE,
            open: Some(Self::open),
            release: Some(Self::release),
            read_iter: if T::HAS_READ {
                Some(Self::read_iter)
            } else {
                None
            },
            write_iter: if T::HAS_WRITE {
                Some(Self::write_iter)
            } else {
                None
            },
            unlocked_ioctl: if T::HAS_IOCTL {
                Some(Self::ioctl)
            } else {
                None
            },
            poll: if T::HAS_POLL { Some(Self::poll) } else { None },
            mmap: if T::HAS_MMAP { Some(Self::mmap) } else { None },
            fasync: if T::HAS_SIGNALS {
                Some(Self::fasync)
            } else {
                None
            },
            ..pin_init::zeroed()
        }
    }

    /// What is kept for an open file.
    ///
    /// # Safety
    ///
    /// `file` is a file that `open` has succeeded for and that is not released while the result is used.
    unsafe fn opened<'a>(file: *mut k::file) -> &'a Opened<T> {
        // SAFETY: `open` has stored it, and only `release` takes it out.
        unsafe { KBox::<Opened<T>>::borrow((*file).private_data) }
    }

    /// The driver's data of an open file.
    ///
    /// # Safety
    ///
    /// As for [`opened`](Self::opened).
    unsafe fn data<'a>(file: *mut k::file) -> Pin<&'a T> {
        // SAFETY: By the requirement of this function.
        unsafe { Self::opened(file) }.data.as_ref()
    }

    /// # Safety
    ///
    /// To be called by the file system only, as `open` of a [`DeviceFile`] of `T`.
    unsafe extern "C" fn open(inode: *mut k::inode, file: *mut k::file) -> c_int {
        // Not found by way of the device, for the file may have been opened through another file system.
        // SAFETY: The table that led here is the first part of a static device file of `T`.
        let device_file = unsafe { &*(*file).f_op.cast::<DeviceFile<T>>() };
        let opened = device_file
            .shared()
            .ok_or(ENODEV)
            .and_then(|shared| T::open(shared, Opener::current()))
            .and_then(|data| {
                let signals = Atomic::new(ptr::null_mut());
                Ok(KBox::new(Opened { data, signals }, GFP_KERNEL_ACCOUNT)?)
            });
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) => return error.to_errno(),
        };
        // SAFETY: The file is being opened, by us alone.
        unsafe { (*file).private_data = opened.into_foreign() };
        if T::STREAM {
            // SAFETY: As above. It only changes the file's mode, and cannot fail.
            unsafe { k::stream_open(inode, file) };
        }
        if T::NOWAIT {
            // SAFETY: As above.
            unsafe { (*file).f_mode |= bindings::XEN_RS_FMODE_NOWAIT };
        }
        0
    }

    /// # Safety
    ///
    /// To be called by the file system only, once, for a file that `open` has succeeded for.
    unsafe extern "C" fn release(_inode: *mut k::inode, file: *mut k::file) -> c_int {
        // SAFETY: The last call for this file owns what `open` has stored.
        drop(unsafe { KBox::<Opened<T>>::from_foreign((*file).private_data) });
        0
    }

    /// # Safety
    ///
    /// To be called by the file system only, for an open file of `T`.
    unsafe extern "C" fn read_iter(kiocb: *mut k::kiocb, to: *mut k::iov_iter) -> isize {
        // SAFETY: The file system passes a valid request.
        let (file, flags) = unsafe { ((*kiocb).ki_filp, (*kiocb).ki_flags) };
        // SAFETY: The file is open.
        let file_flags = unsafe { (*file).f_flags };
        let wait = if flags & bindings::XEN_RS_IOCB_NOWAIT != 0 {
            Wait::Never
        } else if file_flags & k::O_NONBLOCK != 0 {
            Wait::ForOthers
        } else {
            Wait::ForData
        };
        // SAFETY: The file system passes a destination, for this call only.
        let to = unsafe { IovIterDest::from_raw(to) };
        // SAFETY: The file is open during this call.
        match unsafe { Self::data(file) }.read(to, wait) {
            Ok(count) => count as isize,
            Err(error) => error.to_errno() as isize,
        }
    }

    /// # Safety
    ///
    /// To be called by the file system only, for an open file of `T`.
    unsafe extern "C" fn write_iter(kiocb: *mut k::kiocb, from: *mut k::iov_iter) -> isize {
        // SAFETY: The file system passes a valid request.
        let file = unsafe { (*kiocb).ki_filp };
        // SAFETY: The file system passes a source, for this call only.
        let from = unsafe { IovIterSource::from_raw(from) };
        // SAFETY: The file is open during this call.
        match unsafe { Self::data(file) }.write(from) {
            Ok(count) => count as isize,
            Err(error) => error.to_errno() as isize,
        }
    }

    /// # Safety
    ///
    /// To be called by the file system only, for an open file of `T`.
    unsafe extern "C" fn ioctl(file: *mut k::file, request: c_uint, argument: c_ulong) -> c_long {
        // SAFETY: The file is open during this call.
        match unsafe { Self::data(file) }.ioctl(request, argument) {
            Ok(value) => value,
            Err(error) => error.to_errno() as c_long,
        }
    }

    /// # Safety
    ///
    /// To be called by the file system only, for an open file of `T`.
    unsafe extern "C" fn poll(file: *mut k::file, table: *mut k::poll_table_struct) -> k::__poll_t {
        let poll = Poll {
            file,
            table,
            _call: PhantomData,
        };
        // SAFETY: The file is open during this call.
        unsafe { Self::data(file) }.get_ref().poll(poll).mask()
    }

    /// # Safety
    ///
    /// To be called by the memory management only, for an open file of `T`.
    unsafe extern "C" fn mmap(file: *mut k::file, vma: *mut k::vm_area_struct) -> c_int {
        // SAFETY: The area is being set up by this very call.
        let area = unsafe { NewArea::from_raw(vma) };
        // SAFETY: The file is open during this call.
        match unsafe { Self::data(file) }.mmap(area) {
            Ok(()) => 0,
            Err(error) => error.to_errno(),
        }
    }

    /// # Safety
    ///
    /// To be called by the file system only, for an open file of `T`.
    unsafe extern "C" fn fasync(fd: c_int, file: *mut k::file, on: c_int) -> c_int {
        // SAFETY: The file is open during this call; its last one comes before `release`.
        let opened = unsafe { Self::opened(file) };
        let list = opened.data.as_ref().get_ref().signals().as_raw();
        let swapped = opened.signals.cmpxchg(ptr::null_mut(), list, Relaxed);
        let first = swapped.map_or_else(|first| first, |_| list);
        if on != 0 && list != first {
            return EINVAL.to_errno();
        }
        // SAFETY: The list was borrowed from the file's data, which lives until `release`.
        unsafe { k::fasync_helper(fd, file, on, first) }
    }
}
