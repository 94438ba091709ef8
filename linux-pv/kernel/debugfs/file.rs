// SPDX-License-Identifier: GPL-2.0

//! Files whose content a function writes each time they are read.

use core::marker::PhantomPinned;

use kernel::{
    bindings as k,
    error::from_err_ptr,
    ffi::{
        c_int,
        c_void, //
    },
    fmt,
    prelude::*,
    seq_file::SeqFile,
    types::Opaque, //
};

use xen_bindings as b;

use super::{
    Folder,
    RawFile, //
};

/// A function that prints the content of a file.
pub type Show<T> = fn(&T, &mut fmt::Formatter<'_>) -> fmt::Result;

/// A file in debugfs that root can read. Dropping it removes it, after waiting for readers.
///
/// # Invariants
///
/// - `raw` has a pointer to this value, which does not move.
/// - `dentry` is that of the file with `raw`, which is removed before this value is freed.
#[pin_data(PinnedDrop)]
pub struct File<T: Sync + 'static> {
    content: T,
    show: Show<T>,
    #[pin]
    raw: Opaque<RawFile>,
    dentry: *mut k::dentry,
    _folder: Folder,
    #[pin]
    _pin: PhantomPinned,
}

// SAFETY: The pointers may be used by any thread; `T` is `Send`, and `Sync` for readers.
unsafe impl<T: Send + Sync> Send for File<T> {}
// SAFETY: A reference gives access to nothing.
unsafe impl<T: Sync> Sync for File<T> {}

impl<T: Send + Sync + 'static> File<T> {
    /// Makes a file in a folder. `show` prints its content, in process context, and may sleep. May
    /// sleep.
    ///
    /// # Errors
    ///
    /// Those of debugfs, for instance `EEXIST`.
    pub fn new<'a>(
        folder: Folder,
        name: &'a CStr,
        content: T,
        show: Show<T>,
    ) -> impl PinInit<Self, Error> + 'a {
        try_pin_init!(&this in Self {
            content,
            show,
            raw: Opaque::new(RawFile {
                show: Some(Self::show),
                data: this.as_ptr().cast(),
            }),
            dentry: {
                // SAFETY: `raw` is initialised above; only its address is computed.
                let raw = unsafe { (&raw const (*this.as_ptr()).raw).cast_mut().cast() };
                // INVARIANT: The file is made with `raw`.
                // SAFETY: The name is a string, and the folder exists as long as it has this user.
                // `raw` is valid until the file is removed.
                from_err_ptr(unsafe {
                    b::xen_rs_debugfs_create_file(name.as_char_ptr(), folder.dentry, raw)
                })?
            },
            _folder: folder,
            _pin: PhantomPinned,
        })
    }

    /// # Safety
    ///
    /// To be called by the shim only, with the `data` of a `File<T>` that is not removed.
    unsafe extern "C" fn show(m: *mut k::seq_file, data: *mut c_void) -> c_int {
        let this = data.cast_const().cast::<Self>();
        // SAFETY: By the requirement of this function. The initialisation of the value may not have
        // ended, so only these two fields are referenced.
        let (content, show) = unsafe { (&(*this).content, (*this).show) };
        // SAFETY: The kernel passes the file that is being read, which is only accessed here.
        let seq_file = unsafe { SeqFile::from_raw(m) };
        seq_file.call_printf(fmt!("{}", Shown { content, show }));
        0
    }
}

#[pinned_drop]
impl<T: Sync + 'static> PinnedDrop for File<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant this is the file's `dentry`. The function waits for
        // readers.
        unsafe { k::debugfs_remove(self.dentry) };
    }
}

/// The content, for printing.
struct Shown<'a, T> {
    content: &'a T,
    show: Show<T>,
}

impl<T> fmt::Display for Shown<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.show)(self.content, f)
    }
}
