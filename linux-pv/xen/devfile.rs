// SPDX-License-Identifier: GPL-2.0

//! Device files in `/dev/xen`, and who has them open.
//!
//! A driver implements [`Driver`] for its open file, makes the device file with
//! [`device_file!`](kernel_ext::device_file), and keeps a [`Registration`] of it in its module:
//!
//! ```ignore
//! device_file!(static DEVICE_FILE: File);
//!
//! #[pin_data]
//! struct Module {
//!     #[pin]
//!     _file: devfile::Registration<File>,
//! }
//!
//! impl kernel::InPlaceModule for Module {
//!     fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
//!         try_pin_init!(Self {
//!             _file <- devfile::Registration::new(&DEVICE_FILE, || Ok(())),
//!         }? Error)
//!     }
//! }
//! ```
//!
//! `/sys/kernel/debug/xen/NAME/files` has a line for each open file: the process that has opened
//! it, and its [`Driver::Stats`].

use core::ops::Deref;

use kernel::{
    fmt,
    prelude::*,
    sync::Arc, //
};

use kernel_ext::{
    chardev::{
        self,
        DeviceFile,
        FileList,
        ListedFile,
        OpenFile,
        Opener, //
    },
    debugfs::{
        File,
        Folder, //
    },
};

use crate::domain;

/// The driver of a device file; a value is an open file.
pub trait Driver: OpenFile<Shared = Shared<Self>> {
    /// The device file's path below `/dev`, which is its folder's path in debugfs, too:
    /// `xen/evtchn`.
    const PATH: &'static CStr;

    /// The module of the C driver, which has a device file of the same name.
    const C_MODULE: &'static str;

    /// What all open files share.
    type Data: Send + Sync;

    /// The counters of an open file, and what else debugfs shows of it, as words and numbers in a
    /// line.
    type Stats: core::fmt::Display + Send + Sync + 'static;

    /// Writes what concerns all files, above their lines.
    fn show_all(shared: &Shared<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let _ = (shared, f);
        Ok(())
    }
}

/// What all open files share, as long as the device file exists or one of them is open.
pub struct Shared<T: Driver> {
    data: T::Data,
    files: Arc<FileList<OpenedFile<T::Stats>>>,
}

impl<T: Driver> Shared<T> {
    /// The driver's part.
    pub fn data(&self) -> &T::Data {
        &self.data
    }

    /// Lists a file that is being opened, until the returned value is dropped. May sleep.
    pub fn list(&self, opener: Opener, stats: T::Stats) -> Result<ListedStats<T>> {
        let file = Arc::new(OpenedFile { opener, stats }, GFP_KERNEL_ACCOUNT)?;
        FileList::add(self.files.clone(), file)
    }
}

/// An open file's place in the list, and its counters.
pub type ListedStats<T> = ListedFile<OpenedFile<<T as Driver>::Stats>>;

/// An open file, as debugfs shows it; of the driver's part it is a smart pointer.
pub struct OpenedFile<S> {
    opener: Opener,
    stats: S,
}

impl<S> Deref for OpenedFile<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.stats
    }
}

/// A device file in `/dev/xen`, with its list in debugfs. Dropping this removes both; files that
/// are open stay so.
#[pin_data]
pub struct Registration<T: Driver> {
    // The device file goes first.
    #[pin]
    _device_file: chardev::Registration<T>,
    /// None if debugfs is not available.
    _list: Option<ListFile<T>>,
}

impl<T: Driver> Registration<T> {
    /// Makes both; `data` makes what the open files share. May sleep.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the kernel does not run on Xen, `EEXIST` if there is a device file of this name;
    /// the log names that and the C driver's module.
    pub fn new(
        device_file: &'static DeviceFile<T>,
        data: impl FnOnce() -> Result<T::Data>,
    ) -> impl PinInit<Self, Error> {
        pin_init::pin_init_scope(move || {
            if !domain::is_xen() {
                return Err(ENODEV);
            }
            let shared = Shared {
                data: data()?,
                files: Arc::pin_init(FileList::new(), GFP_KERNEL)?,
            };
            let shared = Arc::new(shared, GFP_KERNEL)?;
            let list = list(&shared).ok();
            Ok(try_pin_init!(Self {
                _device_file <- chardev::Registration::new(
                    device_file,
                    T::PATH,
                    T::C_MODULE,
                    shared,
                ),
                _list: list,
            }? Error))
        })
    }
}

/// The file that lists the open files, in debugfs.
type ListFile<T> = Pin<KBox<File<Arc<Shared<T>>>>>;

fn list<T: Driver>(shared: &Arc<Shared<T>>) -> Result<ListFile<T>> {
    let folder = Folder::new(fmt!("{}", T::PATH.to_str().map_err(|_| EINVAL)?))?;
    let list = File::new(folder, c"files", shared.clone(), show::<T>);
    KBox::pin_init(list, GFP_KERNEL)
}

fn show<T: Driver>(shared: &Arc<Shared<T>>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    T::show_all(shared, f)?;
    shared
        .files
        .each(|file| writeln!(f, "{} {}", file.opener, file.stats))
}
