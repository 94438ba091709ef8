// SPDX-License-Identifier: GPL-2.0

//! Hypercalls of two hostile domains on a machine on the heap: any number, any argument, any memory. In the end both
//! domains are destroyed, and every frame must be free.

use crate::bytes::Bytes;
use paravane::event::Binding;
use paravane::hypercall::{dispatch, Call};
use paravane::mem::{GuestMemory, Mfn, Owner};
use paravane::system::fake::{add_domain, destroy_domain, machine, FakePlatform, UNPAGED};
use paravane::system::vcpu::VcpuId;
use paravane::system::{Caller, System};
use std::cell::Cell;

/// Frames of the machine.
const FRAMES: u64 = 128;
/// Where a domain's arguments are mostly put.
const ARGUMENT: [u64; 2] = [0x2_0000, 0x4_0000];

/// Hypercalls that are served, which are tried more often than others.
const SERVED: [u64; 15] = [12, 13, 15, 17, 18, 20, 21, 24, 29, 32, 33, 34, 7, 35, 36];

/// No call panics or hangs, no frame has two owners, and no connection is half.
pub fn hypercall(input: &[u8]) {
    let mut input = Bytes::new(input);
    let mut system = machine(FRAMES as usize);
    add_domain(&mut system, 0, 0x20, 32);
    add_domain(&mut system, 1, 0x40, 32);
    while !input.is_empty() {
        let vcpu = VcpuId {
            domain: input.u16() % 2,
            vcpu: u32::from(input.byte() % 2),
        };
        let at = ARGUMENT[usize::from(vcpu.domain)];
        let number = match input.byte() {
            n @ 0..240 => SERVED[usize::from(n) % SERVED.len()],
            n => input.u64() >> (n % 64),
        };
        let argument = argument(&mut input, number, at);
        let mut caller = Caller {
            system: &mut system,
            vcpu,
            paging: UNPAGED,
        };
        // The guest may have given that frame away.
        let _ = caller.raw_copy_to_guest(at, &argument);
        let mut call = Call {
            number,
            args: registers(&mut input, number, at),
            cpl: 0,
            long_mode: true,
        };
        // A call that is made again makes progress: a list of 32 bits of items is too long to wait for, so only the
        // first steps are taken.
        for _ in 0..20 {
            match dispatch(&mut caller, call).continuation {
                Some(args) => {
                    // What is left of a call in a list of calls stands in the list.
                    let list = call.number == 13;
                    assert!(
                        list || args != call.args,
                        "a call that is made again for ever"
                    );
                    call.args = args;
                }
                None => break,
            }
        }
        if input.byte() == 0 {
            system.platform.time += 1_000_000;
            system.timer_expired(vcpu);
        }
    }
    whole(&system);
    // The first may stay as a zombie until the other one is gone.
    for id in [0, 1] {
        destroy_domain(&mut system, id).expect("it is there");
    }
    assert!(system.domains.is_empty(), "nobody is left");
    assert!(system.resource_mappings.is_empty());
    assert_eq!(
        system.frames.free_count(),
        system.frames.total(),
        "frames are lost"
    );
}

/// Registers, most often such as a guest would have them: a command and the argument's address.
fn registers(input: &mut Bytes<'_>, number: u64, at: u64) -> [u64; 5] {
    if input.below(8) == 0 {
        return core::array::from_fn(|_| word(input, at));
    }
    let small = u64::from(input.byte() % 32);
    let count = u64::from(input.byte() % 3);
    match number {
        7 | 35 | 36 => [at, 0, 0, 0, 0],
        13 => [at, count, 0, 0, 0],
        18 => [small % 2, count * 50, at, 0, 0],
        20 => [small % 13, at, count, 0, 0],
        24 => [small % 17, count, at, 0, 0],
        32 => [small % 14, at, 0, 0, 0],
        _ => [small, at, 0, 0, 0],
    }
}

/// An argument: words of both sizes that look like what structures are made of.
fn argument(input: &mut Bytes<'_>, number: u64, at: u64) -> Vec<u8> {
    let length = input.below(96);
    let wide = input.below(2) == 0;
    let mut bytes = Vec::new();
    while bytes.len() < length {
        let word = word(input, at);
        if wide {
            bytes.extend(word.to_le_bytes());
        } else {
            bytes.extend((word as u32).to_le_bytes());
        }
    }
    // Commands of the toolstack say first which they are and of which version.
    let version = match number {
        7 => Some(0x0300_0001u32),
        35 => Some(0x15),
        36 => Some(0x17),
        _ => None,
    };
    if let (Some(version), Some(place)) = (version, bytes.get_mut(4..8)) {
        place.copy_from_slice(&version.to_le_bytes());
    }
    bytes
}

fn word(input: &mut Bytes<'_>, at: u64) -> u64 {
    match input.below(9) {
        0 => 0x7ff0,
        1 => at + u64::from(input.byte()) * 8,
        2 => at / 4096 + u64::from(input.byte() % 64),
        3 => input.u64(),
        4 => u64::from(input.byte() % 4) << 32 | u64::from(input.byte() % 16),
        5 => u64::from(input.u32()),
        6 => 0x7ff0 | u64::from(input.byte() % 2) << 16,
        _ => u64::from(input.byte() % 8),
    }
}

fn whole(system: &System<FakePlatform>) {
    let owned = Cell::new([0u64; 2]);
    for frame in 0..FRAMES {
        if let Owner::Domain(id) | Owner::Released(id) = system.frames.owner(Mfn(frame)) {
            let mut counts = owned.get();
            counts[usize::from(id)] += 1;
            owned.set(counts);
        }
    }
    for domain in system.domains.values() {
        let count = owned.get()[usize::from(domain.id())];
        assert_eq!(
            count,
            system.frames.tot_pages(domain.id()),
            "frames are miscounted"
        );
        for port in 0..domain.events.ports().len() {
            let binding = domain.events.port(port).expect("it exists").binding;
            if let Binding::Interdomain(remote, far) = binding {
                let far = system.domain(remote).and_then(|d| d.events.port(far));
                let back = far.expect("half a connection").binding;
                assert_eq!(back, Binding::Interdomain(domain.id(), port));
            }
        }
        for handle in 0..256 {
            if let Some(mapping) = domain.grants.maptrack.get(handle) {
                let (holds, _) = system.frames.page_refs(mapping.page.mfn());
                assert!(holds > 0, "a mapping of a frame that nobody holds");
            }
        }
    }
}
