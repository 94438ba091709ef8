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

/// A function that writes the content of a file.
pub type Show<T> = fn(&T, &mut fmt::Formatter<'_>) -> fmt::Result;

/// A file in debugfs that root can read. Dropping it removes it, after waiting for readers.
///
/// # Invariants
///
/// - `raw` was passed to C, with a pointer to this value, which is pinned.
/// - `dentry` is the file's, which is removed before the value goes.
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

// SAFETY: The pointer may be used by any thread, and the rest may be sent.
unsafe impl<T: Send + Sync> Send for File<T> {}
// SAFETY: A reference gives access to nothing.
unsafe impl<T: Sync> Sync for File<T> {}

impl<T: Send + Sync + 'static> File<T> {
    /// Makes a file in a folder. `show` writes what is read, in process context; it may sleep. May
    /// sleep.
    ///
    /// # Errors
    ///
    /// What debugfs says, `EEXIST` for instance.
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
                // SAFETY: `raw` is initialised right above, and stays where it is.
                let raw = unsafe { (&raw const (*this.as_ptr()).raw).cast_mut().cast() };
                // SAFETY: The name is a string, the folder exists as long as it has this user.
                // INVARIANT: C gets `raw` here.
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
    /// To be called by the shim only, with the `data` of a `File<T>` that is not removed yet.
    unsafe extern "C" fn show(m: *mut k::seq_file, data: *mut c_void) -> c_int {
        let this = data.cast_const().cast::<Self>();
        // SAFETY: By the requirement of this function. The rest of the value may still be being
        // initialised, so only these two are referenced.
        let (content, show) = unsafe { (&(*this).content, (*this).show) };
        // SAFETY: The kernel passes the file that is being read, which is this thread's.
        let seq_file = unsafe { SeqFile::from_raw(m) };
        seq_file.call_printf(fmt!("{}", Shown { content, show }));
        0
    }
}

#[pinned_drop]
impl<T: Sync + 'static> PinnedDrop for File<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant. This waits for readers.
        unsafe { k::debugfs_remove(self.dentry) };
    }
}

/// What is read, for printing.
struct Shown<'a, T> {
    content: &'a T,
    show: Show<T>,
}

impl<T> fmt::Display for Shown<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.show)(self.content, f)
    }
}
