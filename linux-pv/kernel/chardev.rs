// SPDX-License-Identifier: GPL-2.0

//! Device files: character devices that a process opens and talks to.
//!
//! | item | what it gives |
//! |---|---|
//! | [`OpenFile`] | what a driver does with an open file |
//! | [`DeviceFile`], [`Registration`] | the file in `/dev`, made by [`device_file!`](crate::device_file) |
//! | [`WaitQueue`], [`SignalQueue`] | programs that wait for a file, or want a signal |
//! | [`FileList`] | a list of open files |
//! | [`Opener`] | what is known of the program that opened a file |
//!
//! The kernel's own Rust abstraction of miscellaneous devices is not used: it knows no `poll` and no
//! `fasync`, and its files do not keep the module loaded.
//!
//! C headers: `include/linux/fs.h`, `include/linux/miscdevice.h`, `include/linux/poll.h`.

mod device_file;
mod file_list;
mod opener;
mod operations;
mod wait;

pub use device_file::{DeviceFile, Registration};
pub use file_list::{FileList, ListedFile};
pub use opener::Opener;
pub use operations::{OpenFile, Poll, Ready, Wait};
pub use wait::{new_wait_queue, SignalQueue, WaitQueue};

/// An error that the kernel's Rust code has no name for; `number` is one of
/// `include/uapi/asm-generic/errno.h`, a positive one.
pub fn error(number: i32) -> kernel::error::Error {
    kernel::error::Error::from_errno(-number)
}
