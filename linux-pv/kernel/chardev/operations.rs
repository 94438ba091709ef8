// SPDX-License-Identifier: GPL-2.0

//! The operations of an open file, and their C callbacks.

use core::{
    marker::PhantomData,
    ptr, //
};

use kernel::{
    bindings as k,
    ffi::{
        c_int,
        c_long,
        c_uint,
        c_ulong, //
    },
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    },
    types::ForeignOwnable, //
};

use xen_bindings as bindings;

use crate::{
    module::InModule,
    vma::NewArea, //
};

use super::{
    DeviceFile,
    Opener,
    SignalQueue,
    WaitQueue, //
};

/// What a read may wait for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    /// Data.
    ForData,
    /// Other readers, but not data (`O_NONBLOCK`).
    ForOthers,
    /// Nothing (`IOCB_NOWAIT`, from io_uring, which waits by itself).
    Never,
}

/// Events that `poll` reports (`EPOLL*`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ready(u32);

impl Ready {
    /// The file is readable.
    pub const READ: Ready = Ready(bindings::XEN_RS_EPOLLIN);
    /// The file is writable.
    pub const WRITE: Ready = Ready(bindings::XEN_RS_EPOLLOUT);
    /// There is an error, which a read returns.
    pub const ERROR: Ready = Ready(bindings::XEN_RS_EPOLLERR);

    /// The events of both.
    pub const fn and(self, other: Ready) -> Ready {
        Ready(self.0 | other.0)
    }

    pub(super) const fn mask(self) -> u32 {
        self.0
    }
}

/// A call of `poll`, whose caller may wait on queues afterwards: until the file is released at
/// most, and so longer than the call.
///
/// # Invariants
///
/// `file` and `table` are the arguments of the call. A shared borrow for `'a` of what is not
/// static is from the open file, and valid until the file is released: [`OpenFile::poll`] gets the
/// file for `'a`, which it does not know, so that nothing it makes itself lives as long.
pub struct Poll<'a> {
    file: *mut k::file,
    table: *mut k::poll_table_struct,
    /// Invariant, so that `'a` cannot be shortened.
    _file: PhantomData<fn(&'a ()) -> &'a ()>,
}

impl<'a> Poll<'a> {
    /// Adds the caller to `queue`, so that it is woken with the queue. To be called before checking
    /// which events there are.
    pub fn watch(&self, queue: &'a WaitQueue) {
        // SAFETY: By the type invariant both pointers are from the current `poll` call, and the
        // queue exists until the file is released. The kernel removes entries before that: `poll`
        // and `select` have a reference to the file as long as they wait, and so have asynchronous
        // requests; `epoll` removes its entries when the last reference is put.
        unsafe { k::poll_wait(self.file, queue.as_raw(), self.table) }
    }
}

/// An open file of a device file. The functions may be called by several threads concurrently.
#[vtable]
pub trait OpenFile: InModule + Sized + Send + Sync + 'static {
    /// Data that all open files of the device file share.
    type Shared: Send + Sync + 'static;

    /// Whether the file is a stream without a position, so reads and writes are not serialised.
    const STREAM: bool = false;

    /// Whether reads support [`Wait::Never`].
    const NOWAIT: bool = false;

    /// Opens the file for a process. May sleep.
    fn open(shared: Arc<Self::Shared>, opener: Opener) -> Result<Pin<KBox<Self>>>;

    /// Reads; returns the number of bytes.
    fn read(&self, _to: &mut IovIterDest<'_>, _wait: Wait) -> Result<usize> {
        build_error!(kernel::error::VTABLE_DEFAULT_ERROR)
    }

    /// Writes; returns the number of bytes.
    fn write(&self, _from: &mut IovIterSource<'_>) -> Result<usize> {
        build_error!(kernel::error::VTABLE_DEFAULT_ERROR)
    }

    /// Handles an `ioctl`. `argument` is a number, or the address of a structure in user memory,
    /// which is accessed with [`crate::user`].
    fn ioctl(&self, _request: u32, _argument: usize) -> Result<isize> {
        build_error!(kernel::error::VTABLE_DEFAULT_ERROR)
    }

    /// Returns which events there are, after calling [`Poll::watch`].
    fn poll<'a>(&'a self, _poll: Poll<'a>) -> Ready {
        build_error!(kernel::error::VTABLE_DEFAULT_ERROR)
    }

    /// Maps an area, see [`crate::vma`].
    fn mmap(&self, _area: NewArea<'_>) -> Result {
        build_error!(kernel::error::VTABLE_DEFAULT_ERROR)
    }

    /// The queue of processes that get a signal (`O_ASYNC`); always the same one for a file.
    fn signals(&self) -> &SignalQueue {
        build_error!(kernel::error::VTABLE_DEFAULT_ERROR)
    }
}

/// The C callbacks of a driver.
pub(super) struct Callbacks<T: OpenFile>(PhantomData<T>);

/// The private data of an open file.
struct Opened<T> {
    data: Pin<KBox<T>>,
    /// The list of the first call of `fasync`, which later calls use too. It is borrowed from
    /// `data`, and valid as long.
    signals: Atomic<*mut *mut k::fasync_struct>,
}

impl<T: OpenFile> Callbacks<T> {
    /// The table. The kernel keeps its module loaded while a file is open.
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

    /// The private data of an open file.
    ///
    /// # Safety
    ///
    /// `open` succeeded for `file`, which is not released for the lifetime `'a`.
    unsafe fn opened<'a>(file: *mut k::file) -> &'a Opened<T> {
        // SAFETY: `open` has stored the data, which only `release` takes.
        unsafe { KBox::<Opened<T>>::borrow((*file).private_data) }
    }

    /// The driver's data of an open file.
    ///
    /// # Safety
    ///
    /// `open` succeeded for `file`, which is not released for the lifetime `'a`.
    unsafe fn data<'a>(file: *mut k::file) -> Pin<&'a T> {
        // SAFETY: By the requirement of this function.
        unsafe { Self::opened(file) }.data.as_ref()
    }

    /// # Safety
    ///
    /// To be called by the file system only, as `open` of a [`DeviceFile`] of `T`.
    unsafe extern "C" fn open(inode: *mut k::inode, file: *mut k::file) -> c_int {
        // Not by the number of the device, since the file may be one of xenfs.
        // SAFETY: The table with this callback is the first field of a static device file of `T`.
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
        // SAFETY: The file is being opened, and only accessed here.
        unsafe { (*file).private_data = opened.into_foreign() };
        if T::STREAM {
            // SAFETY: The file is being opened, and only accessed here. The function changes its
            // mode, and cannot fail.
            unsafe { k::stream_open(inode, file) };
        }
        if T::NOWAIT {
            // SAFETY: The file is being opened, and only accessed here.
            unsafe { (*file).f_mode |= bindings::XEN_RS_FMODE_NOWAIT };
        }
        0
    }

    /// # Safety
    ///
    /// To be called by the file system only, once, for a file that `open` has succeeded for.
    unsafe extern "C" fn release(_inode: *mut k::inode, file: *mut k::file) -> c_int {
        // SAFETY: `open` stored the data, and this is the last call for the file.
        drop(unsafe { KBox::<Opened<T>>::from_foreign((*file).private_data) });
        0
    }

    /// # Safety
    ///
    /// To be called by the file system only, for an open file of `T`.
    unsafe extern "C" fn read_iter(kiocb: *mut k::kiocb, to: *mut k::iov_iter) -> isize {
        // SAFETY: The file system passes a valid `kiocb`.
        let (file, flags) = unsafe { ((*kiocb).ki_filp, (*kiocb).ki_flags) };
        // SAFETY: The file is open during this call.
        let file_flags = unsafe { (*file).f_flags };
        let wait = if flags & bindings::XEN_RS_IOCB_NOWAIT != 0 {
            Wait::Never
        } else if file_flags & k::O_NONBLOCK != 0 {
            Wait::ForOthers
        } else {
            Wait::ForData
        };
        // SAFETY: The file system passes a destination, which is used during this call only.
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
        // SAFETY: The file system passes a valid `kiocb`.
        let file = unsafe { (*kiocb).ki_filp };
        // SAFETY: The file system passes a source, which is used during this call only.
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
        // INVARIANT: These are the arguments of the call. The borrow of the file's data, which is
        // only shared until the file is released, has the lifetime of `poll`.
        let poll = Poll {
            file,
            table,
            _file: PhantomData,
        };
        // SAFETY: The file is open during this call.
        unsafe { Self::data(file) }.get_ref().poll(poll).mask()
    }

    /// # Safety
    ///
    /// To be called by the memory management only, for an open file of `T`.
    unsafe extern "C" fn mmap(file: *mut k::file, vma: *mut k::vm_area_struct) -> c_int {
        // SAFETY: The area is the argument of this `mmap` callback.
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
        // SAFETY: The file is open during this call, which comes before `release`.
        let opened = unsafe { Self::opened(file) };
        let list = opened.data.as_ref().get_ref().signals().as_raw();
        let swapped = opened.signals.cmpxchg(ptr::null_mut(), list, Relaxed);
        let first = swapped.map_or_else(|first| first, |_| list);
        if on != 0 && list != first {
            return EINVAL.to_errno();
        }
        // SAFETY: The list is borrowed from the file's data, which lives until `release`.
        unsafe { k::fasync_helper(fd, file, on, first) }
    }
}
