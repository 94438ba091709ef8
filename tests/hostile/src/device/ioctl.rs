// SPDX-License-Identifier: GPL-2.0

//! A call on a device file whose argument is a structure of the program's.

use std::ffi::c_void;
use std::io;
use std::os::fd::AsFd;

use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, ioctl};

/// A request with its argument.
///
/// # Invariants
///
/// The kernel reads and writes no more than `argument` when it gets `request`.
struct Call<'a> {
    request: u32,
    argument: &'a mut [u8],
}

// SAFETY:
// - By the type invariant the kernel touches only the argument, which is borrowed for the call.
// - The result is the call's own, and nothing is made of the pointer.
unsafe impl Ioctl for Call<'_> {
    type Output = i32;

    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        self.request as Opcode
    }

    fn as_ptr(&mut self) -> *mut c_void {
        self.argument.as_mut_ptr().cast()
    }

    unsafe fn output_from_ptr(out: IoctlOutput, _: *mut c_void) -> rustix::io::Result<i32> {
        Ok(out)
    }
}

/// Makes a call and returns its result.
///
/// # Safety
///
/// The kernel must read and write no more than `argument` when it gets `request` with these bytes in it, and no other memory
/// of the program either.
pub unsafe fn call(file: impl AsFd, request: u32, argument: &mut [u8]) -> io::Result<i32> {
    let call = Call { request, argument };
    // SAFETY: the caller promises that the request takes this argument.
    unsafe { ioctl(file, call) }.map_err(Into::into)
}
