// SPDX-License-Identifier: GPL-2.0

//! Device files: miscellaneous character devices.
//!
//! | item | concept |
//! |---|---|
//! | [`OpenFile`] | an open file, with the operations that a driver implements |
//! | [`DeviceFile`], [`Registration`] | the file in `/dev` |
//! | [`WaitQueue`], [`SignalQueue`] | processes that wait for a file, or get a signal |
//! | [`FileList`] | a list of open files |
//! | [`Opener`] | which process opened a file |
//!
//! A device file is a static that [`device_file!`](crate::device_file) makes.
//!
//! The kernel's own Rust abstraction of miscellaneous devices has no `poll` and no `fasync`.
//!
//! C headers: `include/linux/fs.h`, `include/linux/miscdevice.h`, `include/linux/poll.h`.

mod device_file;
mod file_list;
mod opener;
mod operations;
mod wait;

pub use device_file::{
    DeviceFile,
    Registration, //
};
pub use file_list::{
    FileList,
    ListedFile, //
};
pub use opener::Opener;
pub use operations::{
    OpenFile,
    Poll,
    Ready,
    Wait, //
};
pub use wait::{
    new_wait_queue,
    SignalQueue,
    WaitQueue, //
};

/// An error for which the kernel's Rust code has no constant; `number` is a positive number of
/// `include/uapi/asm-generic/errno.h`.
pub fn error(number: i32) -> kernel::error::Error {
    kernel::error::Error::from_errno(-number)
}
