// SPDX-License-Identifier: GPL-2.0

//! The folder `/sys/kernel/debug/xen` of the built-in objects, and their files in it. Modules look
//! the folder up.

use kernel::{
    debugfs::{
        Dir,
        File, //
    },
    ffi::c_int,
    prelude::*,
    sync::SetOnce, //
};

use crate::domain;

static FOLDER: SetOnce<Dir> = SetOnce::new();

/// Returns the folder. The first call makes it, and it stays. Only for initcalls.
pub fn folder() -> Dir {
    if let Some(folder) = FOLDER.as_ref() {
        return folder.clone();
    }
    let folder = Dir::new(c"xen");
    // Initcalls run one after the other, so there is no race.
    FOLDER.populate(folder.clone());
    folder
}

/// Makes a file in the folder when the kernel has started, if it runs on Xen. It stays for ever:
/// what is built in does not go away.
///
/// `debug_file!(c"name", show)`, or with a function that takes what is written to the file as a
/// third argument. Both are those of [`Dir`]'s files with callbacks, and get `&()` first. A module
/// has one such file, at most.
#[macro_export]
macro_rules! debug_file {
    ($name:literal, $show:path) => {
        $crate::debug_file!(@ read_callback_file, $name, &$show);
    };
    ($name:literal, $show:path, $write:path) => {
        $crate::debug_file!(@ read_write_callback_file, $name, &$show, &$write);
    };
    (@ $make:ident, $name:literal, $($callback:expr),+) => {
        #[link_section = ".init.text"]
        extern "C" fn make_debug_file() -> kernel::ffi::c_int {
            use kernel::prelude::*;

            $crate::debugfs::keep(|folder| {
                let file = folder.$make($name, Ok::<_, Error>(()), $($callback),+);
                KBox::pin_init(file, GFP_KERNEL)
            })
        }

        $crate::initcall!(device, make_debug_file);
    };
}

/// What [`debug_file!`](crate::debug_file) makes a file with, in a `device_initcall`: debugfs is
/// initialised then. Returns what that returns: 0, or a negative error number.
pub fn keep(make: impl FnOnce(&Dir) -> Result<Pin<KBox<File<()>>>>) -> c_int {
    if !domain::is_xen() {
        return 0;
    }
    match make(&folder()) {
        Ok(file) => {
            // Dropping it would remove it.
            core::mem::forget(file);
            0
        }
        Err(error) => error.to_errno(),
    }
}
