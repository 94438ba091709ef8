//! Hypercalls: one file a family, and one dispatcher.
//!
//! A family's function copies its argument in through [`GuestMemory`], asks [`System`](crate::system::System) to do
//! what it says, and copies results out. Arguments are never referenced. Numbers of errors are Xen 4.20's.
//!
//! A call that would take long does a part of its work and is made again with changed arguments ([`After::Again`]), so
//! that interrupts are taken meanwhile.

mod command;
pub mod console;
pub mod domctl;
pub mod event_channel;
pub mod grant_table;
pub mod hvm;
pub mod memory;
pub mod multicall;
pub mod physdev;
pub mod platform;
pub mod sched;
pub mod sysctl;
pub mod vcpu;
pub mod version;

use crate::error::{Errno, Result};
use crate::mem::access::GuestMemory;
use crate::system::{Caller, Platform};
use xen_abi::xen::hypercall as nr;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A hypercall as the guest's registers say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// RAX.
    pub number: u64,
    /// RDI, RSI, RDX, R10, R8.
    pub args: [u64; 5],
    /// Privilege level of the code that calls.
    pub cpl: u8,
    /// It runs in 64-bit mode. Calls from elsewhere are not served.
    pub long_mode: bool,
}

/// What happens after a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// The vCPU goes on.
    Resume,
    /// The same hypercall is made again with these arguments, when interrupts and events have been taken: the
    /// instruction pointer stays.
    Again([u64; 5]),
    /// The vCPU lets others run.
    Yield,
    /// The vCPU waits until an interrupt or event is pending for it; with interrupts off, too.
    Block,
    /// The vCPU waits for a port ([`crate::system::vcpu::Vcpu::poll`]), until the platform's `wake` or an interrupt.
    Poll,
    /// The vCPU is down, or its domain has shut down.
    Stop,
}

/// Outcome of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What RAX becomes, unless the call is made again.
    pub value: u64,
    /// What happens next.
    pub after: After,
    /// A call of this number and command has failed for the first time: worth a message.
    pub news: Option<crate::trace::Key>,
}

/// What a family answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The value for the guest.
    Value(u64),
    /// Zero, and something happens.
    Then(After),
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

impl From<After> for Reply {
    fn from(after: After) -> Self {
        Self::Then(after)
    }
}

/// Items of a list that are done before a call is made again.
pub const BATCH: u64 = 64;

/// Serves a hypercall.
pub fn dispatch<P: Platform>(caller: &mut Caller<'_, P>, call: Call) -> Outcome {
    if call.cpl != 0 {
        return Outcome {
            value: Errno::EPERM.register(),
            after: After::Resume,
            news: None,
        };
    }
    let result = if call.long_mode {
        serve(caller, call.number, call.args)
    } else {
        Err(Errno::ENOSYS)
    };
    let (value, after) = match result {
        Ok(Reply::Value(value)) => (value, After::Resume),
        Ok(Reply::Then(after)) => (0, after),
        Err(errno) => (errno.register(), After::Resume),
    };
    let key = key(&call);
    let done = !matches!(after, After::Again(_));
    let news = done && caller.system.trace.count(key, value as i64);
    Outcome {
        value,
        after,
        news: news.then_some(key),
    }
}

/// What the call is counted as.
fn key(call: &Call) -> crate::trace::Key {
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
        // What others have in that register is an address, or says little.
        _ => 0,
    };
    // As the families see it: 32 bits.
    (number, command as u32)
}

pub(crate) fn serve<P: Platform>(
    caller: &mut Caller<'_, P>,
    number: u64,
    args: [u64; 5],
) -> Result<Reply> {
    let number = u32::try_from(number).map_err(|_| Errno::ENOSYS)?;
    // Commands and counts are 32 bits wide: the upper halves of their registers do not count.
    let small = args.map(|arg| arg as u32);
    match number {
        nr::XEN_VERSION => version::serve(caller, small[0], args[1]),
        nr::MEMORY_OP => memory::serve(caller, args[0], args[1]),
        nr::MULTICALL => multicall::serve(caller, args[0], small[1]),
        nr::SET_TIMER_OP => vcpu::set_timer(caller, args[0]),
        nr::CONSOLE_IO => console::serve(caller, small[0], small[1], args[2]),
        nr::GRANT_TABLE_OP => grant_table::serve(caller, small[0], args[1], small[2]),
        nr::VM_ASSIST => vcpu::assist(caller, small[0], small[1]),
        nr::VCPU_OP => vcpu::serve(caller, small[0], small[1], args[2]),
        nr::SCHED_OP => sched::serve(caller, small[0], args[1]),
        nr::EVENT_CHANNEL_OP => event_channel::serve(caller, small[0], args[1]),
        nr::PHYSDEV_OP => physdev::serve(caller, small[0], args[1]),
        nr::HVM_OP => hvm::serve(caller, args[0], args[1]),
        nr::PLATFORM_OP => platform::serve(caller, args[0]),
        nr::SYSCTL => sysctl::serve(caller, args[0]),
        nr::DOMCTL => domctl::serve(caller, args[0]),
        nr::XENPMU_OP => Err(Errno::EOPNOTSUPP),
        _ => Err(Errno::ENOSYS),
    }
}

/// Copies an argument in, works on it, and copies it out if that went well.
fn in_out<P: Platform, T: FromBytes + IntoBytes + Immutable>(
    caller: &mut Caller<'_, P>,
    address: u64,
    work: impl FnOnce(&mut Caller<'_, P>, &mut T) -> Result<()>,
) -> Result<Reply> {
    let mut argument: T = caller.get(address)?;
    work(caller, &mut argument)?;
    caller.put(address, &argument)?;
    Ok(Reply::Value(0))
}

/// Copies an argument in and works on it.
fn given<P: Platform, T: FromBytes + IntoBytes>(
    caller: &mut Caller<'_, P>,
    address: u64,
    work: impl FnOnce(&mut Caller<'_, P>, T) -> Result<()>,
) -> Result<Reply> {
    let argument: T = caller.get(address)?;
    work(caller, argument)?;
    Ok(Reply::Value(0))
}

#[cfg(test)]
mod tests;
