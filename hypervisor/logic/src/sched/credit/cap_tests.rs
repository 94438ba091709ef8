// SPDX-License-Identifier: GPL-2.0

//! The credit scheduler with domains that may use a part of the processors only.

use super::*;

fn vcpu(number: u32) -> VcpuId {
    VcpuId {
        domain: 0,
        vcpu: number,
    }
}

/// Runs busy CPUs until they ask again, each time at the earliest; returns how long each domain ran.
fn run_domains(scheduler: &mut Credit, cpus: usize, duration: u64) -> [u64; 2] {
    let mut ran = [0; 2];
    let mut asks = vec![0; cpus];
    let mut began = vec![0; cpus];
    loop {
        let (cpu, now) = (0..cpus)
            .map(|cpu| (cpu, asks[cpu]))
            .min_by_key(|(_, at)| *at)
            .expect("a CPU");
        if let Some(vcpu) = scheduler.running(cpu) {
            ran[usize::from(vcpu.domain)] += now - began[cpu];
        }
        if now >= duration {
            return ran;
        }
        let next = scheduler.next(cpu, now);
        asks[cpu] = next.until.unwrap_or(duration).clamp(now + 1, duration);
        began[cpu] = now;
    }
}

#[test]
fn a_domain_with_a_cap_gets_no_more_alone_or_beside_others() {
    let second = 1_000_000_000;
    // CPUs, the capped domain's vCPUs and cap, the other's vCPUs, and hundredths of a CPU that each gets.
    for (cpus, vcpus, cap, others, parts) in [
        (1, 1, 30, 0, [30, 0]),
        (1, 1, 30, 1, [30, 70]),
        (2, 2, 50, 0, [50, 0]),
        (2, 2, 50, 2, [50, 150]),
        (2, 2, 150, 0, [150, 0]),
        (2, 1, 10, 2, [10, 190]),
        (1, 1, 100, 0, [100, 0]),
        (1, 2, 0, 0, [100, 0]),
    ] {
        let mut scheduler = Credit::new(cpus);
        for (domain, count) in [(0, vcpus), (1, others)] {
            for number in 0..count {
                let id = VcpuId {
                    domain,
                    vcpu: number,
                };
                scheduler.add(id, 0).expect("memory");
                scheduler.wake(id, 0);
            }
        }
        scheduler.set_cap(0, cap);
        let ran = run_domains(&mut scheduler, cpus, second);
        for (time, part) in ran.into_iter().zip(parts) {
            let wanted = second * part / 100;
            assert!(
                time.abs_diff(wanted) <= second * 3 / 100,
                "{cpus} CPUs, {vcpus} vCPUs with a cap of {cap}, {others} others: {ran:?}"
            );
        }
    }
}

#[test]
fn a_cap_ends_with_the_domain_and_a_woken_vcpu_without_time_preempts_nobody() {
    let mut scheduler = Credit::new(1);
    let other = VcpuId { domain: 1, vcpu: 0 };
    for id in [vcpu(0), other] {
        scheduler.add(id, 0).expect("memory");
    }
    scheduler.set_cap(0, 10);
    scheduler.wake(vcpu(0), 0);
    let part = PERIOD / 10;
    assert_eq!(scheduler.next(0, 0).until, Some(part));
    scheduler.sleep(vcpu(0), 0, part);
    assert_eq!(scheduler.next(0, part).vcpu, None);
    // It has no time, but nothing else has the CPU ask when it gets some.
    assert_eq!(scheduler.wake(vcpu(0), part), Some(0));
    let idle = scheduler.next(0, part + 1);
    assert_eq!((idle.vcpu, idle.until), (None, Some(PERIOD)));
    assert_eq!(scheduler.wake(other, part + 2), Some(0));
    assert_eq!(scheduler.next(0, part + 2).vcpu, Some(other));
    scheduler.remove(vcpu(0));
    scheduler.add(vcpu(0), 0).expect("memory");
    scheduler.wake(vcpu(0), part + 3);
    scheduler.sleep(other, 0, part + 3);
    let next = scheduler.next(0, part + 3);
    assert_eq!((next.vcpu, next.until), (Some(vcpu(0)), None), "no cap");
}

#[test]
fn a_cpu_whose_vcpus_all_wait_for_the_next_period_idles() {
    let mut scheduler = Credit::new(2);
    let others = [0, 1].map(|vcpu| VcpuId { domain: 1, vcpu });
    scheduler.add(vcpu(0), 1).expect("memory");
    for id in others {
        scheduler.add(id, 0).expect("memory");
    }
    scheduler.set_cap(0, 10);
    scheduler.wake(vcpu(0), 0);
    assert_eq!(scheduler.next(1, 0).vcpu, Some(vcpu(0)));
    scheduler.wake(others[0], 0);
    assert_eq!(scheduler.next(0, 0).vcpu, Some(others[0]));
    let used_up = PERIOD / 10;
    assert_eq!(scheduler.next(1, used_up).vcpu, None);
    // Its CPU is free for others, wherever these ran last.
    assert_eq!(scheduler.wake(others[1], used_up + 1), Some(1));
    assert_eq!(scheduler.next(1, used_up + 1).vcpu, Some(others[1]));
}
