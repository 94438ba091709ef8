// SPDX-License-Identifier: GPL-2.0

//! Folders and files in debugfs.
//!
//! `kernel::debugfs` cannot make files in a folder that exists already, such as one that several
//! drivers share, and its files have no owner. Here a [`Folder`] is looked up or made, level by
//! level, and the last user of a level that was made removes it. A [`File`] may be open when the
//! module that made it is unloaded.
//!
//! If debugfs is not available, making a folder fails.
//!
//! C header: `include/linux/debugfs.h`.

mod file;

use core::ptr;

use kernel::{
    bindings as k,
    error::from_err_ptr,
    prelude::*,
    str::CString, //
};

use xen_bindings as b;

pub use file::{
    File,
    Show, //
};

kernel::sync::global_lock! {
    // SAFETY: `init` is called before any folder is made.
    unsafe(uninit) static FOLDERS: Mutex<KVec<Level>> = KVec::new();
}

/// Initialises the list of folders.
///
/// # Safety
///
/// To be called once, before any folder is made.
pub unsafe fn init() {
    // SAFETY: By the requirement of this function.
    unsafe { FOLDERS.init() };
}

/// A folder of debugfs in use.
///
/// # Invariants
///
/// `dentry` is the folder's. If `made`, this value has made the folder, otherwise it owns a
/// reference to `dentry`.
struct Level {
    /// The path below the root of debugfs, without slashes at its ends.
    path: CString,
    dentry: *mut k::dentry,
    users: usize,
    made: bool,
}

// SAFETY: The pointer may be used by any thread.
unsafe impl Send for Level {}

impl Drop for Level {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the folder was made here, or there is a reference to put.
        // It has no users any more.
        unsafe {
            if self.made {
                k::debugfs_remove(self.dentry);
            } else {
                k::dput(self.dentry);
            }
        }
    }
}

/// A folder of debugfs, which several modules may use. Dropping it may sleep.
///
/// # Invariants
///
/// `dentry` is that of the `Level` with this path, which counts this value as a user.
pub struct Folder {
    path: CString,
    dentry: *mut k::dentry,
}

// SAFETY: The pointer is only passed to functions that do their own locking.
unsafe impl Send for Folder {}
// SAFETY: The pointer is only passed to functions that do their own locking.
unsafe impl Sync for Folder {}

impl Folder {
    /// The folder with a path below the root of debugfs, `xen/blkfront` for instance. May sleep.
    ///
    /// # Errors
    ///
    /// `ENODEV` or `EPERM` if debugfs is not available.
    pub fn new(path: kernel::fmt::Arguments<'_>) -> Result<Self> {
        let path = CString::try_from_fmt(path)?;
        let mut levels = FOLDERS.lock();
        let mut parent = ptr::null_mut();
        let mut known = 0;
        let mut result = Ok(());
        for end in ends(path.to_bytes()) {
            match enter(&mut levels, parent, path.to_bytes(), end) {
                Ok(dentry) => parent = dentry,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
            known = end;
        }
        if let Err(error) = result {
            leave(
                &mut levels,
                path.to_bytes().get(..known).unwrap_or_default(),
            );
            return Err(error);
        }
        // INVARIANT: `enter` counted this user.
        Ok(Self {
            path,
            dentry: parent,
        })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        leave(&mut FOLDERS.lock(), self.path.to_bytes());
    }
}

/// The end of each level in a path.
fn ends(path: &[u8]) -> impl DoubleEndedIterator<Item = usize> + '_ {
    (1..=path.len()).filter(|end| path.get(*end).is_none_or(|byte| *byte == b'/'))
}

/// Counts a user of the level that ends at `end`, which is looked up or made in `parent`.
fn enter(
    levels: &mut KVec<Level>,
    parent: *mut k::dentry,
    path: &[u8],
    end: usize,
) -> Result<*mut k::dentry> {
    let path = path.get(..end).ok_or(EINVAL)?;
    if let Some(level) = levels
        .iter_mut()
        .find(|level| level.path.to_bytes() == path)
    {
        level.users += 1;
        return Ok(level.dentry);
    }
    levels.reserve(1, GFP_KERNEL)?;
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
    let text = |bytes| core::str::from_utf8(bytes).map_err(|_| EINVAL);
    let name = CString::try_from_fmt(fmt!("{}", text(name)?))?;
    let path = CString::try_from_fmt(fmt!("{}", text(path)?))?;
    // SAFETY: The name is a string, and `parent` null or a folder that has users.
    let found = unsafe { k::debugfs_lookup(name.as_char_ptr(), parent) };
    let found = from_err_ptr(found)?;
    let (dentry, made) = if found.is_null() {
        // SAFETY: The name is a string, and `parent` null or a folder that has users.
        let made = unsafe { k::debugfs_create_dir(name.as_char_ptr(), parent) };
        (from_err_ptr(made)?, true)
    } else {
        (found, false)
    };
    // INVARIANT: The folder was made above, or `debugfs_lookup` returned a reference.
    let level = Level {
        path,
        dentry,
        users: 1,
        made,
    };
    levels.push(level, GFP_KERNEL)?;
    Ok(dentry)
}

/// Uncounts a user of each level of a path, the innermost first.
fn leave(levels: &mut KVec<Level>, path: &[u8]) {
    for end in ends(path).rev() {
        let path = path.get(..end).unwrap_or_default();
        let index = levels
            .iter()
            .position(|level| level.path.to_bytes() == path);
        let Some(index) = index else { continue };
        if let Some(level) = levels.get_mut(index) {
            level.users -= 1;
            if level.users > 0 {
                continue;
            }
        }
        let _ = levels.remove(index);
    }
}

/// The C structure of a file.
type RawFile = b::xen_rs_debugfs_file;
