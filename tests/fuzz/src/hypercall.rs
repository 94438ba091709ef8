// SPDX-License-Identifier: GPL-2.0

//! Hypercalls of hostile domains on a machine on the heap: any number, any argument, any memory. The first domain is
//! privileged, and creates and destroys others meanwhile. In the end all are destroyed, and every frame must be free.

use crate::bytes::Bytes;
use paravane::event::Binding;
use paravane::hypercall::{dispatch, Call};
use paravane::mem::{Gfn, GuestMemory, Mfn, NativeStructures, Owner};
use paravane::system::fake::{add_domain, destroy_domain, machine, FakePlatform, UNPAGED};
use paravane::system::vcpu::VcpuId;
use paravane::system::{Caller, System};
use std::collections::BTreeMap;
use xen_abi::compat::Abi;
use xen_abi::domctl::{self, cdf, emulation, op, Createdomain, Header};
use zerocopy::IntoBytes;

/// Frames of the machine: enough for a domain that the toolstack creates, which gets 256 for its nested page tables.
const FRAMES: u64 = 512;
/// Domids that are used: of the two domains at the start, and of those that are created.
const DOMAINS: u16 = 4;
/// Where dom0's arguments are mostly put, and those of the others.
const ARGUMENT: [u64; 2] = [0x2_0000, 0x4_0000];
/// First gfn and number of the pages that a domain gets when it is created.
const PAGES: (u64, u64) = (0x40, 4);

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
            domain: input.u16() % DOMAINS,
            vcpu: u32::from(input.byte() % 2),
        };
        let living = system.domain(vcpu.domain).is_ok_and(|d| !d.is_dying());
        if !living {
            build(&mut system, vcpu.domain);
            continue;
        }
        // A domain without vCPUs makes no hypercalls.
        if system.vcpu_mut(vcpu).is_err() {
            continue;
        }
        let at = ARGUMENT[usize::from(vcpu.domain != 0)];
        let abi = match input.byte() % 4 {
            0 => Abi::Bits32,
            _ => Abi::Bits64,
        };
        let number = match input.byte() {
            n @ 0..240 => SERVED[usize::from(n) % SERVED.len()],
            n => input.u64() >> (n % 64),
        };
        let argument = argument(&mut input, number, at);
        let mut caller = Caller {
            system: &mut system,
            vcpu,
            paging: UNPAGED,
            abi,
        };
        // The guest may have given that frame away.
        let _ = caller.raw_copy_to_guest(at, &argument);
        let mut call = Call {
            number,
            args: registers(&mut input, number, at).map(|arg| abi.register(arg)),
            cpl: 0,
        };
        // A call that is made again makes progress: a list of 32 bits of items is too long to wait for, so only the
        // first steps are taken.
        for _ in 0..20 {
            match dispatch(&mut caller, call).continuation {
                Some(args) => {
                    // What is left of a call in a list of calls stands in the list, and what is left of destroying a
                    // domain, or of changing it, in the domain.
                    let elsewhere = [13, 36].contains(&call.number);
                    assert!(
                        elsewhere || args != call.args,
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
    // One of them may stay as a zombie until the others are gone.
    let ids: Vec<u16> = system.domains.keys().copied().collect();
    for id in ids {
        // The last one that used something of a zombie takes it along.
        if system.domain(id).is_ok() {
            destroy_domain(&mut system, id).expect("it is there");
        }
    }
    assert!(system.domains.is_empty(), "nobody is left");
    assert!(system.resource_mappings.is_empty());
    assert_eq!(
        system.frames.free_count(),
        system.frames.total(),
        "frames are lost"
    );
}

/// Creates a domain as the toolstack does, if there is room: with vCPUs and some memory, and lets it run.
fn build(system: &mut System<FakePlatform>, id: u16) {
    if id == 0 || system.domain(id).is_ok() || system.domain(0).map_or(true, |d| d.is_dying()) {
        return;
    }
    let args = Createdomain {
        flags: cdf::HVM | cdf::HAP,
        max_vcpus: 2,
        max_evtchn_port: 1023,
        max_grant_frames: 4,
        max_maptrack_frames: 1,
        grant_opts: 2,
        emulation_flags: emulation::LAPIC,
        ..Createdomain::default()
    };
    let mut domctl = |cmd, arg: &[u8]| {
        let mut header = Header {
            cmd,
            interface_version: domctl::INTERFACE_VERSION,
            domain: id,
            ..Header::default()
        };
        header.u.as_mut_bytes()[..arg.len()].copy_from_slice(arg);
        let at = ARGUMENT[0];
        let mut caller = Caller {
            system: &mut *system,
            vcpu: VcpuId { domain: 0, vcpu: 0 },
            paging: UNPAGED,
            abi: Abi::Bits64,
        };
        let mut call = Call {
            number: 36,
            args: [at, 0, 0, 0, 0],
            cpl: 0,
        };
        // dom0 may have given that frame away: then there is no domain.
        let _ = caller.copy_to_guest(at, &header);
        while let Some(args) = dispatch(&mut caller, call).continuation {
            call.args = args;
        }
    };
    domctl(op::CREATEDOMAIN, args.as_bytes());
    domctl(op::MAX_VCPUS, 2u32.as_bytes());
    domctl(op::MAX_MEM, 64u64.as_bytes());
    // A small pool leaves memory for others.
    domctl(op::SET_PAGING_MEMPOOL_SIZE, (16u64 << 12).as_bytes());
    for gfn in PAGES.0..PAGES.0 + PAGES.1 {
        let _ = system.populate_physmap(id, Gfn(gfn), 0, None);
    }
    for vcpu in 0..2 {
        let _ = system.vcpu_up(VcpuId { domain: id, vcpu });
    }
    let _ = system.pause(id, false);
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

/// The argument of a domctl or sysctl of the toolstack, with a command that is served and a domain that may be there.
fn command(input: &mut Bytes<'_>, at: u64, version: u32) -> Vec<u8> {
    let mut words = vec![u32::from(input.byte() % 90), version];
    words.push(u32::from(input.byte() % 4));
    words.push(0);
    while words.len() < 4 + 24 {
        let word = word(input, at);
        words.push(word as u32);
        if input.below(2) == 0 {
            words.push((word >> 32) as u32);
        }
        if input.is_empty() {
            break;
        }
    }
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// An argument: words of both sizes that look like what structures are made of.
fn argument(input: &mut Bytes<'_>, number: u64, at: u64) -> Vec<u8> {
    if number == 36 && input.below(4) != 0 {
        return command(input, at, domctl::INTERFACE_VERSION);
    }
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
    let mut owned: BTreeMap<u16, u64> = BTreeMap::new();
    for frame in 0..FRAMES {
        if let Owner::Domain(id) | Owner::Released(id) = system.frames.owner(Mfn(frame)) {
            assert!(system.domain(id).is_ok(), "a frame of nobody");
            *owned.entry(id).or_default() += 1;
        }
    }
    for domain in system.domains.values() {
        let mapped = owned.get(&domain.id()).copied().unwrap_or(0);
        let count = mapped + domain.on_demand.cache.count();
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
