// SPDX-License-Identifier: GPL-2.0

//! What keeps vCPUs from running, each reason by itself.

use super::domctls::prepare_domctl;
use super::*;
use proptest::prelude::*;
use xen_abi::sched;

const FIRST: VcpuId = VcpuId { domain: 1, vcpu: 0 };
const SECOND: VcpuId = VcpuId { domain: 1, vcpu: 1 };

/// Whether a vCPU may run, by what the machine was told last.
fn told(system: &System<FakePlatform>, vcpu: VcpuId) -> bool {
    let calls = system.platform.calls.iter().rev();
    let mut told = calls.filter_map(|call| match call {
        PlatformCall::VcpuWake(of) if *of == vcpu => Some(true),
        PlatformCall::VcpuSleep(of) if *of == vcpu => Some(false),
        _ => None,
    });
    told.next().unwrap_or(false)
}

fn domctl(system: &mut System<FakePlatform>, cmd: u32, domain: u16) -> HypercallOutcome {
    let call = prepare_domctl(system, 0, cmd, domain, &());
    finish(system, 0, call)
}

#[test]
fn an_nmi_does_not_bring_a_vcpu_up() {
    let mut system = two_domains();
    system.vcpu_down(SECOND).expect("there");
    let nmi = [vc::op::SEND_NMI.into(), 1, 0];
    assert_eq!(call(&mut system, 1, nr::VCPU_OP, &nmi).value, 0);
    assert!(!told(&system, SECOND));
    let is_up = [vc::op::IS_UP.into(), 1, 0];
    assert_eq!(call(&mut system, 1, nr::VCPU_OP, &is_up).value, 0);
}

#[test]
fn a_paused_domain_is_not_woken_by_what_its_vcpus_wait_for() {
    for by_event in [true, false] {
        let mut system = two_domains();
        let ipi = ec::BindIpi { vcpu: 0, port: 0 };
        let port = event(&mut system, 1, ec::op::BIND_IPI, ipi).1.port;
        let list = ARG[1] + 256;
        caller(&mut system, 1)
            .copy_to_guest(list, &port)
            .expect("memory");
        let poll = sched::Poll {
            ports: list,
            nr_ports: 1,
            pad: 0,
            timeout: 5_000_000,
        };
        caller(&mut system, 1)
            .copy_to_guest(ARG[1], &poll)
            .expect("memory");
        let args = [sched::op::POLL.into(), ARG[1]];
        assert_eq!(
            call(&mut system, 1, nr::SCHED_OP, &args).action,
            VcpuAction::Poll
        );
        let paused = domctl(&mut system, xen_abi::domctl::op::PAUSEDOMAIN, 1);
        assert_eq!(paused.action, VcpuAction::SyncPause(1));
        if by_event {
            system.send(1, port).expect("bound");
        } else {
            system.platform.time = 5_000_000;
            system.timer_expired(FIRST);
        }
        assert!(
            system
                .platform
                .calls
                .contains(&PlatformCall::VcpuUnblock(FIRST))
        );
        assert!(!told(&system, FIRST), "it is paused");
        let resumed = domctl(&mut system, xen_abi::domctl::op::UNPAUSEDOMAIN, 1);
        assert_eq!((resumed.value, resumed.action), (0, VcpuAction::Resume));
        assert!(told(&system, FIRST));
    }
}

#[test]
fn a_domain_that_has_shut_down_stays_so_when_it_is_unpaused_or_a_vcpu_goes_up() {
    let mut system = two_domains();
    system.vcpu_down(SECOND).expect("there");
    system.shut_down(1, 2).expect("there");
    domctl(&mut system, xen_abi::domctl::op::PAUSEDOMAIN, 1);
    domctl(&mut system, xen_abi::domctl::op::UNPAUSEDOMAIN, 1);
    assert!(!told(&system, FIRST));
    assert_eq!(system.vcpu_up(SECOND), Ok(true));
    assert!(!told(&system, SECOND));
}

#[test]
fn a_domain_that_was_not_paused_cannot_be_unpaused() {
    let mut system = two_domains();
    let unpaused = domctl(&mut system, xen_abi::domctl::op::UNPAUSEDOMAIN, 1);
    assert_eq!(unpaused.value as i64, errno(Errno::EINVAL));
}

#[test]
fn information_about_a_vcpu_that_was_never_up_is_no_error() {
    let mut system = machine(64);
    add_domain(&mut system, 0, 0x10, 32);
    let create = crate::system::fake::config(1);
    let made = system.create_domain(create);
    assert_eq!(made.and_then(|()| system.create_vcpus(1)), Ok(()));
    let mut args = xen_abi::domctl::Header {
        cmd: xen_abi::domctl::op::GETVCPUINFO,
        interface_version: xen_abi::domctl::INTERFACE_VERSION,
        domain: 1,
        pad: [0; 3],
        u: [0; 16],
    };
    args.u[0] = 1;
    let at = 0x1_2000;
    caller(&mut system, 0)
        .copy_to_guest(at, &args)
        .expect("memory");
    assert_eq!(call(&mut system, 0, nr::DOMCTL, &[at]).value, 0);
    let args: xen_abi::domctl::Header = caller(&mut system, 0).copy_from_guest(at).expect("memory");
    let online = args.u[0] >> 32 & 0xff;
    assert_eq!(online, 0);
}

proptest! {
    /// Whatever happens in whatever order, the machine knows of each vCPU whether it may run, and is told of changes
    /// only.
    #[test]
    fn the_machine_runs_those_vcpus_that_no_reason_stops(
        steps in prop::collection::vec((0u8..6, 0u32..2), 1..60)
    ) {
        let mut system = two_domains();
        let (mut down, mut pauses, mut shut_down) = ([false; 2], 0u32, false);
        let mut runs = [true; 2];
        for (step, vcpu) in steps {
            let id = VcpuId { domain: 1, vcpu };
            match step {
                0 => {
                    prop_assert_eq!(system.vcpu_up(id), Ok(down[vcpu as usize]));
                    down[vcpu as usize] = false;
                }
                1 => {
                    prop_assert_eq!(system.vcpu_down(id), Ok(!down[vcpu as usize]));
                    down[vcpu as usize] = true;
                }
                2 => {
                    system.pause(1, true).expect("there");
                    pauses += 1;
                }
                3 => {
                    prop_assert_eq!(system.pause(1, false).is_ok(), pauses > 0);
                    pauses = pauses.saturating_sub(1);
                }
                4 if vcpu == 0 => {
                    system.shut_down(1, 0).expect("there");
                    shut_down = true;
                }
                _ => system.timer_expired(id),
            }
            for call in system.platform.calls.drain(..) {
                let (of, run) = match call {
                    PlatformCall::VcpuWake(of) => (of, true),
                    PlatformCall::VcpuSleep(of) => (of, false),
                    _ => continue,
                };
                let known = &mut runs[of.vcpu as usize];
                prop_assert_ne!(*known, run, "told twice");
                *known = run;
            }
            let wanted = down.map(|down| !down && pauses == 0 && !shut_down);
            prop_assert_eq!(runs, wanted);
        }
    }
}
