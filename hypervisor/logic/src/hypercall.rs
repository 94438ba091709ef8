// SPDX-License-Identifier: GPL-2.0

//! Hypercalls: one dispatcher, and one file for each hypercall, whose function is named `do_…` as in Xen.
//!
//! Each copies its argument in by [`Caller::read_arg`], calls [`System`](crate::system::System), and copies results
//! out by [`Caller::write_arg`]. Arguments are never referenced in place. Both know how 64-bit and 32-bit callers lay
//! structures out ([`xen_abi::compat`]), so the functions here do not. Error numbers are those of Xen 4.20.
//!
//! A long hypercall is preempted: it does a part of its work, and the guest makes it again with arguments for what is
//! left ([`Reply::Continuation`]), so that interrupts are taken in between.

pub mod bitmap;
mod command;
mod commands;
pub mod console;
pub mod dm_op;
pub mod domctl;
pub mod event_channel;
pub mod grant_table;
pub mod hvm;
pub mod memory;
pub mod multicall;
pub mod page;
pub mod physdev;
pub mod platform;
pub mod sched;
pub mod sysctl;
pub mod vcpu;
pub mod version;

use crate::error::{Errno, Result};
use crate::hypercall_counts::HypercallKey;
use crate::mem::frames::DomId;
use crate::mistake::Mistake;
use crate::system::{Caller, Platform};
use xen_abi::compat::{Abi, Argument};
use xen_abi::xen::hypercall as nr;

/// A hypercall, from the guest's registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// The hypercall's number (RAX, or EAX).
    pub number: u64,
    /// The arguments: RDI, RSI, RDX, R10, R8 of 64-bit code, EBX, ECX, EDX, ESI, EDI of other code.
    pub args: [u64; 5],
    /// Privilege level of the calling code.
    pub cpl: u8,
}

/// What the vCPU does after a hypercall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VcpuAction {
    /// It resumes behind the instruction.
    Resume,
    /// It resumes after other vCPUs had a chance to run.
    Yield,
    /// It blocks until an interrupt or event is pending for it, even if it has interrupts off.
    Block,
    /// It blocks until [`Platform::vcpu_unblock`] or an interrupt; [`crate::system::vcpu::Vcpu::poll`] has what it waits
    /// for.
    Poll,
    /// It resumes behind the instruction once no CPU runs a vCPU of this domain, which was paused. Waiting for that is
    /// short, and done without the system's lock.
    SyncPause(DomId),
    /// It does not run any more: it is down, or its domain has shut down.
    Stop,
}

/// The result of a hypercall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HypercallOutcome {
    /// The new value of RAX, unless there is a continuation.
    pub value: u64,
    /// What the vCPU does next.
    pub action: VcpuAction,
    /// Set if the hypercall was preempted: the instruction pointer stays, and after the action, when interrupts and
    /// events were taken, the same hypercall is made again with these arguments.
    pub continuation: Option<[u64; 5]>,
    /// Set if this hypercall and subcommand failed for the first time, which is worth a message.
    pub first_error: Option<HypercallKey>,
    /// Its number and subcommand.
    pub key: HypercallKey,
}

/// What a hypercall's function returns to the dispatcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A value for the guest; the vCPU resumes.
    Value(u64),
    /// Zero for the guest, and something other than resuming.
    Action(VcpuAction),
    /// The hypercall was preempted. After the action it is made again with these arguments
    /// (`hypercall_create_continuation`).
    Continuation([u64; 5], VcpuAction),
}

impl Reply {
    /// The hypercall was preempted; the vCPU resumes, and makes it again.
    fn continuation(args: [u64; 5]) -> Self {
        Self::Continuation(args, VcpuAction::Resume)
    }
}

impl From<u64> for Reply {
    fn from(value: u64) -> Self {
        Self::Value(value)
    }
}

impl From<()> for Reply {
    fn from((): ()) -> Self {
        Self::Value(0)
    }
}

impl From<VcpuAction> for Reply {
    fn from(action: VcpuAction) -> Self {
        Self::Action(action)
    }
}

/// Items of a list after which a hypercall is preempted. A multicall is preempted between two calls, when they have worked
/// on as many items together.
pub const PREEMPT_BATCH: u64 = 64;

/// Performs a hypercall.
pub fn dispatch<P: Platform>(caller: &mut Caller<'_, P>, call: Call) -> HypercallOutcome {
    if call.cpl != 0 {
        return HypercallOutcome {
            value: Errno::EPERM.register(),
            action: VcpuAction::Resume,
            continuation: None,
            first_error: None,
            key: hypercall_key(&call, 0),
        };
    }
    caller.system.hypercall_counts.command = 0;
    caller.system.items_done = 0;
    let result = do_hypercall(caller, call.number, call.args);
    if result.as_ref().err() == Some(&Errno::EFAULT) {
        let command = caller.system.hypercall_counts.command;
        let key = hypercall_key(&call, command);
        caller.system.platform.report(
            caller.vcpu,
            Mistake::BadHandle,
            format_args!(
                "hypercall {}, command {}: a handle without memory",
                key.0, key.1
            ),
        );
    }
    let (value, action, continuation) = match result {
        Ok(Reply::Value(value)) => (value, VcpuAction::Resume, None),
        Ok(Reply::Action(action)) => (0, action, None),
        Ok(Reply::Continuation(args, action)) => (0, action, Some(args)),
        Err(errno) => (errno.register(), VcpuAction::Resume, None),
    };
    let key = hypercall_key(&call, caller.system.hypercall_counts.command);
    let first_error =
        continuation.is_none() && caller.system.hypercall_counts.count(key, value as i64);
    HypercallOutcome {
        value,
        action,
        continuation,
        first_error: first_error.then_some(key),
        key,
    }
}

/// Whether a caller's registers are wide enough for arguments.
fn has_registers_for(abi: Abi, args: [u64; 5]) -> bool {
    abi == Abi::Bits64 || args.iter().all(|arg| *arg <= u64::from(u32::MAX))
}

/// Hypercall and subcommand, by which it is counted and traced. `command` is the subcommand of those that have it in memory.
fn hypercall_key(call: &Call, command: u32) -> HypercallKey {
    let number = u32::try_from(call.number).unwrap_or(u32::MAX);
    let command = match number {
        nr::MEMORY_OP => call.args[0] & 0x3f,
        nr::XEN_VERSION
        | nr::CONSOLE_IO
        | nr::GRANT_TABLE_OP
        | nr::VM_ASSIST
        | nr::VCPU_OP
        | nr::SCHED_OP
        | nr::EVENT_CHANNEL_OP
        | nr::PHYSDEV_OP
        | nr::HVM_OP
        | nr::XENPMU_OP => call.args[0],
        nr::DOMCTL | nr::SYSCTL | nr::PLATFORM_OP => command.into(),
        // In the others the first argument is an address or a value.
        _ => 0,
    };
    // As the hypercalls read it: 32 bits.
    (number, command as u32)
}

/// Makes a hypercall.
pub(crate) fn do_hypercall<P: Platform>(
    caller: &mut Caller<'_, P>,
    number: u64,
    args: [u64; 5],
) -> Result<Reply> {
    match call_function(caller, number, args)? {
        // Buffers of 32-bit code end at 4 GiB: there is no address from which to go on.
        Reply::Continuation(args, _) if !has_registers_for(caller.abi, args) => Err(Errno::EFAULT),
        reply => Ok(reply),
    }
}

/// Calls the function of a hypercall.
fn call_function<P: Platform>(
    caller: &mut Caller<'_, P>,
    number: u64,
    args: [u64; 5],
) -> Result<Reply> {
    let number = u32::try_from(number).map_err(|_| Errno::ENOSYS)?;
    // Subcommands and counts have 32 bits: the upper halves of their registers are ignored.
    let small = args.map(|arg| arg as u32);
    match number {
        // The toolstack and the kernel of dom0 are 64-bit code, which alone is to make these.
        nr::PLATFORM_OP | nr::SYSCTL | nr::DOMCTL | nr::DM_OP if caller.abi == Abi::Bits32 => {
            Err(Errno::ENOSYS)
        }
        nr::XEN_VERSION => version::do_xen_version(caller, small[0], args[1]),
        nr::MEMORY_OP => memory::do_memory_op(caller, args[0], args[1]),
        nr::MULTICALL => multicall::do_multicall(caller, args[0], small[1]),
        // 32-bit code passes the time in two registers.
        nr::SET_TIMER_OP if caller.abi == Abi::Bits32 => {
            vcpu::do_set_timer_op(caller, u64::from(small[1]) << 32 | u64::from(small[0]))
        }
        nr::SET_TIMER_OP => vcpu::do_set_timer_op(caller, args[0]),
        nr::CONSOLE_IO => console::do_console_io(caller, small[0], small[1], args[2]),
        nr::GRANT_TABLE_OP => grant_table::do_grant_table_op(caller, small[0], args[1], small[2]),
        nr::VM_ASSIST => vcpu::do_vm_assist(caller, small[0], small[1]),
        nr::VCPU_OP => vcpu::do_vcpu_op(caller, small[0], small[1], args[2]),
        nr::SCHED_OP => sched::do_sched_op(caller, small[0], args[1]),
        nr::EVENT_CHANNEL_OP => event_channel::do_event_channel_op(caller, small[0], args[1]),
        nr::PHYSDEV_OP => physdev::do_physdev_op(caller, small[0], args[1]),
        nr::HVM_OP => hvm::do_hvm_op(caller, args[0], args[1]),
        nr::PLATFORM_OP => platform::do_platform_op(caller, args[0]),
        nr::SYSCTL => sysctl::do_sysctl(caller, args[0]),
        nr::DOMCTL => domctl::do_domctl(caller, args[0]),
        nr::DM_OP => dm_op::do_dm_op(caller, small[0] as DomId, small[1], args[2]),
        nr::XENPMU_OP => Err(Errno::EOPNOTSUPP),
        _ => Err(Errno::ENOSYS),
    }
}

/// Copies an argument from the guest, works on it, and copies it back to the guest if that succeeded.
fn with_arg_copyback<P: Platform, T: Argument>(
    caller: &mut Caller<'_, P>,
    address: u64,
    work: impl FnOnce(&mut Caller<'_, P>, &mut T) -> Result<()>,
) -> Result<Reply> {
    let mut argument: T = caller.read_arg(address)?;
    work(caller, &mut argument)?;
    caller.write_arg(address, &argument)?;
    Ok(Reply::Value(0))
}

/// Copies an argument from the guest and works on it.
fn with_arg<P: Platform, T: Argument>(
    caller: &mut Caller<'_, P>,
    address: u64,
    work: impl FnOnce(&mut Caller<'_, P>, T) -> Result<()>,
) -> Result<Reply> {
    let argument: T = caller.read_arg(address)?;
    work(caller, argument)?;
    Ok(Reply::Value(0))
}

#[cfg(test)]
mod tests;
