// SPDX-License-Identifier: GPL-2.0

//! The context of a domain, as libxl sets it for a PVH domain, and what of it is refused.

use super::domctls::{create, domctl, only_dom0, prepare_domctl};
use super::*;
use proptest::prelude::*;
use xen_abi::domctl::{Hvmcontext, HvmcontextPartial, Vcpucontext, op};
use xen_abi::hvm::save::{self, Cpu, Descriptor, Mtrr, code};
use xen_abi::vcpu_context::{VcpuGuestContext, flag};

/// Where dom0 has room for a context.
pub(super) const BUFFER: u64 = 0x11_0000;

pub(super) fn record<T>(typecode: u16, instance: u16, body: &T) -> Vec<u8>
where
    T: IntoBytes + Immutable + ?Sized,
{
    let descriptor = Descriptor {
        typecode,
        instance,
        length: size_of_val(body) as u32,
    };
    [descriptor.as_bytes(), body.as_bytes()].concat()
}

pub(super) fn header() -> Vec<u8> {
    let header = save::Header {
        magic: save::FILE_MAGIC,
        version: save::FILE_VERSION,
        ..Default::default()
    };
    record(code::HEADER, 0, &header)
}

pub(super) fn end() -> Vec<u8> {
    record(code::END, 0, &())
}

/// The first registers of a PVH domain, as libxc sets them.
fn pvh_cpu() -> Cpu {
    Cpu {
        rbx: 0x1234_5000,
        rip: 0x100_0000,
        cr0: 0x11,
        dr6: 0xffff_0ff0,
        dr7: 0x400,
        cs_limit: u32::MAX,
        cs_arbytes: 0xc9b,
        ..Cpu::new_zeroed()
    }
}

pub(super) fn load(system: &mut System<FakePlatform>, id: u16, context: &[u8]) -> i64 {
    caller(system, 0)
        .raw_copy_to_guest(BUFFER, context)
        .expect("memory");
    let args = Hvmcontext {
        size: context.len() as u32,
        pad: 0,
        buffer: BUFFER,
    };
    domctl(system, op::SETHVMCONTEXT, id, args).0
}

fn get(system: &mut System<FakePlatform>, id: u16, size: u32, buffer: u64) -> (i64, u32) {
    let args = Hvmcontext {
        size,
        pad: 0,
        buffer,
    };
    let (result, args) = domctl(system, op::GETHVMCONTEXT, id, args);
    (result, args.size)
}

/// The records of a domain's context: type, instance and bytes.
fn records(system: &mut System<FakePlatform>, id: u16) -> Vec<(u16, u16, Vec<u8>)> {
    let (result, most) = get(system, id, 0, 0);
    assert_eq!(result, 0);
    let (result, size) = get(system, id, most, BUFFER);
    assert_eq!(result, 0);
    assert!(size <= most);
    let mut bytes = vec![0; size as usize];
    caller(system, 0)
        .raw_copy_from_guest(BUFFER, &mut bytes)
        .expect("memory");
    let mut records = Vec::new();
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let (head, body) = Descriptor::read_from_prefix(rest).expect("a descriptor");
        let (body, after) = body.split_at(head.length as usize);
        records.push((head.typecode, head.instance, body.to_vec()));
        rest = after;
    }
    records
}

#[test]
fn libxl_sets_the_first_registers_by_what_it_reads() {
    let mut system = only_dom0();
    let id = create(&mut system);
    let read = records(&mut system, id);
    let kinds: Vec<_> = read.iter().map(|(kind, vcpu, _)| (*kind, *vcpu)).collect();
    // vCPUs that are down have no record of a processor.
    let of_vcpus = [
        code::LAPIC,
        code::LAPIC_REGS,
        code::MTRR,
        code::VMCE_VCPU,
        code::TSC_ADJUST,
    ];
    let of_vcpus = of_vcpus.iter().flat_map(|kind| [(*kind, 0), (*kind, 1)]);
    let mut expected = vec![(code::HEADER, 0)];
    expected.extend(of_vcpus);
    expected.push((code::END, 0));
    assert_eq!(kinds, expected);
    let body = |read: &[(u16, u16, Vec<u8>)], kind, vcpu| {
        let mut found = read
            .iter()
            .filter(|record| (record.0, record.1) == (kind, vcpu));
        found.next().expect("there").2.clone()
    };
    let mut mtrr = Mtrr::read_from_bytes(&body(&read, code::MTRR, 0)).expect("of its size");
    assert_eq!(
        (mtrr.msr_mtrr_cap, mtrr.msr_pat_cr),
        (0x508, 0x7_0406_0007_0406)
    );
    mtrr.msr_mtrr_def_type = 0x806;
    for vcpu in 0..2 {
        let context = [header(), record(code::MTRR, vcpu, &mtrr), end()].concat();
        assert_eq!(load(&mut system, id, &context), 0);
    }
    let context = [header(), record(code::CPU, 0, &pvh_cpu()), end()].concat();
    assert_eq!(load(&mut system, id, &context), 0);
    let [first, second] = [0, 1].map(|vcpu| VcpuId { domain: id, vcpu });
    assert_eq!(system.platform.registers[&first].cpu, pvh_cpu());
    // The second one waits for a start-up IPI still: its registers were not set.
    assert!(!system.platform.registers.contains_key(&second));
    let is_down = |system: &System<FakePlatform>, vcpu: VcpuId| {
        system.domain(id).expect("there").vcpus[vcpu.vcpu as usize].is_down()
    };
    assert!(!is_down(&system, first) && is_down(&system, second));
    // It is paused still.
    assert!(
        !system
            .platform
            .calls
            .contains(&PlatformCall::VcpuWake(first))
    );
    assert_eq!(domctl(&mut system, op::UNPAUSEDOMAIN, id, ()).0, 0);
    assert_eq!(
        system.platform.calls.last(),
        Some(&PlatformCall::VcpuWake(first))
    );
    let read = records(&mut system, id);
    let kept = Mtrr::read_from_bytes(&body(&read, code::MTRR, 0)).expect("of its size");
    assert_eq!((read[1].0, read[2].0), (code::CPU, code::LAPIC));
    assert_eq!(kept, mtrr);
    // Each context takes down those that it has no processor of.
    let context = [header(), end()].concat();
    assert_eq!(load(&mut system, id, &context), 0);
    assert!(is_down(&system, first));
}

#[test]
fn a_buffer_that_is_too_small_is_not_written() {
    let mut system = only_dom0();
    let id = create(&mut system);
    let (_, most) = get(&mut system, id, 0, 0);
    let before = [0x77u8; 64];
    caller(&mut system, 0)
        .copy_to_guest(BUFFER, &before)
        .expect("memory");
    let (result, _) = get(&mut system, id, most - 1, BUFFER);
    assert_eq!(result, errno(Errno::ENOSPC));
    let after: [u8; 64] = caller(&mut system, 0)
        .copy_from_guest(BUFFER)
        .expect("memory");
    assert_eq!(after, before);
}

#[test]
fn what_a_vcpu_could_not_have_is_refused_and_changes_nothing() {
    let mut system = only_dom0();
    let id = create(&mut system);
    let whole = [header(), record(code::CPU, 0, &pvh_cpu()), end()].concat();
    assert_eq!(load(&mut system, id, &whole), 0);
    let invalid: [fn(&mut Cpu); 16] = [
        |cpu| cpu.cr0 = 1,
        |cpu| cpu.cr0 |= 1 << 32,
        |cpu| cpu.cr0 = 1 << 31 | 1 << 4,
        |cpu| cpu.cr0 |= 1 << 29,
        // VMXE, LA57, and PKE, which no guest has.
        |cpu| cpu.cr4 = 1 << 13,
        |cpu| cpu.cr4 = 1 << 12,
        |cpu| cpu.cr4 = 1 << 22,
        // SVME, and LMA without paging.
        |cpu| cpu.msr_efer = 1 << 12,
        |cpu| cpu.msr_efer = 1 << 8 | 1 << 10,
        |cpu| cpu.msr_efer = 1 << 40,
        |cpu| cpu.dr6 |= 1 << 32,
        |cpu| cpu.dr7 |= 1 << 32,
        |cpu| cpu.cr3 = 1 << 48,
        |cpu| cpu.flags = 2,
        |cpu| cpu.pad0 = 1,
        |cpu| cpu.msr_tsc_aux = 1 << 32,
    ];
    let einval = errno(Errno::EINVAL);
    for (number, change) in invalid.into_iter().enumerate() {
        let mut cpu = pvh_cpu();
        cpu.rip = 0x2222;
        change(&mut cpu);
        let context = [header(), record(code::CPU, 0, &cpu), end()].concat();
        assert_eq!(load(&mut system, id, &context), einval, "change {number}");
    }
    let enodata = errno(Errno::ENODATA);
    let cpu = record(code::CPU, 0, &pvh_cpu());
    let mut other = header();
    other[8] ^= 1;
    let ranges = Mtrr {
        msr_mtrr_cap: 9,
        ..Mtrr::default()
    };
    let types = Mtrr {
        msr_pat_cr: 2,
        ..Mtrr::default()
    };
    for (context, error) in [
        (vec![], enodata),
        (end(), enodata),
        (header(), enodata),
        ([cpu.clone(), end()].concat(), enodata),
        ([header(), cpu.clone()].concat(), enodata),
        ([header(), cpu[..20].to_vec()].concat(), enodata),
        ([other, end()].concat(), einval),
        (
            [header(), record(code::CPU, 2, &pvh_cpu()), end()].concat(),
            einval,
        ),
        ([header(), record(33, 0, &0u64), end()].concat(), einval),
        (
            [header(), record(code::MTRR, 0, &ranges), end()].concat(),
            einval,
        ),
        (
            [header(), record(code::MTRR, 0, &types), end()].concat(),
            einval,
        ),
        (
            [header(), record(code::MTRR, 0, &[0u8; 4096]), end()].concat(),
            einval,
        ),
    ] {
        assert_eq!(
            load(&mut system, id, &context),
            error,
            "{} bytes",
            context.len()
        );
    }
    let first = VcpuId {
        domain: id,
        vcpu: 0,
    };
    assert_eq!(system.platform.registers[&first].cpu, pvh_cpu());
    assert!(!system.domain(id).expect("there").vcpus[0].is_down());
}

#[test]
fn a_running_vcpu_is_waited_for_and_runs_on_afterwards() {
    let mut system = two_domains();
    let vcpu = VcpuId { domain: 1, vcpu: 0 };
    system.platform.running.insert(vcpu);
    let once = prepare_domctl(&mut system, 0, op::GETHVMCONTEXT, 1, &());
    let make = |system: &mut System<FakePlatform>| dispatch(&mut caller(system, 0), once);
    let outcome = make(&mut system);
    assert_eq!(outcome.continuation, Some(once.args));
    assert_eq!(outcome.action, VcpuAction::SyncPause(1));
    assert!(
        system
            .platform
            .calls
            .contains(&PlatformCall::VcpuSleep(vcpu))
    );
    system.platform.running.clear();
    system.platform.calls.clear();
    let outcome = make(&mut system);
    assert_eq!((outcome.value, outcome.continuation), (0, None));
    assert_eq!(
        system.platform.calls.first(),
        Some(&PlatformCall::VcpuWake(vcpu))
    );
}

#[test]
fn one_record_is_read_by_itself() {
    let mut system = only_dom0();
    let id = create(&mut system);
    let get = |system: &mut System<FakePlatform>, kind: u16, instance, bufsz, buffer| {
        let args = HvmcontextPartial {
            kind: kind.into(),
            instance,
            bufsz,
            buffer,
        };
        let (result, args) = domctl(system, op::GETHVMCONTEXT_PARTIAL, id, args);
        (result, args.bufsz)
    };
    let size = size_of::<Mtrr>() as u64;
    assert_eq!(get(&mut system, code::MTRR, 1, 0, 0), (0, size));
    assert_eq!(get(&mut system, code::MTRR, 1, 999, BUFFER), (0, size));
    let mtrr: Mtrr = caller(&mut system, 0)
        .copy_from_guest(BUFFER)
        .expect("memory");
    assert_eq!(mtrr.msr_mtrr_cap, 0x508);
    for (kind, vcpu, bufsz, error) in [
        (code::MTRR, 1, size - 1, Errno::ENOBUFS),
        (code::MTRR, 2, size, Errno::ENOENT),
        (code::CPU, 0, 4096, Errno::ENODATA),
        (code::HEADER, 0, 4096, Errno::EINVAL),
        (17, 0, 4096, Errno::EINVAL),
    ] {
        let result = get(&mut system, kind, vcpu, bufsz, BUFFER).0;
        assert_eq!(result, errno(error), "type {kind} of vCPU {vcpu}");
    }
}

#[test]
fn registers_of_a_vcpu_are_shown_and_changed() {
    let mut system = only_dom0();
    let id = create(&mut system);
    let whole = |system: &mut System<FakePlatform>, cmd, vcpu, ctxt| {
        let args = Vcpucontext { vcpu, pad: 0, ctxt };
        domctl(system, cmd, id, args).0
    };
    let (get, change) = (op::GETVCPUCONTEXT, op::SETVCPUCONTEXT);
    let nothing = errno(Errno::ENODATA);
    assert_eq!(whole(&mut system, get, 0, BUFFER), nothing);
    assert_eq!(whole(&mut system, get, 2, BUFFER), errno(Errno::EINVAL));
    let cpu = Cpu {
        cr3: 0x5000,
        gs_base: 0x77,
        ..pvh_cpu()
    };
    let context = [header(), record(code::CPU, 0, &cpu), end()].concat();
    assert_eq!(load(&mut system, id, &context), 0);
    assert_eq!(whole(&mut system, get, 0, BUFFER), 0);
    let mut read: VcpuGuestContext = caller(&mut system, 0)
        .copy_from_guest(BUFFER)
        .expect("memory");
    assert_eq!(read.flags, flag::ONLINE);
    assert_eq!((read.user_regs.rip, read.user_regs.rbx), (cpu.rip, cpu.rbx));
    assert_eq!(read.ctrlreg[..5], [0x11, 0, 0, 0x5000, 0]);
    assert_eq!((read.debugreg[7], read.gs_base_kernel), (0x400, 0x77));
    // As `xl save -c` does, and takes the vCPU down.
    read.user_regs.rax = 1;
    read.flags = flag::I387_VALID;
    caller(&mut system, 0)
        .copy_to_guest(BUFFER, &read)
        .expect("memory");
    assert_eq!(whole(&mut system, change, 0, BUFFER), 0);
    let vcpu = VcpuId {
        domain: id,
        vcpu: 0,
    };
    let expected = Cpu {
        rax: 1,
        flags: save::FPU_INITIALISED,
        ..cpu
    };
    assert_eq!(system.platform.registers[&vcpu].cpu, expected);
    assert!(system.vcpu_mut(vcpu).expect("there").is_down());
    read.debugreg[7] = 1 << 40;
    caller(&mut system, 0)
        .copy_to_guest(BUFFER, &read)
        .expect("memory");
    let refused = whole(&mut system, change, 0, BUFFER);
    assert_eq!(refused, errno(Errno::EINVAL));
    assert_eq!(whole(&mut system, change, 0, 0), 0, "reset");
    assert_eq!(whole(&mut system, get, 0, BUFFER), nothing);
}

proptest! {
    #[test]
    fn no_context_does_harm(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        kinds in prop::collection::vec((0u16..22, 0u16..3, any::<u64>()), 0..6),
    ) {
        let mut system = only_dom0();
        let id = create(&mut system);
        let mut context = header();
        for (kind, vcpu, word) in kinds {
            context.extend(match kind % 3 {
                0 => record(code::CPU, vcpu, &Cpu { cr4: word, cr0: 0x11, ..pvh_cpu() }),
                1 => record(code::MTRR, vcpu, &Mtrr { msr_pat_cr: word, ..Mtrr::default() }),
                _ => record(kind, vcpu, &word),
            });
        }
        context.extend(bytes);
        load(&mut system, id, &context);
        context.extend(end());
        load(&mut system, id, &context);
        let allowed = system.domain(id).expect("there").cpu_policy.clone();
        for registers in system.platform.registers.values() {
            let checked = crate::system::vcpu::registers::check_cpu(&registers.cpu, &allowed);
            let untouched = registers.cpu == Cpu::new_zeroed();
            prop_assert!(untouched || checked.is_ok());
        }
    }
}
