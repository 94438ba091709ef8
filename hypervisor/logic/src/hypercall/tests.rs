// SPDX-License-Identifier: GPL-2.0

//! Hypercalls of guests, on a machine on the heap.
//!
//! dom0 maps gfns 0x100 to 0x13f with equal mfns, domain 1 maps 64 frames from gfn 0x40 on. Neither has paging, so
//! addresses are guest-physical.

mod budgets;
mod calls;
mod channels;
mod compat;
mod contexts;
mod copies;
mod dm_op;
mod domctls;
mod ends;
mod events;
mod grants;
mod limits;
mod lives;
mod log_dirty;
mod mappings;
mod memory;
mod on_demand;
mod parameters;
mod pauses;
mod physmap;
mod platform;
mod policies;
mod pools;
mod preemption;
mod reservations;
mod saves;
mod scheduling;
mod tables;
mod typed;
mod vcpus;

use super::*;
use crate::mem::{Gfn, GuestMemory, MachineMemory, Mfn, NativeStructures, Owner};
use crate::system::fake::{FakePlatform, PlatformCall, UNPAGED, add_domain, machine};
use crate::system::vcpu::VcpuId;
use crate::system::{System, Upcall};
use core::mem::offset_of;
use xen_abi::event_channel::{self as ec, fifo};
use xen_abi::grant_table::{EntryV1, flag, op as gnttab, status};
use xen_abi::hvm::{hvm_op, params};
use xen_abi::memory as mem;
use xen_abi::vcpu as vc;
use xen_abi::version;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

/// Guest-physical address of arguments, in dom0 and in the others.
const ARG: [u64; 2] = [0x10_0000, 0x4_0000];

fn two_domains() -> System<FakePlatform> {
    let mut system = machine(1024);
    add_domain(&mut system, 0, 0x100, 64);
    add_domain(&mut system, 1, 0x40, 64);
    system.platform.calls.clear();
    system
}

fn caller(system: &mut System<FakePlatform>, domain: u16) -> Caller<'_, FakePlatform> {
    Caller {
        system,
        vcpu: VcpuId { domain, vcpu: 0 },
        paging: UNPAGED,
        abi: Abi::Bits64,
    }
}

fn call(
    system: &mut System<FakePlatform>,
    domain: u16,
    number: u32,
    args: &[u64],
) -> HypercallOutcome {
    finish(system, domain, hypercall(number, args))
}

/// A hypercall as a 64-bit kernel makes it.
fn hypercall(number: u32, args: &[u64]) -> Call {
    let mut registers = [0; 5];
    registers[..args.len()].copy_from_slice(args);
    Call {
        number: number.into(),
        args: registers,
        cpl: 0,
    }
}

/// Makes a hypercall and its continuations.
fn finish(system: &mut System<FakePlatform>, domain: u16, mut call: Call) -> HypercallOutcome {
    loop {
        let outcome = dispatch(&mut caller(system, domain), call);
        match outcome.continuation {
            Some(args) => call.args = args,
            None => return outcome,
        }
    }
}

/// Copies an argument into the guest's memory, makes the hypercall, and returns the argument as it is afterwards.
fn with<T: FromBytes + IntoBytes + Immutable>(
    system: &mut System<FakePlatform>,
    domain: u16,
    number: u32,
    command: u32,
    argument: T,
) -> (i64, T) {
    let at = ARG[usize::from(domain != 0)];
    caller(system, domain)
        .copy_to_guest(at, &argument)
        .expect("memory");
    let outcome = call(system, domain, number, &[command.into(), at, 1]);
    let argument = caller(system, domain).copy_from_guest(at).expect("memory");
    (outcome.value as i64, argument)
}

fn errno(errno: Errno) -> i64 {
    errno.register() as i64
}

fn event<T: FromBytes + IntoBytes + Immutable>(
    system: &mut System<FakePlatform>,
    domain: u16,
    op: u32,
    args: T,
) -> (i64, T) {
    with(system, domain, nr::EVENT_CHANNEL_OP, op, args)
}

fn memory_op<T: FromBytes + IntoBytes + Immutable>(
    system: &mut System<FakePlatform>,
    domain: u16,
    op: u32,
    args: T,
) -> (i64, T) {
    with(system, domain, nr::MEMORY_OP, op, args)
}

fn grant_op<T: FromBytes + IntoBytes + Immutable>(
    system: &mut System<FakePlatform>,
    domain: u16,
    op: u32,
    args: T,
) -> (i64, T) {
    with(system, domain, nr::GRANT_TABLE_OP, op, args)
}

fn send(system: &mut System<FakePlatform>, domain: u16, port: u32) -> i64 {
    event(system, domain, ec::op::SEND, ec::Port { port }).0
}

/// Binds an interdomain channel between dom0 and domain 1; returns both ports.
fn connected(system: &mut System<FakePlatform>) -> (u32, u32) {
    let wanted = ec::AllocUnbound {
        dom: 0x7ff0,
        remote_dom: 1,
        port: 0,
    };
    let (result, offer) = event(system, 0, ec::op::ALLOC_UNBOUND, wanted);
    assert_eq!(result, 0);
    let wanted = ec::BindInterdomain {
        remote_dom: 0,
        pad: 0,
        remote_port: offer.port,
        local_port: 0,
    };
    let (result, bound) = event(system, 1, ec::op::BIND_INTERDOMAIN, wanted);
    assert_eq!(result, 0);
    (offer.port, bound.local_port)
}

/// Maps domain 1's grant table at its gfn 0x60; entry 9 grants its gfn 0x44 to dom0. Returns the entry's address.
fn granting(system: &mut System<FakePlatform>, flags: u16) -> u64 {
    let args = mem::AddToPhysmap {
        domid: 0x7ff0,
        space: mem::space::GRANT_TABLE.into(),
        gpfn: 0x60,
        ..Default::default()
    };
    assert_eq!(memory_op(system, 1, mem::op::ADD_TO_PHYSMAP, args).0, 0);
    let entry = EntryV1 {
        flags,
        domid: 0,
        frame: 0x44,
    };
    let at = 0x6_0000 + 9 * 8;
    caller(system, 1).copy_to_guest(at, &entry).expect("memory");
    at
}

/// A domain unmaps a gfn of its own.
fn remove(system: &mut System<FakePlatform>, domain: u16, gpfn: u64) -> i64 {
    let args = mem::RemoveFromPhysmap {
        domid: 0x7ff0,
        pad: [0; 3],
        gpfn,
    };
    memory_op(system, domain, mem::op::REMOVE_FROM_PHYSMAP, args).0
}
