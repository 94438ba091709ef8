// SPDX-License-Identifier: GPL-2.0

//! The folder `/sys/kernel/debug/xen` of the built-in objects. Modules look it up.

use kernel::{
    debugfs::Dir,
    sync::SetOnce, //
};

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
