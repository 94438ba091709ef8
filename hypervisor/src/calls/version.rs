// SPDX-License-Identifier: GPL-2.0

//! `xen_version`.

use paravane::error::{Errno, Result};
use paravane::mem::GuestMemory;

use super::Call;

/// The version of Xen whose ABI is spoken, 4.20.
pub const VERSION: u32 = 4 << 16 | 20;

/// Features of the first word (`XENFEAT_*`): auto-translated 2, kernel in ring 0 3, page directories above 4 GiB 4,
/// callback by vector 8, safe clock page 9, dom0 11, memory mapped one to one 17.
const FEATURES: u32 = 1 << 2 | 1 << 3 | 1 << 4 | 1 << 8 | 1 << 9 | 1 << 11 | 1 << 17;

/// Carries out a command.
pub fn call(call: &mut Call, command: u32, argument: u64) -> Result<u64> {
    let mut text = |text: &str, room: usize| -> Result<u64> {
        let mut bytes = [0; 64];
        let len = text.len().min(bytes.len() - 1);
        bytes[..len].copy_from_slice(&text.as_bytes()[..len]);
        call.memory
            .copy_out(argument, &bytes[..room.min(bytes.len())])?;
        Ok(0)
    };
    match command {
        0 => Ok(u64::from(VERSION)),
        1 => text(".0-paravane", 16),
        3 => {
            let bytes = b"xen-3.0-x86_64 hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 ";
            let mut room = [0; 1024];
            room[..bytes.len()].copy_from_slice(bytes);
            call.memory.copy_out(argument, &room)?;
            Ok(0)
        }
        4 => text("", 64),
        6 => {
            let index: u32 = call.memory.get(argument)?;
            let features = if index == 0 { FEATURES } else { 0 };
            call.memory.put(argument.wrapping_add(4), &features)?;
            Ok(0)
        }
        7 => Ok(4096),
        _ => Err(Errno::ENOSYS),
    }
}
