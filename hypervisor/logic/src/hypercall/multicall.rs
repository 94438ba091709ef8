//! `multicall`: a list of hypercalls.

use super::{After, BATCH, Reply, serve as call};
use crate::error::{Errno, Result};
use crate::mem::access::GuestMemory;
use crate::system::{Caller, Platform};
use xen_abi::xen::hypercall as nr;
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// One call of the list (`struct multicall_entry`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Entry {
    /// Its number.
    pub op: u64,
    /// Out: what it returns.
    pub result: u64,
    /// Its arguments; the sixth is not used.
    pub args: [u64; 6],
}

pub(super) fn serve<P: Platform>(
    caller: &mut Caller<'_, P>,
    list: u64,
    count: u32,
) -> Result<Reply> {
    let count = u64::from(count);
    for index in 0..count.min(BATCH) {
        let mut entry: Entry = caller.get_at(list, index)?;
        let [a, b, c, d, e, _] = entry.args;
        // A list in a list would let the hypervisor call itself without end.
        let reply = if entry.op == u64::from(nr::MULTICALL) {
            Err(Errno::EINVAL)
        } else {
            call(caller, entry.op, [a, b, c, d, e])
        };
        match reply {
            Ok(Reply::Then(After::Again(args))) => {
                // The entry says what is left, and the list goes on with it.
                entry.args[..5].copy_from_slice(&args);
                caller.put_at(list, index, &entry)?;
                return again(list, index, count);
            }
            Ok(Reply::Then(after)) if after != After::Resume => {
                entry.result = 0;
                caller.put_at(list, index, &entry)?;
                // A vCPU that stops makes no further calls; one that waits or yields makes the rest first.
                if after == After::Stop || index + 1 == count {
                    return Ok(after.into());
                }
            }
            Ok(Reply::Value(value)) => entry.result = value,
            Ok(Reply::Then(_)) => entry.result = 0,
            Err(errno) => entry.result = errno.register(),
        }
        caller.put_at(list, index, &entry)?;
    }
    if count > BATCH {
        again(list, BATCH, count)
    } else {
        Ok(Reply::Value(0))
    }
}

/// The same hypercall for the rest of the list.
fn again(list: u64, done: u64, count: u64) -> Result<Reply> {
    let rest = list
        .checked_add(done * size_of::<Entry>() as u64)
        .ok_or(Errno::EFAULT)?;
    Ok(After::Again([rest, count - done, 0, 0, 0]).into())
}
