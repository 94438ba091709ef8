// SPDX-License-Identifier: GPL-2.0

//! What a hypervisor keeps for guests besides their own memory.

use std::time::Duration;

use anyhow::{Context, Result};
use kbuild::Images;

use super::Growth;
use crate::host::Host;
use crate::hypervisor_memory::HypervisorMemory;
use crate::small_guest::{self, CONFIG, MEMORY};
use crate::topology::Hypervisor;

/// How many vCPUs the one guest has.
const VCPUS: [u32; 5] = [1, 2, 4, 8, 16];
/// How many guests there are.
const GUESTS: [u32; 6] = [1, 2, 4, 8, 16, 32];

/// What was found on one hypervisor, for each of the numbers above.
pub struct Kept {
    /// KiB for the guest.
    by_vcpus: Vec<f64>,
    /// KiB for each guest.
    by_guests: Vec<f64>,
    /// Milliseconds to create one of those that came last.
    creation: Vec<f64>,
}

/// Measures. `note` is told how far it is.
pub fn measure(host: &Host, images: &Images, note: &dyn Fn(&str)) -> Result<Kept> {
    small_guest::prepare(host, images, "")?;
    let dom0 = host.dom0();
    // What is allocated once and for all is allocated by the first one.
    create(host, "first", 1)?;
    dom0.sh("xl destroy first")?;
    let before = HypervisorMemory::settled(host)?.free as f64;
    let own = f64::from(MEMORY) * 1024.0;
    let mut by_vcpus = vec![];
    for vcpus in VCPUS {
        note(&format!("{vcpus} vCPUs"));
        create(host, "wide", vcpus)?;
        let with = HypervisorMemory::settled(host);
        dom0.sh("xl destroy wide")?;
        by_vcpus.push(before - with?.free as f64 - own);
    }
    let before = HypervisorMemory::settled(host)?.free as f64;
    let (mut by_guests, mut creation, mut there) = (vec![], vec![], 0);
    for guests in GUESTS {
        note(&format!("{guests} guests"));
        let mut taken = 0.0;
        for number in there..guests {
            taken += create(host, &format!("one-{number}"), 1)?;
        }
        creation.push(taken / f64::from(guests - there));
        there = guests;
        let taken = before - HypervisorMemory::settled(host)?.free as f64;
        by_guests.push(taken / f64::from(guests) - own);
    }
    for number in 0..there {
        dom0.sh(&format!("xl destroy one-{number}"))?;
    }
    Ok(Kept {
        by_vcpus,
        by_guests,
        creation,
    })
}

/// Creates a guest that does not run; returns how many milliseconds that took by dom0's clock.
fn create(host: &Host, name: &str, vcpus: u32) -> Result<f64> {
    let script = format!(
        "before=$(date +%s%N); xl create -q -e -p {CONFIG} 'name=\"{name}\"' vcpus={vcpus} && \
         echo $(($(date +%s%N) - before))"
    );
    let output = host.dom0().run_for(Duration::from_secs(60), &script)?;
    let text = output.ok()?.stdout;
    let taken: f64 = text
        .trim()
        .parse()
        .with_context(|| format!("{text:?} is no time"))?;
    Ok(taken / 1e6)
}

/// The three comparisons.
pub fn compare(xen: &Kept, ours: &Kept) -> Vec<Growth> {
    let sides = [Hypervisor::Xen.name(), Hypervisor::Paravane.name()];
    let growth = |name, title, of, counts: &[u32], values: [&[f64]; 2]| {
        let values = values[0].iter().zip(values[1]);
        let values = values.map(|(one, two)| [*one, *two]);
        Growth {
            name,
            title,
            of,
            sides,
            points: counts.iter().copied().zip(values).collect(),
        }
    };
    vec![
        growth(
            "vcpus",
            "Memory of the hypervisor for a guest, KiB",
            "vCPUs",
            &VCPUS,
            [&xen.by_vcpus, &ours.by_vcpus],
        ),
        growth(
            "guests",
            "Memory of the hypervisor for each guest, KiB",
            "guests",
            &GUESTS,
            [&xen.by_guests, &ours.by_guests],
        ),
        growth(
            "creation",
            "Creation of one guest more, ms",
            "guests",
            &GUESTS,
            [&xen.creation, &ours.creation],
        ),
    ]
}
