// SPDX-License-Identifier: GPL-2.0

//! Buffers shared with other drivers (`DMABUF_*`): exports, which are grants of another domain that
//! are made a dma-buf, and imports, which are dma-bufs that are granted to another domain.
//!
//! A process names a buffer by the file descriptor that it had for it when the request was made. An
//! export exists until its last user is gone, whether or not the device file is still open; an
//! import ends with the file.
//!
//! No lock is held while buffers are made, waited for or given back, or the process's memory is
//! accessed.

use core::mem::offset_of;

use kernel::{
    fs::file::{
        flags,
        FileDescriptorReservation, //
    },
    new_mutex,
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNodeReservation, //
    },
    sync::{
        atomic::Relaxed,
        Arc,
        Mutex, //
    },
};
use kernel_ext::{
    dmabuf::{
        export,
        DmaBuf,
        Exporter,
        FrameDevice,
        Pages, //
    },
    sync::TimedCompletion,
    user, //
};
use xen::{
    devfile::OpenedFile,
    dmabuf::LentBuffer,
    domain::{
        self,
        DomId, //
    },
    grant::{
        Access,
        DeviceGrants,
        ForeignGrant, //
    },
};
use xen_abi::linux::gntdev::{
    self as abi,
    ioctl, //
};
use xen_devfile::dmabuf::{
    ordinary_memory,
    Key,
    Keys,
    Refused, //
};

use crate::{
    params,
    stats::Stats, //
};

/// The device that buffers are imported for, which all files share.
#[derive(Clone)]
pub(crate) struct Device(Arc<FrameDevice>);

impl Device {
    /// Makes it. May sleep.
    pub(crate) fn new() -> Result<Self> {
        FrameDevice::new("xen-gntdev").map(Self)
    }
}

/// Buffers by their keys.
struct Table<T> {
    all: RBTree<Key, T>,
    keys: Keys,
}

impl<T> Table<T> {
    fn new() -> Self {
        Self {
            all: RBTree::new(),
            keys: Keys::new(),
        }
    }

    fn add(&mut self, room: RBTreeNodeReservation<Key, T>, fd: u32, new: T) -> Key {
        let key = self.keys.make(fd);
        self.all.insert(room.into_node(key, new));
        key
    }

    /// The newest buffer of a file descriptor.
    fn newest(&self, fd: u32) -> Option<(Key, &T)> {
        let first = self.all.cursor_lower_bound(&Key::newest(fd))?;
        let key = *first.current().0;
        if !key.is(fd) {
            return None;
        }
        self.all.get(&key).map(|value| (key, value))
    }
}

/// The exports of a file that are in use.
#[pin_data]
struct Exports {
    #[pin]
    released: Mutex<Table<Arc<TimedCompletion>>>,
    stats: Arc<OpenedFile<Stats>>,
}

/// An export's entry in the table. Dropping it removes it, and completes the waits for that.
struct Ticket {
    exports: Arc<Exports>,
    key: Key,
    released: Arc<TimedCompletion>,
    count: usize,
}

impl Ticket {
    fn new(exports: Arc<Exports>, fd: u32, count: usize) -> Result<Self> {
        let released = Arc::pin_init(TimedCompletion::new(), GFP_KERNEL_ACCOUNT)?;
        let room = RBTreeNodeReservation::new(GFP_KERNEL_ACCOUNT)?;
        let key = exports.released.lock().add(room, fd, released.clone());
        exports.stats.exports.fetch_add(1, Relaxed);
        exports.stats.exported_pages.fetch_add(count, Relaxed);
        Ok(Self {
            exports,
            key,
            released,
            count,
        })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let stats = &self.exports.stats;
        stats.exports.fetch_sub(1, Relaxed);
        stats.exported_pages.fetch_sub(self.count, Relaxed);
        // After this no request finds it; those that have found it wait for the completion.
        let removed = self.exports.released.lock().all.remove(&self.key);
        drop(removed);
        self.released.complete_all();
    }
}

/// Grants that are a dma-buf.
struct Exported {
    grants: DeviceGrants,
    // Dropped after the grants.
    _ticket: Ticket,
}

kernel_ext::in_module!(Exported);

impl Exporter for Exported {
    const NAME: &'static CStr = c"xen_gntdev";

    fn pages(&self) -> Pages<'_> {
        self.grants.pages()
    }
}

/// The buffers of a file.
#[pin_data]
pub(crate) struct Buffers {
    exports: Arc<Exports>,
    #[pin]
    imports: Mutex<Table<LentBuffer>>,
    device: Device,
    stats: Arc<OpenedFile<Stats>>,
}

impl Buffers {
    /// Without buffers. May sleep.
    pub(crate) fn new(device: Device, stats: Arc<OpenedFile<Stats>>) -> impl PinInit<Self, Error> {
        let exported = stats.clone();
        try_pin_init!(Self {
            exports: Arc::pin_init(
                pin_init!(Exports {
                    released <- new_mutex!(Table::new(), "gntdev exports"),
                    stats: exported,
                }),
                GFP_KERNEL_ACCOUNT,
            )?,
            imports <- new_mutex!(Table::new(), "gntdev imports"),
            device,
            stats,
        })
    }

    /// Serves a request about buffers; `ENOTTY` for others.
    pub(crate) fn ioctl(&self, request: u32, argument: usize) -> Result {
        match request {
            ioctl::DMABUF_EXP_FROM_REFS => self.export(argument),
            ioctl::DMABUF_EXP_WAIT_RELEASED => self.wait_released(argument),
            ioctl::DMABUF_IMP_TO_REFS => self.import(argument),
            ioctl::DMABUF_IMP_RELEASE => self.release(argument),
            _ => Err(ENOTTY),
        }
    }

    fn export(&self, argument: usize) -> Result {
        // There, devices get machine addresses, which are those of our own pages.
        if domain::is_pv() {
            return Err(EINVAL);
        }
        let args: abi::DmabufExpFromRefs = user::read(argument)?;
        let count = params::check(args.count)?;
        let list = at(argument, offset_of!(abi::DmabufExpFromRefs, refs))?;
        let refs: KVVec<u32> = user::read_array(list, count)?;
        ordinary_memory(args.flags).map_err(|refused| match refused {
            Refused::Contradiction => EINVAL,
            // Without the allocator C's driver does not have the request.
            Refused::NoSuchMemory => ENOTTY,
        })?;
        let grants = DeviceGrants::map(refs.iter().map(|reference| {
            Ok(ForeignGrant {
                domain: DomId::new(args.domid as u16),
                reference: *reference,
            })
        }))?;
        let fd = FileDescriptorReservation::get_unused_fd_flags(flags::O_CLOEXEC)?;
        let ticket = Ticket::new(self.exports.clone(), fd.reserved_fd(), count)?;
        let exported = Exported {
            grants,
            _ticket: ticket,
        };
        let buffer = export(exported)?;
        // Before the process has the buffer, which cannot be taken back then.
        let result = at(argument, offset_of!(abi::DmabufExpFromRefs, fd))?;
        user::write(result, &fd.reserved_fd())?;
        buffer.install(fd);
        Ok(())
    }

    fn wait_released(&self, argument: usize) -> Result {
        let args: abi::DmabufExpWaitReleased = user::read(argument)?;
        let released = {
            let released = self.exports.released.lock();
            let (_, released) = released.newest(args.fd).ok_or(ENOENT)?;
            released.clone()
        };
        if !released.wait_killable(args.wait_to_ms)? {
            return Err(ETIMEDOUT);
        }
        Ok(())
    }

    fn import(&self, argument: usize) -> Result {
        let args: abi::DmabufImpToRefs = user::read(argument)?;
        let count = params::check(args.count)?;
        let buffer = DmaBuf::get(args.fd)?;
        let room = RBTreeNodeReservation::new(GFP_KERNEL_ACCOUNT)?;
        let to = DomId::new(args.domid as u16);
        let device = self.device.0.clone();
        let lent = LentBuffer::new(buffer, device, count, to, Access::ReadWrite)?;
        let mut refs = KVVec::with_capacity(count, GFP_KERNEL_ACCOUNT)?;
        for reference in lent.references() {
            refs.push(reference, GFP_KERNEL_ACCOUNT)?;
        }
        let list = at(argument, offset_of!(abi::DmabufImpToRefs, refs))?;
        user::write_slice(list, &refs)?;
        self.stats.imports.fetch_add(1, Relaxed);
        self.stats.imported_pages.fetch_add(count, Relaxed);
        self.imports.lock().add(room, args.fd, lent);
        Ok(())
    }

    fn release(&self, argument: usize) -> Result {
        let args: abi::DmabufImpRelease = user::read(argument)?;
        let removed = {
            let mut imports = self.imports.lock();
            let (key, _) = imports.newest(args.fd).ok_or(ENOENT)?;
            imports.all.remove(&key)
        };
        let removed = removed.ok_or(ENOENT)?;
        self.stats.imports.fetch_sub(1, Relaxed);
        self.stats
            .imported_pages
            .fetch_sub(removed.count(), Relaxed);
        Ok(())
    }
}

/// The address of a field of a process's structure.
fn at(structure: usize, offset: usize) -> Result<usize> {
    structure.checked_add(offset).ok_or(EFAULT)
}
