// SPDX-License-Identifier: GPL-2.0

//! The credit scheduler with random vCPUs: none is lost, none runs twice, all get their share.

use super::*;
use proptest::prelude::*;

fn vcpu(number: u32) -> VcpuId {
    VcpuId {
        domain: 0,
        vcpu: number,
    }
}

/// Runs CPUs with their slices for a while; returns how long each vCPU ran.
fn run(scheduler: &mut Credit, cpus: usize, vcpus: u32, duration: u64) -> Vec<u64> {
    let mut ran = vec![0; vcpus as usize];
    let mut now = 0;
    while now < duration {
        for cpu in 0..cpus {
            if let Some(vcpu) = scheduler.running(cpu) {
                ran[vcpu.vcpu as usize] += TIMESLICE;
            }
        }
        now += TIMESLICE;
        for cpu in 0..cpus {
            scheduler.next(cpu, now);
        }
    }
    ran
}

#[test]
fn busy_vcpus_get_equal_shares() {
    for (cpus, vcpus) in [(1, 2), (2, 3), (2, 4), (4, 7)] {
        let mut scheduler = Credit::new(cpus);
        for number in 0..vcpus {
            scheduler.add(vcpu(number), 0);
            scheduler.wake(vcpu(number), 0);
        }
        for cpu in 0..cpus {
            scheduler.next(cpu, 0);
        }
        let second = 1_000_000_000;
        let ran = run(&mut scheduler, cpus, vcpus, second);
        let fair = second * cpus as u64 / u64::from(vcpus);
        for time in &ran {
            assert!(
                time.abs_diff(fair) < fair / 5,
                "{cpus} CPUs, {vcpus} vCPUs: {ran:?}"
            );
        }
    }
}

#[test]
fn who_is_asked_often_has_no_longer_turns() {
    let mut scheduler = Credit::new(1);
    let (step, steps) = (TIMESLICE / 7, 1400);
    for number in 0..2 {
        scheduler.add(vcpu(number), 0);
        scheduler.wake(vcpu(number), 0);
    }
    scheduler.next(0, 0);
    let mut ran = [0u64; 2];
    for now in (1..=steps).map(|count| count * step) {
        if let Some(vcpu) = scheduler.running(0) {
            ran[vcpu.vcpu as usize] += step;
        }
        let next = scheduler.next(0, now);
        assert!(next.until.is_some_and(|until| until <= now + TIMESLICE));
    }
    let fair = steps * step / 2;
    assert!(ran[0].abs_diff(fair) < fair / 5, "{ran:?}");
}

#[test]
fn who_wakes_with_credit_runs_at_once() {
    let mut scheduler = Credit::new(1);
    for number in 0..3 {
        scheduler.add(vcpu(number), 0);
    }
    scheduler.wake(vcpu(0), 0);
    scheduler.wake(vcpu(1), 0);
    assert!(scheduler.next(0, 0).until.is_some(), "the other waits");
    assert!(scheduler.next(0, TIMESLICE).vcpu.is_some());
    // What runs is charged, and so has no more claim to run at once.
    scheduler.next(0, TIMESLICE + 500);
    assert_eq!(scheduler.wake(vcpu(2), TIMESLICE + 1000), Some(0));
    assert_eq!(scheduler.next(0, TIMESLICE + 2000).vcpu, Some(vcpu(2)));
}

#[test]
fn an_idle_cpu_takes_work_from_a_busy_one() {
    let mut scheduler = Credit::new(2);
    scheduler.add(vcpu(0), 0);
    scheduler.add(vcpu(1), 0);
    assert_eq!(scheduler.wake(vcpu(0), 0), Some(0));
    assert_eq!(scheduler.next(0, 0).vcpu, Some(vcpu(0)));
    assert_eq!(scheduler.wake(vcpu(1), 10), Some(1), "the other CPU idles");
    assert_eq!(scheduler.next(1, 20).vcpu, Some(vcpu(1)));
    assert_eq!(
        scheduler.next(0, TIMESLICE),
        Next {
            vcpu: Some(vcpu(0)),
            until: None
        },
        "nobody waits"
    );
}

#[test]
fn a_vcpu_that_yields_lets_its_equal_run() {
    let mut scheduler = Credit::new(1);
    scheduler.add(vcpu(0), 0);
    scheduler.add(vcpu(1), 0);
    scheduler.wake(vcpu(0), 0);
    scheduler.wake(vcpu(1), 0);
    // Both have run once, so neither runs before the other for having been woken.
    scheduler.next(0, 0);
    scheduler.next(0, TIMESLICE);
    let first = scheduler.next(0, 2 * TIMESLICE).vcpu;
    let later = scheduler.next(0, 2 * TIMESLICE + 1000).vcpu;
    assert_eq!(later, first, "its slice is not over");
    scheduler.yield_cpu(0);
    let second = scheduler.next(0, 2 * TIMESLICE + 2000).vcpu;
    assert_ne!(second, first);
}

proptest! {
    #[test]
    fn no_vcpu_is_lost_or_runs_twice(
        steps in proptest::collection::vec((0u8..5, 0usize..3, 0u32..6, 0u64..20_000_000), 1..200)
    ) {
        let mut scheduler = Credit::new(3);
        let mut awake = [false; 6];
        let mut now = 0;
        for number in 0..6 {
            scheduler.add(vcpu(number), number as usize);
        }
        for (what, cpu, number, passed) in steps {
            now += passed;
            match what {
                0 | 1 => {
                    scheduler.wake(vcpu(number), now);
                    awake[number as usize] = true;
                }
                2 => {
                    let elsewhere = scheduler.sleep(vcpu(number), cpu, now);
                    if let Some(other) = elsewhere {
                        prop_assert_eq!(scheduler.running(other), Some(vcpu(number)));
                        prop_assert_ne!(other, cpu);
                    }
                    awake[number as usize] = false;
                }
                3 => scheduler.yield_cpu(cpu),
                _ => {
                    let next = scheduler.next(cpu, now);
                    prop_assert_eq!(next.vcpu, scheduler.running(cpu));
                    if let Some(vcpu) = next.vcpu {
                        prop_assert!(awake[vcpu.vcpu as usize]);
                    } else {
                        // No CPU idles while somebody waits.
                        prop_assert!(scheduler.cpus.iter().all(|cpu| cpu.runq.is_empty()));
                    }
                }
            }
            for number in 0..6u32 {
                let runs = scheduler.cpus.iter().filter(|cpu| cpu.running == Some(vcpu(number))).count();
                let waits: usize = scheduler.cpus.iter().map(|cpu| cpu.runq.iter().filter(|v| **v == vcpu(number)).count()).sum();
                prop_assert!(runs + waits <= 1);
                if awake[number as usize] {
                    prop_assert_eq!(runs + waits, 1, "vCPU {} is lost", number);
                }
            }
        }
    }
}
