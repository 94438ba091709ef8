// SPDX-License-Identifier: GPL-2.0

//! `console_io`: output and input of dom0 on the hypervisor's console.

use super::Reply;
use crate::error::{Errno, Result};
use crate::mem::access::GuestMemory;
use crate::system::{Caller, Platform};

/// `CONSOLEIO_write`.
const WRITE: u32 = 0;
/// `CONSOLEIO_read`.
const READ: u32 = 1;
/// Bytes that are copied before a call is preempted.
const CHUNK: usize = 256;

pub(super) fn do_console_io<P: Platform>(
    caller: &mut Caller<'_, P>,
    command: u32,
    count: u32,
    buffer: u64,
) -> Result<Reply> {
    if !caller.is_privileged() {
        return Err(Errno::EPERM);
    }
    let mut chunk = [0; CHUNK];
    match command {
        WRITE => {
            let now = CHUNK.min(count as usize);
            caller.raw_copy_from_guest(buffer, &mut chunk[..now])?;
            caller.system.console.write(&chunk[..now]);
            caller.system.platform.console_write(&chunk[..now]);
            let left = u64::from(count) - now as u64;
            if left == 0 {
                return Ok(Reply::Value(0));
            }
            let rest = buffer.checked_add(now as u64).ok_or(Errno::EFAULT)?;
            Ok(Reply::continuation([WRITE.into(), left, rest, 0, 0]))
        }
        READ if count > i32::MAX as u32 => Err(Errno::E2BIG),
        READ => {
            let room = CHUNK.min(count as usize);
            // Input is lost if the buffer is bad.
            let read = caller
                .system
                .platform
                .console_read(&mut chunk[..room])
                .min(room);
            caller.raw_copy_to_guest(buffer, &chunk[..read])?;
            Ok(Reply::Value(read as u64))
        }
        _ => Err(Errno::ENOSYS),
    }
}
