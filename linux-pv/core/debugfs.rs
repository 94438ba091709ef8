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

/// Makes a file in the folder, if the kernel runs on Xen. It stays for ever: what is built in does
/// not go away.
///
/// Only for a `device_initcall`, which runs when debugfs is initialised. Returns what that returns:
/// 0, or a negative error number.
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
