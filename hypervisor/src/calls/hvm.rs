// SPDX-License-Identifier: GPL-2.0

//! `hvm_op`.

use core::sync::atomic::Ordering;

use paravane::error::{Errno, Result};
use paravane::mem::GuestMemory;
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::Call;
use crate::domain::PARAM_CALLBACK_IRQ;

/// `xen_hvm_param`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Parameter {
    domain: u16,
    padding: u16,
    index: u32,
    value: u64,
}

/// Carries out a command.
pub fn call(call: &mut Call, command: u32, argument: u64) -> Result<u64> {
    match command {
        0 | 1 => {
            let mut parameter: Parameter = call.memory.get(argument)?;
            if parameter.domain != xen_abi::xen::domid::SELF && parameter.domain != 0 {
                return Err(Errno::ESRCH);
            }
            let mut parameters = call.domain.parameters.lock();
            let slot = parameters
                .get_mut(parameter.index as usize)
                .ok_or(Errno::EINVAL)?;
            if command == 0 {
                // A domain sets how it is called back; what else there is belongs to its builder.
                if parameter.index as usize != PARAM_CALLBACK_IRQ {
                    return Err(Errno::EPERM);
                }
                *slot = parameter.value;
            } else {
                parameter.value = *slot;
                drop(parameters);
                call.memory.put(argument, &parameter)?;
            }
            Ok(0)
        }
        // HVMOP_set_evtchn_upcall_vector: vCPU and vector.
        23 => {
            let words: [u32; 2] = call.memory.get(argument)?;
            let target = call
                .domain
                .vcpus
                .iter()
                .find(|vcpu| vcpu.id == words[0])
                .ok_or(Errno::ENOENT)?;
            let vector = words[1] as u8;
            if vector < 16 {
                return Err(Errno::EINVAL);
            }
            target.upcall_vector.store(vector, Ordering::SeqCst);
            // Events may have been pending since before: they would never be told of otherwise.
            call.domain.notify(target);
            Ok(0)
        }
        _ => Err(Errno::ENOSYS),
    }
}
