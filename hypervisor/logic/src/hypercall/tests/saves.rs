// SPDX-License-Identifier: GPL-2.0

//! A domain's whole context, saved from one domain and loaded into another, and the events of suspending.

use super::contexts::{BUFFER, end, header, load, record};
use super::domctls::{create, domctl, only_dom0};
use super::*;
use crate::system::gfn_access::NestedAccess;
use xen_abi::domctl::{Hvmcontext, op};
use xen_abi::hvm::save::{Cpu, CpuXsave, Descriptor, Lapic, LapicRegs, TscAdjust, VmceVcpu, code};
use xen_abi::sched::shutdown;

/// Loads one record.
fn load_one(system: &mut System<FakePlatform>, id: u16, typecode: u16, body: &[u8]) -> i64 {
    let context = [header(), record(typecode, 0, body), end()].concat();
    load(system, id, &context)
}

fn saved(system: &mut System<FakePlatform>, id: u16) -> Vec<u8> {
    let args = Hvmcontext {
        size: 0x8000,
        pad: 0,
        buffer: BUFFER,
    };
    let (result, args) = domctl(system, op::GETHVMCONTEXT, id, args);
    assert_eq!(result, 0);
    let mut bytes = vec![0; args.size as usize];
    caller(system, 0)
        .raw_copy_from_guest(BUFFER, &mut bytes)
        .expect("memory");
    bytes
}

/// A context without what the timers of the local APICs count.
fn without_counts(mut context: Vec<u8>) -> Vec<u8> {
    let mut at = 0;
    while at < context.len() {
        let (head, _) = Descriptor::read_from_prefix(&context[at..]).expect("a descriptor");
        at += size_of::<Descriptor>();
        if head.typecode == code::LAPIC_REGS {
            context[at + 0x390..][..4].fill(0);
        }
        at += head.length as usize;
    }
    context
}

/// Extended states with AVX in use: 256 bytes behind the fixed part.
fn with_avx() -> (CpuXsave, Vec<u8>) {
    let fixed = CpuXsave {
        xfeature_mask: 7,
        xcr0: 7,
        xcr0_accum: 7,
        xstate_bv: 6,
        ..CpuXsave::new_zeroed()
    };
    (fixed, vec![0x3c; 256])
}

#[test]
fn a_domain_goes_on_as_it_was_saved() {
    let mut system = only_dom0();
    let id = create(&mut system);
    let vcpus = [0, 1].map(|vcpu| VcpuId { domain: id, vcpu });
    for vcpu in vcpus {
        let cpu = Cpu {
            rip: 0xffff_ffff_8100_0000 + u64::from(vcpu.vcpu),
            cr0: 0x8005_0033,
            cr4: 0x6b0,
            cr3: 0x1000,
            msr_efer: 0xd01,
            dr6: 0xffff_0ff0,
            dr7: 0x400,
            tsc: 5_000_000 + u64::from(vcpu.vcpu),
            ..Cpu::new_zeroed()
        };
        let body = record(code::CPU, vcpu.vcpu as u16, &cpu);
        let context = [header(), body, end()].concat();
        assert_eq!(load(&mut system, id, &context), 0);
        system.vcpu_up(vcpus[0]).expect("it is there");
        system.platform.xstates.insert(vcpu, with_avx());
        let apic = system.platform.vlapics.get_mut(&vcpu);
        assert!(apic.is_none(), "untouched so far");
        system
            .platform
            .vlapic(vcpu, |apic| {
                apic.write(0xf0, 0x1ff, 0);
                apic.write(0x320, 0x2_00ef, 0);
                apic.write(0x380, 77_777, 0);
                assert!(apic.set_irq(0xf3, false));
            })
            .expect("it is there");
    }
    // Time passes before it is saved, and until it is loaded.
    system.platform.time += 1_000;
    let context = saved(&mut system, id);
    system.platform.time += 9_000_000;
    let other = create(&mut system);
    assert_eq!(load(&mut system, other, &context), 0);
    let loaded = [0, 1].map(|vcpu| VcpuId {
        domain: other,
        vcpu,
    });
    for (old, new) in vcpus.into_iter().zip(loaded) {
        let rip = |system: &System<FakePlatform>, vcpu| system.platform.registers[&vcpu].cpu.rip;
        assert_eq!(rip(&system, old), rip(&system, new));
        assert_eq!(system.platform.xstates[&new], with_avx());
        let pending =
            |system: &System<FakePlatform>, vcpu| system.platform.vlapics[&vcpu].pending_irq();
        assert_eq!(pending(&system, new), Some(0xf3));
        assert!(!system.vcpu_mut(new).expect("there").is_down());
        // Its counter stood still meanwhile.
        let offset = system.platform.tsc_offset(new);
        let tsc = system.platform.tsc().wrapping_add(offset);
        assert_eq!(tsc, 5_001_000 + u64::from(new.vcpu));
    }
    // The same, since no time has passed; only the timers begin anew.
    let again = saved(&mut system, other);
    assert_eq!(without_counts(again), without_counts(context));
}

#[test]
fn a_vcpu_that_is_started_later_counts_as_the_first_one() {
    let mut system = only_dom0();
    let id = create(&mut system);
    let cpu = Cpu {
        cr0: 0x11,
        tsc: 123,
        ..Cpu::new_zeroed()
    };
    assert_eq!(load_one(&mut system, id, code::CPU, cpu.as_bytes()), 0);
    let offsets = [0, 1].map(|vcpu| system.platform.tsc_offset(VcpuId { domain: id, vcpu }));
    assert_eq!(offsets[0], 123u64.wrapping_sub(system.platform.time));
    assert_eq!(offsets[0], offsets[1]);
    // A domain that is built has no counter to go on with.
    let other = create(&mut system);
    let cpu = Cpu { tsc: 0, ..cpu };
    assert_eq!(load_one(&mut system, other, code::CPU, cpu.as_bytes()), 0);
    let first = VcpuId {
        domain: other,
        vcpu: 0,
    };
    assert_eq!(system.platform.tsc_offset(first), 0);
}

#[test]
fn extended_states_that_a_domain_does_not_have_are_refused() {
    let mut system = only_dom0();
    let id = create(&mut system);
    let load = |system: &mut System<FakePlatform>, change: fn(&mut CpuXsave), states: &[u8]| {
        let (mut fixed, _) = with_avx();
        change(&mut fixed);
        let body = [fixed.as_bytes(), states].concat();
        load_one(system, id, code::CPU_XSAVE, &body)
    };
    let states = [0x3c; 256];
    assert_eq!(load(&mut system, |_| {}, &states), 0);
    assert_eq!(load(&mut system, |_| {}, &states[..9]), 0, "cut short");
    let padded = [states.as_slice(), &[0; 64]].concat();
    assert_eq!(load(&mut system, |_| {}, &padded), 0);
    let longer = [states.as_slice(), &[1; 64]].concat();
    let unsupported = errno(Errno::EOPNOTSUPP);
    assert_eq!(load(&mut system, |_| {}, &longer), unsupported);
    let invalid: [fn(&mut CpuXsave); 9] = [
        |fixed| fixed.xcr0 = 0,
        |fixed| fixed.xcr0 = 5,
        |fixed| fixed.xcr0 = 0x207,
        |fixed| fixed.xcr0_accum = 3,
        |fixed| fixed.xcr0_accum = 0x207,
        |fixed| fixed.xcr0_accum = 0xe7,
        |fixed| fixed.xstate_bv = 1 << 9,
        |fixed| fixed.xcomp_bv = 1 << 63,
        |fixed| fixed.reserved[5] = 1,
    ];
    for (number, change) in invalid.into_iter().enumerate() {
        let result = load(&mut system, change, &states);
        assert_eq!(result, errno(Errno::EINVAL), "change {number}");
    }
    let short = load_one(&mut system, id, code::CPU_XSAVE, &[0; 599]);
    assert_eq!(short, errno(Errno::EINVAL));
}

#[test]
fn records_of_what_no_guest_has_are_empty_or_refused() {
    let mut system = only_dom0();
    let id = create(&mut system);
    let einval = errno(Errno::EINVAL);
    let vmce = VmceVcpu::default();
    let adjust = TscAdjust::default();
    let other_vmce = VmceVcpu { caps: 2, ..vmce };
    let other_adjust = TscAdjust { tsc_adjust: 1 };
    let msr = |count: u32, value: u64| {
        let words = [u64::from(count), 0x48, value];
        words.as_bytes().to_vec()
    };
    let hidden = Lapic {
        apic_base_msr: 0xfee0_0400,
        ..Lapic::default()
    };
    for (typecode, body, expected) in [
        (code::VMCE_VCPU, vmce.as_bytes().to_vec(), 0),
        (code::VMCE_VCPU, other_vmce.as_bytes().to_vec(), einval),
        (code::TSC_ADJUST, adjust.as_bytes().to_vec(), 0),
        (code::TSC_ADJUST, other_adjust.as_bytes().to_vec(), einval),
        (code::CPU_MSR, vec![0; 8], 0),
        (code::CPU_MSR, msr(1, 0), 0),
        (code::CPU_MSR, msr(1, 1), errno(Errno::ENXIO)),
        (code::CPU_MSR, msr(2, 0), einval),
        (code::CPU_MSR, vec![0; 2], einval),
        (code::LAPIC, hidden.as_bytes().to_vec(), einval),
        (code::LAPIC_REGS, vec![0; size_of::<LapicRegs>()], 0),
        (code::LAPIC_REGS, vec![0; 1023], einval),
        (code::LAPIC_REGS, vec![0; 1025], einval),
    ] {
        let result = load_one(&mut system, id, typecode, &body);
        assert_eq!(result, expected, "type {typecode}, {} bytes", body.len());
    }
}

#[test]
fn who_has_subscribed_is_notified_of_a_suspended_domain() {
    let mut system = two_domains();
    let (_, port) = connected(&mut system);
    assert_eq!(domctl(&mut system, op::SUBSCRIBE, 1, port).0, 0);
    system.platform.calls.clear();
    system
        .shut_down(1, shutdown::SUSPEND as u8)
        .expect("it is there");
    let pending =
        |system: &System<FakePlatform>| system.evtchn_upcall_pending(VcpuId { domain: 0, vcpu: 0 });
    assert!(pending(&system), "through the other end of the channel");
    assert_eq!(domctl(&mut system, op::RESUMEDOMAIN, 1, ()).0, 0);
    let domain = system.domain(1).expect("there");
    assert!(domain.shutdown.is_none() && domain.vcpu_runnable(&domain.vcpus[0]));
}

#[test]
fn memory_is_not_saved_while_a_vcpu_still_runs() {
    let mut system = two_domains();
    system
        .shut_down(1, shutdown::SUSPEND as u8)
        .expect("it is there");
    let vcpu = VcpuId { domain: 1, vcpu: 1 };
    system.platform.running.insert(vcpu);
    let args = xen_abi::domctl::Getpageframeinfo3 {
        num: 1,
        array: BUFFER,
    };
    caller(&mut system, 0)
        .copy_to_guest(BUFFER, &0x44u64)
        .expect("memory");
    let types = super::domctls::prepare_domctl(&mut system, 0, op::GETPAGEFRAMEINFO3, 1, &args);
    let waits = dispatch(&mut caller(&mut system, 0), types);
    assert_eq!(waits.action, VcpuAction::SyncPause(1));
    assert_eq!(waits.continuation, Some(types.args));
    system.platform.running.clear();
    let done = dispatch(&mut caller(&mut system, 0), types);
    assert_eq!((done.value, done.continuation), (0, None));
    // It does not run again by itself.
    assert!(system.nested_page_fault(1, Gfn(0x44), NestedAccess::Write));
    assert!(!system.has_running_vcpus(1));
}
