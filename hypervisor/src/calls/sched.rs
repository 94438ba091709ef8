// SPDX-License-Identifier: GPL-2.0

//! `sched_op`.

use paravane::error::Errno;
use paravane::mem::GuestMemory;

use super::{Call, Outcome};

/// Carries out a command. Yielding is nothing where each vCPU has a processor of its own; polling is left early,
/// which its callers have to expect.
pub fn call(call: &mut Call, command: u32, argument: u64) -> Outcome {
    match command {
        0 => Outcome::Done(0),
        1 => Outcome::Block,
        2 => match call.memory.get::<u32>(argument) {
            Ok(reason) => Outcome::Shutdown(reason),
            Err(error) => Outcome::Done(error.register()),
        },
        3 => Outcome::Done(0),
        _ => Outcome::Done(Errno::ENOSYS.register()),
    }
}
