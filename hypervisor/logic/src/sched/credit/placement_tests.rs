// SPDX-License-Identifier: GPL-2.0

//! The credit scheduler: which CPU runs a vCPU, by what idles and where it may run.

use super::*;

fn vcpu(number: u32) -> VcpuId {
    VcpuId {
        domain: 0,
        vcpu: number,
    }
}

#[test]
fn an_idle_cpu_takes_work_from_a_busy_one() {
    let mut scheduler = Credit::new(2);
    scheduler.add(vcpu(0), 0).expect("memory");
    scheduler.add(vcpu(1), 0).expect("memory");
    assert_eq!(scheduler.wake(vcpu(0), 0), Some(0));
    assert_eq!(scheduler.next(0, 0).vcpu, Some(vcpu(0)));
    assert_eq!(scheduler.wake(vcpu(1), 10), Some(1), "the other CPU idles");
    assert_eq!(scheduler.next(1, 20).vcpu, Some(vcpu(1)));
    assert_eq!(
        scheduler.next(0, TIMESLICE),
        Next {
            vcpu: Some(vcpu(0)),
            until: None,
            interrupt: None
        },
        "nobody waits"
    );
}

#[test]
fn an_idle_cpu_is_told_of_a_vcpu_that_has_to_wait_elsewhere() {
    let mut scheduler = Credit::new(2);
    for number in 0..2 {
        scheduler.add(vcpu(number), 0).expect("memory");
    }
    scheduler.wake(vcpu(0), 0);
    assert_eq!(scheduler.next(0, 0).vcpu, Some(vcpu(0)));
    assert_eq!(scheduler.next(1, 0).until, None, "it asks no more");
    // One that may run on the busy CPU only.
    scheduler.next(0, 10);
    scheduler.set_affinity(vcpu(1), CpuSet::from_iter([0]));
    assert_eq!(scheduler.wake(vcpu(1), 20), Some(0));
    let next = scheduler.next(0, RATELIMIT);
    assert_eq!((next.vcpu, next.interrupt), (Some(vcpu(1)), Some(1)));
    assert_eq!(scheduler.next(1, RATELIMIT).vcpu, Some(vcpu(0)));
    // Where the one that waits may not run elsewhere, nobody is interrupted.
    scheduler.set_affinity(vcpu(0), CpuSet::from_iter([0]));
    assert_eq!(scheduler.next(1, RATELIMIT + 10).interrupt, None);
    let next = scheduler.next(0, RATELIMIT + TIMESLICE);
    assert_eq!((next.vcpu, next.interrupt), (Some(vcpu(0)), None));
}

#[test]
fn a_vcpu_runs_where_its_affinity_lets_it() {
    let mut scheduler = Credit::new(3);
    for number in 0..2 {
        scheduler.add(vcpu(number), 0).expect("memory");
    }
    let only = |cpu| CpuSet::from_iter([cpu]);
    assert_eq!(scheduler.set_affinity(vcpu(0), only(2)), None, "it sleeps");
    assert_eq!(scheduler.wake(vcpu(0), 0), Some(2));
    assert_eq!(scheduler.next(0, 0).vcpu, None, "nothing for this CPU");
    assert_eq!(scheduler.next(2, 0).vcpu, Some(vcpu(0)));
    // One that runs is moved when its CPU asks.
    assert_eq!(scheduler.set_affinity(vcpu(0), only(1)), Some(2));
    let next = scheduler.next(2, 10);
    assert_eq!((next.vcpu, next.interrupt), (None, Some(1)));
    assert_eq!(scheduler.next(1, 20).vcpu, Some(vcpu(0)));
    // One that waits is moved at once.
    scheduler.set_affinity(vcpu(1), only(1));
    assert_eq!(scheduler.wake(vcpu(1), 20), Some(1), "it has just woken up");
    assert_eq!(
        scheduler.set_affinity(vcpu(1), CpuSet::ALL),
        Some(0),
        "it idles"
    );
    assert_eq!(scheduler.next(0, 30).vcpu, Some(vcpu(1)));
    assert_eq!(scheduler.set_affinity(vcpu(1), CpuSet::ALL), None);
    assert_eq!(scheduler.set_affinity(vcpu(7), only(1)), None, "unknown");
    let far = CpuSet::from_iter([300]);
    assert!(CpuSet::ALL.contains(300) && !far.contains(300) && !far.contains(0));
}
