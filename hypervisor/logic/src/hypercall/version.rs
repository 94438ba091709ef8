// SPDX-License-Identifier: GPL-2.0

//! `xen_version`: version, capabilities and features of the hypervisor.

use super::{Reply, with_arg_copyback};
use crate::error::{Errno, Result};
use crate::mem::access::GuestMemory;
use crate::system::{Caller, Platform};
use alloc::string::String;
use xen_abi::compat::Ulong;
use xen_abi::features;
use xen_abi::version::{
    CAPABILITIES_LEN, CHANGESET_LEN, COMMANDLINE_LEN, CompileInfo, EXTRAVERSION_LEN,
};
use xen_abi::version::{FeatureInfo, Varbuf, op};

/// Major version of the Xen whose interface is served: the toolstack requires it.
pub const MAJOR: u32 = 4;
/// Its minor number.
pub const MINOR: u32 = 20;
/// What follows the two numbers in the version string.
pub const EXTRA: &str = ".0-paravane";
/// The types of guests that can be run, as the toolstack parses them.
pub const CAPABILITIES: &str = "hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 ";

pub(super) fn do_xen_version<P: Platform>(
    caller: &mut Caller<'_, P>,
    command: u32,
    arg: u64,
) -> Result<Reply> {
    let build = |caller: &Caller<'_, P>, part: usize| caller.system.host.build[part].clone();
    match command {
        op::VERSION => Ok(Reply::Value(u64::from(MAJOR << 16 | MINOR))),
        op::EXTRAVERSION => text::<P, EXTRAVERSION_LEN>(caller, arg, EXTRA),
        op::COMPILE_INFO => {
            let info = CompileInfo {
                compiler: padded(&build(caller, 0)),
                compile_by: padded(&build(caller, 1)),
                compile_domain: padded(&build(caller, 2)),
                compile_date: padded(&build(caller, 3)),
            };
            caller.write_arg(arg, &info)?;
            Ok(Reply::Value(0))
        }
        op::CAPABILITIES => text::<P, CAPABILITIES_LEN>(caller, arg, CAPABILITIES),
        op::CHANGESET => {
            let changeset = build(caller, 4);
            text::<P, CHANGESET_LEN>(caller, arg, &changeset)
        }
        op::PLATFORM_PARAMETERS => {
            // There is no hole in a translated guest's addresses.
            caller.write_arg(arg, &Ulong(0))?;
            Ok(Reply::Value(0))
        }
        op::GET_FEATURES => with_arg_copyback(caller, arg, |caller, info: &mut FeatureInfo| {
            if info.submap_idx != 0 {
                return Err(Errno::EINVAL);
            }
            info.submap = submap(caller.domain()?.config.privileged);
            Ok(())
        }),
        op::PAGESIZE if arg != 0 => Err(Errno::EINVAL),
        op::PAGESIZE => Ok(Reply::Value(crate::mem::PAGE_SIZE)),
        op::GUEST_HANDLE => {
            let handle = caller.domain()?.config.handle;
            caller.write_arg(arg, &handle)?;
            Ok(Reply::Value(0))
        }
        op::COMMANDLINE => {
            let line = command_line(caller);
            text::<P, COMMANDLINE_LEN>(caller, arg, &line)
        }
        op::BUILD_ID if !caller.is_privileged() => Err(Errno::EPERM),
        op::BUILD_ID if caller.system.host.build_id.is_empty() => Err(Errno::ENODATA),
        op::BUILD_ID => {
            let id = caller.system.host.build_id.clone();
            varbuf(caller, arg, &id)
        }
        op::EXTRAVERSION2 => varbuf(caller, arg, EXTRA.as_bytes()),
        op::CAPABILITIES2 => varbuf(caller, arg, CAPABILITIES.as_bytes()),
        op::CHANGESET2 => {
            let changeset = build(caller, 4);
            varbuf(caller, arg, changeset.as_bytes())
        }
        op::COMMANDLINE2 if !caller.is_privileged() => Err(Errno::EPERM),
        op::COMMANDLINE2 => {
            let line = command_line(caller);
            varbuf(caller, arg, line.as_bytes())
        }
        _ => Err(Errno::ENOSYS),
    }
}

/// The features (`XENFEAT_*`) of a PVH domain, submap 0.
pub fn submap(privileged: bool) -> u32 {
    let mut features = 1 << features::MEMORY_OP_VNODE_SUPPORTED
        | 1 << features::WRITABLE_PAGE_TABLES
        | 1 << features::AUTO_TRANSLATED_PHYSMAP
        | 1 << features::HVM_SAFE_PVCLOCK
        | 1 << features::HVM_CALLBACK_VECTOR
        // As Xen announces it to every translated domain, though dom0 is direct-mapped here: without it Linux would use
        // frame numbers of other domains as DMA addresses.
        | 1 << features::NOT_DIRECT_MAPPED;
    if privileged {
        features |= 1 << features::DOM0;
    }
    features
}

fn command_line<P: Platform>(caller: &Caller<'_, P>) -> String {
    if caller.is_privileged() {
        caller.system.host.command_line.clone()
    } else {
        String::from("<denied>")
    }
}

/// A string in an array, truncated and terminated by NUL.
fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    for (to, from) in bytes[..N - 1].iter_mut().zip(text.bytes()) {
        *to = from;
    }
    bytes
}

/// Copies a string to the guest, padded with NULs to the size of its ABI type.
fn text<P: Platform, const N: usize>(
    caller: &mut Caller<'_, P>,
    address: u64,
    text: &str,
) -> Result<Reply> {
    let bytes: [u8; N] = padded(text);
    caller.raw_copy_to_guest(address, &bytes)?;
    Ok(Reply::Value(0))
}

/// Copies bytes to a `xen_varbuf_t` of the guest, and returns how many there are.
fn varbuf<P: Platform>(caller: &mut Caller<'_, P>, address: u64, bytes: &[u8]) -> Result<Reply> {
    let length = bytes.len() as u64;
    if address == 0 {
        return Ok(Reply::Value(length));
    }
    let room: Varbuf = caller.read_arg(address)?;
    if room.len == 0 {
        return Err(Errno::EINVAL);
    }
    if length > u64::from(room.len) {
        return Err(Errno::ENOBUFS);
    }
    let behind = address
        .checked_add(size_of::<Varbuf>() as u64)
        .ok_or(Errno::EFAULT)?;
    caller.raw_copy_to_guest(behind, bytes)?;
    Ok(Reply::Value(length))
}
