// SPDX-License-Identifier: GPL-2.0

//! The folder `/sys/kernel/debug/xen`, of all built-in objects. Modules look it up.

use kernel::{
    debugfs::Dir,
    sync::SetOnce, //
};

static FOLDER: SetOnce<Dir> = SetOnce::new();

/// The folder, for an initcall. It is made at the first call and stays.
pub fn folder() -> Dir {
    if let Some(folder) = FOLDER.as_ref() {
        return folder.clone();
    }
    let folder = Dir::new(c"xen");
    // Initcalls run one after the other, so nobody has made it meanwhile.
    FOLDER.populate(folder.clone());
    folder
}
