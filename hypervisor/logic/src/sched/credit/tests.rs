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
            scheduler.add(vcpu(number), 0).expect("memory");
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
        scheduler.add(vcpu(number), 0).expect("memory");
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
        scheduler.add(vcpu(number), 0).expect("memory");
    }
    scheduler.wake(vcpu(0), 0);
    scheduler.wake(vcpu(1), 0);
    assert!(scheduler.next(0, 0).until.is_some(), "the other waits");
    assert!(scheduler.next(0, TIMESLICE).vcpu.is_some());
    // What runs is charged, and so has no more claim to run at once.
    scheduler.next(0, TIMESLICE + 500);
    assert_eq!(scheduler.wake(vcpu(2), TIMESLICE + 1000), Some(0));
    let at_once = TIMESLICE + RATELIMIT;
    assert_eq!(scheduler.next(0, at_once).vcpu, Some(vcpu(2)));
}

#[test]
fn a_vcpu_that_yields_lets_its_equal_run() {
    let mut scheduler = Credit::new(1);
    scheduler.add(vcpu(0), 0).expect("memory");
    scheduler.add(vcpu(1), 0).expect("memory");
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

fn credit(scheduler: &Credit, number: u32) -> i64 {
    scheduler.vcpus.get(&vcpu(number)).expect("added").credit
}

fn set_credit(scheduler: &mut Credit, number: u32, credit: i64) {
    scheduler.vcpus.get_mut(&vcpu(number)).unwrap().credit = credit;
}

#[test]
fn credit_is_the_time_of_all_cpus_in_equal_parts_to_those_that_are_awake() {
    // The CPUs, the vCPUs that are awake, the periods that have passed, and what each gets.
    for (cpus, awake, periods, each) in [
        (1, 1, 1, PERIOD),
        (1, 2, 1, PERIOD / 2),
        (2, 3, 1, PERIOD * 2 / 3),
        // No more than it can use.
        (4, 2, 1, PERIOD),
        (1, 4, 2, PERIOD / 2),
        // Nor for more than two periods.
        (1, 4, 9, PERIOD / 2),
        (1, 4, 0, 0),
    ] {
        let mut scheduler = Credit::new(cpus);
        for number in 0..awake {
            scheduler.add(vcpu(number), 0).expect("memory");
            scheduler.wake(vcpu(number), 0);
            set_credit(&mut scheduler, number, -1000);
        }
        let now = periods * PERIOD + 77;
        scheduler.account(now);
        for number in 0..awake {
            assert_eq!(credit(&scheduler, number), each as i64 - 1000);
        }
        // What is left of a period counts in the next one.
        assert_eq!(scheduler.accounted, periods * PERIOD);
        set_credit(&mut scheduler, 0, MAX_CREDIT - 1);
        scheduler.account(now + PERIOD);
        assert_eq!(credit(&scheduler, 0), MAX_CREDIT, "not beyond the limit");
    }
}

#[test]
fn the_time_that_a_vcpu_runs_is_charged_up_to_the_limit_of_debt() {
    let mut scheduler = Credit::new(1);
    scheduler.add(vcpu(0), 0).expect("memory");
    scheduler.wake(vcpu(0), 0);
    scheduler.next(0, 0);
    let before = credit(&scheduler, 0);
    scheduler.charge(vcpu(0), 1000);
    scheduler.charge(vcpu(0), 1000);
    assert_eq!(credit(&scheduler, 0), before - 1000);
    // Clocks that go back charge nothing.
    scheduler.charge(vcpu(0), 500);
    assert_eq!(credit(&scheduler, 0), before - 1000);
    set_credit(&mut scheduler, 0, MAX_CREDIT);
    scheduler.charge(vcpu(0), 1000 + 10 * PERIOD);
    assert_eq!(credit(&scheduler, 0), -MAX_CREDIT);
}

#[test]
fn a_vcpu_without_credit_comes_last_and_is_not_boosted() {
    let priority = |credit, boosted| {
        let mut scheduler = Credit::new(1);
        scheduler.add(vcpu(0), 0).expect("memory");
        let entity = scheduler.vcpus.get_mut(&vcpu(0)).unwrap();
        (entity.credit, entity.boosted) = (credit, boosted);
        scheduler.priority(vcpu(0))
    };
    assert_eq!(priority(1, true), Priority::Boost);
    assert_eq!(priority(1, false), Priority::Under);
    for boosted in [false, true] {
        assert_eq!(priority(0, boosted), Priority::Over);
        assert_eq!(priority(-1, boosted), Priority::Over);
    }
    let mut scheduler = Credit::new(1);
    for number in 0..2 {
        scheduler.add(vcpu(number), 0).expect("memory");
    }
    scheduler.wake(vcpu(0), 0);
    scheduler.next(0, 0);
    for number in 0..2 {
        set_credit(&mut scheduler, number, 0);
    }
    // They are equal, but the CPU is to know that its vCPU has turns from now on.
    assert_eq!(scheduler.wake(vcpu(1), 10), Some(0));
    let next = scheduler.next(0, 10);
    assert_eq!((next.vcpu, next.until), (Some(vcpu(0)), Some(TIMESLICE)));
    scheduler.sleep(vcpu(1), 0, 11);
    set_credit(&mut scheduler, 1, 0);
    assert_eq!(scheduler.wake(vcpu(1), 12), None, "they are equal");
    assert!(!scheduler.vcpus.get(&vcpu(1)).expect("added").boosted);
}

#[test]
fn a_boost_lasts_until_its_vcpu_has_run() {
    let mut scheduler = Credit::new(1);
    scheduler.add(vcpu(0), 0).expect("memory");
    scheduler.wake(vcpu(0), 0);
    scheduler.next(0, 50);
    scheduler.charge(vcpu(0), 50);
    assert!(
        scheduler.vcpus.get(&vcpu(0)).expect("added").boosted,
        "it has not run yet"
    );
    scheduler.charge(vcpu(0), 51);
    assert!(!scheduler.vcpus.get(&vcpu(0)).expect("added").boosted);
}

#[test]
fn equals_wait_in_turn_and_the_most_urgent_one_is_taken_wherever_it_waits() {
    let mut scheduler = Credit::new(2);
    for number in 0..4 {
        scheduler.add(vcpu(number), 0).expect("memory");
        set_credit(&mut scheduler, number, -1);
        scheduler.enqueue(vcpu(number), 0);
    }
    let order: Vec<u32> = scheduler.cpus[0].runq.iter().map(|v| v.vcpu).collect();
    assert_eq!(order, [0, 1, 2, 3]);
    // One that has got credit meanwhile.
    set_credit(&mut scheduler, 2, 1);
    assert_eq!(scheduler.most_urgent(0, 0), Some(2));
    assert_eq!(scheduler.steal(1, Some(Priority::Under)), None, "no gain");
    assert_eq!(scheduler.steal(1, Some(Priority::Over)), Some(vcpu(2)));
    assert_eq!(scheduler.steal(1, Some(Priority::Over)), None);
    assert_eq!(scheduler.steal(1, None), Some(vcpu(0)));
    assert_eq!(scheduler.steal(0, None), None, "nobody waits elsewhere");
}

#[test]
fn a_cpu_looks_elsewhere_only_if_its_own_vcpus_have_no_credit() {
    // Credit of the vCPU that waits here, whether the one that waits there is boosted, and which
    // of them runs.
    for (here, boosted, runs) in [(1, true, 0), (1, false, 0), (0, false, 1), (0, true, 1)] {
        let mut scheduler = Credit::new(2);
        for number in 0..2 {
            scheduler.add(vcpu(number), 0).expect("memory");
            let entity = scheduler.vcpus.get_mut(&vcpu(number)).unwrap();
            (entity.awake, entity.boosted) = (true, number == 1 && boosted);
        }
        set_credit(&mut scheduler, 0, here);
        scheduler.enqueue(vcpu(0), 0);
        scheduler.enqueue(vcpu(1), 1);
        assert_eq!(scheduler.next(0, 0).vcpu, Some(vcpu(runs)));
        assert_eq!(scheduler.running(0), Some(vcpu(runs)));
    }
}

#[test]
fn a_vcpu_starts_at_the_cpu_that_it_was_added_to_and_ends_when_it_is_removed() {
    let mut scheduler = Credit::new(3);
    for (number, cpu) in [(0, 1), (1, 3), (2, 5)] {
        scheduler.add(vcpu(number), cpu).expect("memory");
        assert_eq!(credit(&scheduler, number), MAX_CREDIT / 2);
    }
    assert_eq!(scheduler.wake(vcpu(0), 0), Some(1));
    assert_eq!(scheduler.wake(vcpu(0), 0), None, "it is awake");
    assert_eq!(scheduler.wake(vcpu(1), 0), Some(0));
    assert_eq!(scheduler.wake(vcpu(2), 0), Some(2));
    scheduler.remove(vcpu(2));
    assert_ne!(scheduler.next(2, 0).vcpu, Some(vcpu(2)));
    assert_eq!(scheduler.wake(vcpu(2), 0), None, "there is no such vCPU");
}

#[test]
fn a_turn_ends_with_its_timeslice_and_neither_before_nor_after() {
    let mut scheduler = Credit::new(1);
    for number in 0..2 {
        scheduler.add(vcpu(number), 0).expect("memory");
        scheduler.wake(vcpu(number), 100);
    }
    let first = scheduler.next(0, 1000);
    assert_eq!(first.until, Some(1000 + TIMESLICE));
    // Both have had their boost, so that neither preempts the other.
    scheduler.next(0, 1000 + TIMESLICE);
    let begin = 1000 + 2 * TIMESLICE;
    let second = scheduler.next(0, begin);
    assert_eq!(second.vcpu, first.vcpu);
    let later = scheduler.next(0, begin + TIMESLICE - 1);
    assert_eq!(later, second, "the same turn");
    assert_ne!(scheduler.next(0, begin + TIMESLICE).vcpu, first.vcpu);
}

#[test]
fn a_vcpu_that_has_just_begun_is_not_preempted_by_the_one_that_it_wakes() {
    let mut scheduler = Credit::new(1);
    for number in 0..2 {
        scheduler.add(vcpu(number), 0).expect("memory");
    }
    scheduler.wake(vcpu(0), 0);
    assert_eq!(scheduler.next(0, 100).vcpu, Some(vcpu(0)));
    // It loses its own claim to run at once, so that the other one is the more urgent.
    scheduler.next(0, 200);
    assert_eq!(scheduler.wake(vcpu(1), 300), Some(0));
    for now in [300, 100 + RATELIMIT - 1] {
        let next = scheduler.next(0, now);
        assert_eq!(next.vcpu, Some(vcpu(0)));
        assert_eq!(next.until, Some(100 + RATELIMIT));
    }
    let after = scheduler.next(0, 100 + RATELIMIT);
    assert_eq!(after.vcpu, Some(vcpu(1)));
    // One that yields or sleeps makes room at once.
    let begin = 100 + RATELIMIT;
    scheduler.sleep(vcpu(1), 0, begin + 10);
    assert_eq!(scheduler.next(0, begin + 10).vcpu, Some(vcpu(0)));
    scheduler.next(0, begin + 20);
    scheduler.wake(vcpu(1), begin + 30);
    scheduler.yield_cpu(0);
    assert_eq!(scheduler.next(0, begin + 40).vcpu, Some(vcpu(1)));
}

#[test]
fn a_vcpu_that_is_put_to_sleep_elsewhere_has_its_cpu_interrupted() {
    let mut scheduler = Credit::new(2);
    scheduler.add(vcpu(0), 1).expect("memory");
    scheduler.wake(vcpu(0), 0);
    assert_eq!(scheduler.sleep(vcpu(0), 0, 0), None, "it only waited");
    scheduler.wake(vcpu(0), 0);
    scheduler.next(1, 0);
    assert_eq!(scheduler.sleep(vcpu(0), 1, 10), None, "it is here");
    assert_eq!(scheduler.sleep(vcpu(0), 0, 20), Some(1));
    assert_eq!(scheduler.wake(vcpu(0), 30), None, "it just continues");
    assert_eq!(scheduler.next(1, 40).vcpu, Some(vcpu(0)));
}

proptest! {
    #[test]
    fn no_vcpu_is_lost_or_runs_twice(
        steps in proptest::collection::vec((0u8..7, 0usize..3, 0u32..6, 0u64..20_000_000), 1..200)
    ) {
        let mut scheduler = Credit::new(3);
        let mut awake = [false; 6];
        let mut affinity = [CpuSet::ALL; 6];
        let mut asks = [true; 3];
        let mut is_capped = false;
        let mut now = 0;
        for number in 0..6 {
            scheduler.add(vcpu(number), number as usize).expect("memory");
        }
        for (what, cpu, number, passed) in steps {
            now += passed;
            match what {
                0 | 1 => {
                    let interrupted = scheduler.wake(vcpu(number), now);
                    asks.iter_mut().enumerate().for_each(|(cpu, asks)| *asks |= interrupted == Some(cpu));
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
                6 => {
                    let running: Vec<usize> = (0..3).filter(|cpu| scheduler.running(*cpu).is_some()).collect();
                    prop_assert_eq!(scheduler.set_cap(0, number as u16 * 30), CpuSet::from_iter(running));
                    is_capped = number > 0;
                    // Those that may run again wait until a CPU asks.
                    asks = [true; 3];
                }
                5 => {
                    // This CPU, and a second one or none.
                    let cpus = CpuSet::from_iter([cpu, (cpu + number as usize) % 3]);
                    affinity[number as usize] = cpus;
                    let asked = scheduler.set_affinity(vcpu(number), cpus);
                    asks.iter_mut().enumerate().for_each(|(cpu, asks)| *asks |= asked == Some(cpu));
                    let runs = (0..3).find(|cpu| scheduler.running(*cpu) == Some(vcpu(number)));
                    if let Some(runs) = runs.filter(|cpu| !cpus.contains(*cpu)) {
                        prop_assert!(!awake[number as usize] || asked == Some(runs));
                    }
                }
                _ => {
                    let next = scheduler.next(cpu, now);
                    asks[cpu] = next.until.is_some();
                    asks.iter_mut().enumerate().for_each(|(cpu, asks)| *asks |= next.interrupt == Some(cpu));
                    prop_assert_eq!(next.vcpu, scheduler.running(cpu));
                    if let Some(vcpu) = next.vcpu {
                        prop_assert!(awake[vcpu.vcpu as usize]);
                        prop_assert!(!scheduler.is_parked(vcpu));
                        prop_assert!(affinity[vcpu.vcpu as usize].contains(cpu));
                    } else {
                        // No CPU idles while somebody waits who may run there, or at the latest when he may.
                        let waiting = scheduler.cpus.iter().flat_map(|cpu| &cpu.runq);
                        let mut waiting = waiting.filter(|vcpu| affinity[vcpu.vcpu as usize].contains(cpu));
                        prop_assert_eq!(next.until.is_some(), waiting.clone().next().is_some());
                        prop_assert!(waiting.all(|vcpu| scheduler.is_parked(*vcpu)));
                    }
                }
            }
            // A CPU for which others wait asks some time.
            for (cpu, state) in scheduler.cpus.iter().enumerate() {
                prop_assert!(asks[cpu] || state.runq.is_empty(), "CPU {}", cpu);
            }
            // Where a CPU idles that may run one that waits, such a CPU asks soon.
            let idle = |vcpu: &VcpuId| {
                let affinity = affinity[vcpu.vcpu as usize];
                let idle = (0..3).filter(|cpu| scheduler.running(*cpu).is_none());
                idle.filter(move |cpu| affinity.contains(*cpu))
            };
            for vcpu in scheduler.cpus.iter().flat_map(|cpu| &cpu.runq).filter(|_| !is_capped) {
                prop_assert!(idle(vcpu).next().is_none() || idle(vcpu).any(|cpu| asks[cpu]));
            }
            for number in 0..6u32 {
                let runs = scheduler.cpus.iter().filter(|cpu| cpu.running == Some(vcpu(number))).count();
                let waits: usize = scheduler.cpus.iter().map(|cpu| cpu.runq.iter().filter(|v| **v == vcpu(number)).count()).sum();
                prop_assert!(runs + waits <= 1);
                let queue = scheduler.cpus.iter().position(|cpu| cpu.runq.contains(&vcpu(number)));
                prop_assert!(queue.is_none_or(|cpu| affinity[number as usize].contains(cpu)));
                if awake[number as usize] {
                    prop_assert_eq!(runs + waits, 1, "vCPU {} is lost", number);
                }
            }
        }
    }
}

#[test]
fn a_cpu_that_runs_a_vcpu_that_is_removed_is_idle() {
    let mut scheduler = Credit::new(1);
    for number in 0..2 {
        scheduler.add(vcpu(number), 0).expect("memory");
    }
    assert!(scheduler.add(vcpu(1), 0).is_err());
    scheduler.wake(vcpu(0), 0);
    assert_eq!(scheduler.next(0, 0).vcpu, Some(vcpu(0)));
    scheduler.remove(vcpu(0));
    assert_eq!(scheduler.running(0), None);
    // The CPU is interrupted for the other one, whatever its priority.
    assert_eq!(scheduler.wake(vcpu(1), 1), Some(0));
    assert_eq!(scheduler.next(0, 1).vcpu, Some(vcpu(1)));
}

#[test]
fn who_has_more_weight_gets_more_time() {
    for (weights, parts) in [([512, 256, 256], [2, 1, 1]), ([100, 300, 0], [25, 75, 0])] {
        let mut scheduler = Credit::new(1);
        for number in (0..3).filter(|number| weights[*number as usize] > 0) {
            scheduler.add(vcpu(number), 0).expect("memory");
            scheduler.set_weight(vcpu(number), weights[number as usize]);
            scheduler.wake(vcpu(number), 0);
        }
        scheduler.next(0, 0);
        let second = 1_000_000_000;
        let ran = run(&mut scheduler, 1, 3, second);
        let whole: u64 = parts.iter().sum();
        for (time, part) in ran.iter().zip(parts) {
            let fair = second * part / whole;
            assert!(time.abs_diff(fair) <= fair / 5, "{weights:?}: {ran:?}");
        }
    }
    let mut scheduler = Credit::new(1);
    scheduler.set_weight(vcpu(3), 7);
    scheduler.add(vcpu(0), 0).expect("memory");
    scheduler.set_weight(vcpu(0), 0);
    scheduler.wake(vcpu(0), 2 * PERIOD);
    assert_eq!(scheduler.next(0, 5 * PERIOD).vcpu, Some(vcpu(0)));
}
