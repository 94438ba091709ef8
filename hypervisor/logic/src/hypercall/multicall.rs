// SPDX-License-Identifier: GPL-2.0

//! `multicall`: a list of hypercalls.

use super::{PREEMPT_BATCH, Reply, VcpuAction, do_hypercall};
use crate::error::{Errno, Result};
use crate::system::{Caller, Platform};
use xen_abi::xen::{MulticallEntry, hypercall as nr};

pub(super) fn do_multicall<P: Platform>(
    caller: &mut Caller<'_, P>,
    list: u64,
    count: u32,
) -> Result<Reply> {
    let count = u64::from(count);
    let entry_size = caller.size_of::<MulticallEntry>();
    for index in 0..count {
        if caller.system.items_done >= PREEMPT_BATCH {
            return create_continuation(list, entry_size, index, count, VcpuAction::Resume);
        }
        caller.system.items_done += 1;
        let mut entry: MulticallEntry = caller.read_arg_at(list, index)?;
        let [a, b, c, d, e, _] = entry.args;
        // A multicall in a multicall would be recursion that the guest controls.
        let reply = if entry.op == u64::from(nr::MULTICALL) {
            Err(Errno::EINVAL)
        } else {
            do_hypercall(caller, entry.op, [a, b, c, d, e])
        };
        match reply {
            Ok(Reply::Continuation(args, action)) => {
                // The entry keeps the arguments for what is left; the continuation begins with it.
                entry.args[..5].copy_from_slice(&args);
                caller.write_arg_at(list, index, &entry)?;
                return create_continuation(list, entry_size, index, count, action);
            }
            Ok(Reply::Action(action)) => {
                entry.result = 0;
                caller.write_arg_at(list, index, &entry)?;
                // The vCPU yields, blocks or stops here, and makes the rest afterwards.
                return if index + 1 == count {
                    Ok(action.into())
                } else {
                    create_continuation(list, entry_size, index + 1, count, action)
                };
            }
            Ok(Reply::Value(value)) => entry.result = value,
            Err(errno) => entry.result = errno.register(),
        }
        caller.write_arg_at(list, index, &entry)?;
    }
    Ok(Reply::Value(0))
}

/// Continues with the rest of the list after an action (`hypercall_create_continuation`).
fn create_continuation(
    list: u64,
    entry_size: u64,
    done: u64,
    count: u64,
    action: VcpuAction,
) -> Result<Reply> {
    let rest = list.checked_add(done * entry_size).ok_or(Errno::EFAULT)?;
    Ok(Reply::Continuation([rest, count - done, 0, 0, 0], action))
}
