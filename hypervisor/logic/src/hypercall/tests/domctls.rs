// SPDX-License-Identifier: GPL-2.0

//! The domctls with which the toolstack creates a domain, in its order.

use super::*;
use crate::system::domain::LifeStage;
use xen_abi::domctl::{
    Createdomain, Getdomaininfo, Getvcpuinfo, Header, SetLlcColors, cdf, dominf, emulation, misc,
    op,
};

/// What libxl asks for, for a PVH domain.
pub(super) const PVH: Createdomain = Createdomain {
    ssidref: 0,
    handle: [0x5a; 16],
    flags: cdf::HVM | cdf::HAP,
    iommu_opts: 0,
    max_vcpus: 2,
    max_evtchn_port: 1023,
    max_grant_frames: -1,
    max_maptrack_frames: -1,
    grant_opts: 2,
    altp2m_opts: 0,
    vmtrace_size: 0,
    cpupool_id: 0,
    emulation_flags: emulation::LAPIC,
    misc_flags: 0,
};

/// Puts a domctl into the memory of a domain; returns the hypercall that makes it.
pub(super) fn prepare_domctl<T: IntoBytes + Immutable>(
    system: &mut System<FakePlatform>,
    caller_id: u16,
    cmd: u32,
    domain: u16,
    argument: &T,
) -> Call {
    let at = ARG[usize::from(caller_id != 0)];
    let mut header = Header {
        cmd,
        interface_version: xen_abi::domctl::INTERFACE_VERSION,
        domain,
        ..Header::default()
    };
    let bytes = argument.as_bytes();
    header.u.as_mut_bytes()[..bytes.len()].copy_from_slice(bytes);
    caller(system, caller_id)
        .copy_to_guest(at, &header)
        .expect("memory");
    hypercall(nr::DOMCTL, &[at])
}

/// Makes a domctl as a domain; returns its result, and domain and argument as they are afterwards.
pub(super) fn domctl_of<T: FromBytes + IntoBytes + Immutable>(
    system: &mut System<FakePlatform>,
    caller_id: u16,
    cmd: u32,
    domain: u16,
    argument: T,
) -> (i64, u16, T) {
    let call = prepare_domctl(system, caller_id, cmd, domain, &argument);
    let result = finish(system, caller_id, call).value as i64;
    let header: Header = caller(system, caller_id)
        .copy_from_guest(call.args[0])
        .expect("memory");
    let argument = T::read_from_bytes(&header.u.as_bytes()[..size_of::<T>()]);
    (result, header.domain, argument.expect("of that length"))
}

/// Makes a domctl as dom0.
pub(super) fn domctl<T: FromBytes + IntoBytes + Immutable>(
    system: &mut System<FakePlatform>,
    cmd: u32,
    domain: u16,
    argument: T,
) -> (i64, T) {
    let (result, _, argument) = domctl_of(system, 0, cmd, domain, argument);
    (result, argument)
}

/// Creates a domain with its vCPUs.
pub(super) fn create(system: &mut System<FakePlatform>) -> u16 {
    let (result, id, _) = domctl_of(system, 0, op::CREATEDOMAIN, 0, PVH);
    assert_eq!(result, 0);
    assert_eq!(domctl(system, op::MAX_VCPUS, id, PVH.max_vcpus).0, 0);
    assert_eq!(domctl(system, op::MAX_MEM, id, 1024u64 << 2).0, 0);
    id
}

pub(super) fn only_dom0() -> System<FakePlatform> {
    let mut system = machine(2048);
    add_domain(&mut system, 0, 0x100, 64);
    system.platform.calls.clear();
    system
}

pub(super) fn info(system: &mut System<FakePlatform>, id: u16) -> Getdomaininfo {
    let (result, info) = domctl(system, op::GETDOMAININFO, id, Getdomaininfo::default());
    assert_eq!(result, 0);
    info
}

#[test]
fn a_new_domain_is_what_the_toolstack_asked_for() {
    let mut system = only_dom0();
    let (result, id, args) = domctl_of(&mut system, 0, op::CREATEDOMAIN, 0, PVH);
    assert_eq!((result, id, args), (0, 1, PVH));
    let told = info(&mut system, 1);
    assert_eq!(told.handle, PVH.handle);
    assert_eq!(
        told.max_vcpu_id,
        u32::MAX,
        "no vCPU before they were asked for"
    );
    assert_eq!((told.tot_pages, told.max_pages), (0, 0));
    assert_eq!(told.emulation_flags, emulation::LAPIC);
    let flags = dominf::HVM_GUEST | dominf::HAP | dominf::PAUSED;
    assert_eq!(told.flags, flags | 0xff << dominf::SHUTDOWN_SHIFT);
    let vcpus =
        |system: &mut System<FakePlatform>, max: u32| domctl(system, op::MAX_VCPUS, 1, max).0;
    assert_eq!(vcpus(&mut system, 1), errno(Errno::EINVAL));
    let asked = |system: &mut System<FakePlatform>, vcpu| {
        let args = Getvcpuinfo {
            vcpu,
            online: 7,
            ..Default::default()
        };
        let (result, info) = domctl(system, op::GETVCPUINFO, 1, args);
        (result, info.online)
    };
    assert_eq!(asked(&mut system, 0), (errno(Errno::ESRCH), 7));
    assert_eq!(asked(&mut system, 2), (errno(Errno::EINVAL), 7));
    assert_eq!(vcpus(&mut system, 2), 0);
    assert_eq!(vcpus(&mut system, 2), 0, "again, without effect");
    let made = [0, 1].map(|vcpu| PlatformCall::VcpuCreate(VcpuId { domain: 1, vcpu }));
    assert_eq!(
        system.platform.calls[..2],
        [
            PlatformCall::DomainCreate(1),
            PlatformCall::CpuPolicyChanged(1)
        ]
    );
    assert_eq!(system.platform.calls[2..], made);
    assert_eq!(asked(&mut system, 1), (0, 0), "it is there, and down");
    let domain = system.domain(1).expect("there");
    assert_eq!(domain.grants.max_frames(false), 64);
    assert_eq!(domain.grants.frames(false).len(), 1);
    assert_eq!(domain.paging_pool.len(), 256);
    assert!(!domain.config.privileged && !domain.config.direct_mapped);
}

#[test]
fn what_cannot_be_served_is_refused_and_leaves_nothing() {
    let mut system = only_dom0();
    let free = system.frames.free_count();
    let with = |change: fn(&mut Createdomain)| {
        let mut args = PVH;
        change(&mut args);
        args
    };
    let invalid = [
        with(|args| args.flags |= 1 << 8),
        with(|args| args.flags = 0),
        with(|args| args.flags = cdf::HAP),
        with(|args| args.flags = cdf::HVM),
        with(|args| args.flags |= cdf::IOMMU),
        with(|args| args.flags |= cdf::NESTED_VIRT),
        with(|args| args.flags |= cdf::VPMU),
        with(|args| args.flags |= cdf::S3_INTEGRITY),
        with(|args| args.iommu_opts = 1),
        with(|args| args.max_vcpus = 0),
        with(|args| args.max_vcpus = 129),
        with(|args| args.max_grant_frames = 0),
        with(|args| args.grant_opts = 0),
        with(|args| args.grant_opts = 3),
        with(|args| args.grant_opts = 0x12),
        with(|args| args.altp2m_opts = 1),
        with(|args| args.vmtrace_size = 4096),
        with(|args| args.cpupool_id = 1),
        with(|args| args.misc_flags = 2),
        with(|args| args.emulation_flags = 0),
        with(|args| args.emulation_flags |= emulation::VPCI),
    ];
    for args in invalid {
        let made = domctl(&mut system, op::CREATEDOMAIN, 0, args).0;
        assert_eq!(made, errno(Errno::EINVAL), "{args:?}");
    }
    let unserved = [
        with(|args| args.misc_flags = misc::MSR_RELAXED),
        with(|args| args.emulation_flags = 0x3ff),
        with(|args| args.emulation_flags = 0x1ff),
    ];
    for args in unserved {
        let made = domctl(&mut system, op::CREATEDOMAIN, 0, args).0;
        assert_eq!(made, errno(Errno::EOPNOTSUPP), "{args:?}");
    }
    assert_eq!(system.domains.len(), 1);
    // Without memory for the machine's part, the library's part goes as well.
    system.platform.memory_for = Some(0);
    let made = domctl(&mut system, op::CREATEDOMAIN, 0, PVH).0;
    assert_eq!(made, errno(Errno::ENOMEM));
    assert_eq!(system.domains.len(), 1);
    assert_eq!(system.frames.free_count(), free);
    system.platform.memory_for = Some(2);
    let (made, id, _) = domctl_of(&mut system, 0, op::CREATEDOMAIN, 0, PVH);
    assert_eq!(made, 0);
    let vcpus = |system: &mut System<FakePlatform>| domctl(system, op::MAX_VCPUS, id, 2u32).0;
    assert_eq!(vcpus(&mut system), errno(Errno::ENOMEM));
    system.platform.memory_for = None;
    assert_eq!(vcpus(&mut system), 0, "the missing one is made");
    assert_eq!(system.domain(id).expect("there").vcpus.len(), 2);
    assert_eq!(domctl(&mut system, op::DESTROYDOMAIN, id, ()).0, 0);
    assert_eq!(system.frames.free_count(), free);
}

#[test]
fn domids_are_not_used_again_at_once() {
    let mut system = only_dom0();
    let create = |system: &mut System<FakePlatform>, wanted| {
        let (result, id, _) = domctl_of(system, 0, op::CREATEDOMAIN, wanted, PVH);
        (result == 0).then_some(id).ok_or(result)
    };
    assert_eq!(create(&mut system, 0), Ok(1));
    assert_eq!(create(&mut system, 0x7ff0), Ok(2));
    assert_eq!(create(&mut system, 7), Ok(7));
    assert_eq!(create(&mut system, 7), Err(errno(Errno::EEXIST)));
    assert_eq!(domctl(&mut system, op::DESTROYDOMAIN, 2, ()).0, 0);
    assert_eq!(create(&mut system, 0), Ok(3), "domain 2 was there before");
    system.last_domid = 0x7fee;
    assert_eq!(create(&mut system, 0), Ok(0x7fef));
    assert_eq!(create(&mut system, 0), Ok(2), "all others were used");
}

#[test]
fn only_a_privileged_domain_makes_domctls() {
    let mut system = two_domains();
    for cmd in 0..=90 {
        let (result, _, _) = domctl_of(&mut system, 1, cmd, 0, [0u64; 16]);
        assert_eq!(result, errno(Errno::EPERM), "command {cmd}");
    }
    assert_eq!(system.domains.len(), 2);
    assert_eq!(system.domain(0).expect("there").life(), LifeStage::Alive);
    let (result, _, _) = domctl_of(&mut system, 0, op::PAUSEDOMAIN, 5, ());
    assert_eq!(result, errno(Errno::ESRCH));
    for cmd in [
        op::PAUSEDOMAIN,
        op::UNPAUSEDOMAIN,
        op::DESTROYDOMAIN,
        op::RESUMEDOMAIN,
        op::MAX_VCPUS,
        op::SETTSCINFO,
        op::SETHVMCONTEXT,
        op::GETHVMCONTEXT,
        op::SET_CPU_POLICY,
    ] {
        let result = domctl(&mut system, cmd, 0, [0u64; 16]).0;
        assert_eq!(result, errno(Errno::EINVAL), "command {cmd} on itself");
    }
}

#[test]
fn libxl_gets_the_one_error_for_cache_colours_that_it_accepts() {
    let mut system = two_domains();
    let mut args = SetLlcColors::default();
    let set =
        |system: &mut System<FakePlatform>, args| domctl(system, op::SET_LLC_COLORS, 1, args).0;
    assert_eq!(set(&mut system, args), errno(Errno::EOPNOTSUPP));
    args.pad = 1;
    assert_eq!(set(&mut system, args), errno(Errno::EINVAL));
}

#[test]
fn a_domain_that_has_shut_down_resumes() {
    let mut system = two_domains();
    assert_eq!(system.shut_down(1, 2), Ok(()));
    let domain = system.domain(1).expect("there");
    assert!(!domain.vcpu_runnable(&domain.vcpus[0]));
    assert_eq!(domctl(&mut system, op::RESUMEDOMAIN, 1, ()).0, 0);
    let domain = system.domain(1).expect("there");
    assert!(domain.vcpu_runnable(&domain.vcpus[0]));
    assert_eq!(info(&mut system, 1).flags & dominf::SHUTDOWN, 0);
}

#[test]
fn destroying_is_made_again_until_it_is_done() {
    let mut system = two_domains();
    let vcpu = VcpuId { domain: 1, vcpu: 0 };
    system.platform.running.insert(vcpu);
    let once = prepare_domctl(&mut system, 0, op::DESTROYDOMAIN, 1, &());
    let outcome = dispatch(&mut caller(&mut system, 0), once);
    assert_eq!(outcome.continuation, Some(once.args));
    let dying = info(&mut system, 1).flags & dominf::DYING;
    assert_eq!(dying, 0, "it is said of a zombie only, as in Xen");
    system.platform.running.clear();
    assert_eq!(domctl(&mut system, op::DESTROYDOMAIN, 1, ()).0, 0);
    let calls = &system.platform.calls;
    let destroyed = |call: &&PlatformCall| **call == PlatformCall::DomainDestroy(1);
    assert_eq!(calls.iter().filter(destroyed).count(), 1);
    let again = domctl(&mut system, op::DESTROYDOMAIN, 1, ()).0;
    assert_eq!(again, errno(Errno::ESRCH), "it is gone");
}

#[test]
fn a_domid_is_not_given_to_another_domain_while_pages_of_the_first_are_in_use() {
    let mut system = two_domains();
    let at = Gfn(0x300);
    assert_eq!(system.map_foreign(0, at, 1, Gfn(0x44)), Ok(()));
    assert_eq!(domctl(&mut system, op::DESTROYDOMAIN, 1, ()).0, 0);
    let told = info(&mut system, 1);
    assert_ne!(told.flags & dominf::DYING, 0);
    assert_eq!(told.tot_pages, 1);
    let create = |system: &mut System<FakePlatform>, wanted| {
        let (result, id, _) = domctl_of(system, 0, op::CREATEDOMAIN, wanted, PVH);
        (result == 0).then_some(id).ok_or(result)
    };
    assert_eq!(create(&mut system, 1), Err(errno(Errno::EEXIST)));
    assert_eq!(create(&mut system, 0), Ok(2));
    let again = domctl(&mut system, op::DESTROYDOMAIN, 1, ()).0;
    assert_eq!(again, 0, "of a zombie, without effect");
    assert_eq!(system.remove_from_physmap(0, at), Ok(()));
    assert_eq!(create(&mut system, 1), Ok(1));
    assert_eq!(info(&mut system, 1).tot_pages, 0);
}

#[test]
fn counts_tell_commands_apart() {
    let mut system = two_domains();
    let key = |cmd| (nr::DOMCTL, cmd);
    let count = |system: &System<FakePlatform>, cmd| {
        let mut counts = system.hypercall_counts.counts();
        let found = counts.find(|(of, _)| *of == key(cmd));
        found.map(|(_, count)| (count.calls, count.errors))
    };
    info(&mut system, 1);
    domctl(&mut system, 77, 1, ());
    domctl(&mut system, 77, 1, ());
    assert_eq!(count(&system, op::GETDOMAININFO), Some((1, 0)));
    assert_eq!(count(&system, 77), Some((2, 2)));
    assert_eq!(count(&system, 0), None);
}
