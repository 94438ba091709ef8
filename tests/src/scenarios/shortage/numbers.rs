// SPDX-License-Identifier: GPL-2.0

//! Guests that have only so many grant references or event channels left, for each number up to what a device takes.
//!
//! A frontend that refuses a device says what is short.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::super::hostile::{Class, Expected, Victim, field, load_driver, works};
use super::is_as_before;
use crate::Job;
use crate::context::Ctx;
use crate::error::skip;
use crate::guest::{Domain, Driver, Guest};
use crate::matrix::Cell;
use crate::scenario::Scenario;

/// Guests of these kinds.
const GUESTS: &[Cell] = &[Cell::PVH.full(), Cell::PV.full()];

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("shortage.disk_with_each_number_of_grants_{guest}", |ctx| {
        each_number(ctx, Class::Disk, GRANTS)
    })
    .crosswise()
    .on_each(GUESTS),
    Scenario::new(
        "shortage.interface_with_each_number_of_grants_{guest}",
        |ctx| each_number(ctx, Class::Interface, GRANTS),
    )
    .crosswise()
    .on_each(GUESTS),
    Scenario::new("shortage.disk_with_each_number_of_ports_{guest}", |ctx| {
        each_number(ctx, Class::Disk, PORTS)
    })
    .crosswise()
    .on_each(GUESTS),
    Scenario::new(
        "shortage.interface_with_each_number_of_ports_{guest}",
        |ctx| each_number(ctx, Class::Interface, PORTS),
    )
    .crosswise()
    .on_each(GUESTS),
];

/// Something that a domain has only so many of.
#[derive(Clone, Copy)]
struct Resource {
    /// As the program that takes them is asked for it.
    name: &'static str,
    /// The line of the guest's configuration that limits it, for the guest to have few.
    limit: &'static str,
    /// The module that lets a program take them. With C's gntalloc one program could, and no other after it
    /// (docs/upstream/23-gntalloc-failed-grant.patch).
    module: &'static str,
    /// What the log tells to raise.
    remedy: &'static str,
}

/// Four pages of the table have 2048 entries (version 1: 8 bytes each, grant_table.h).
const GRANTS: Resource = Resource {
    name: "grants",
    limit: "max_grant_frames = 4",
    module: "xen_gntalloc_rs limit=100000",
    remedy: "max_grant_frames",
};

const PORTS: Resource = Resource {
    name: "ports",
    limit: "event_channels = 64",
    module: "xen_evtchn_rs",
    remedy: "max_event_channels",
};

/// How many are left, one after the other. All numbers up to what a disk's rings take, and then those around what the queues of
/// an interface take: two rings and 512 buffers each.
fn numbers(class: Class, resource: Resource) -> Vec<usize> {
    let few = 0..=12;
    match (class, resource.name) {
        (Class::Disk, "grants") => few.chain([16, 24, 32, 33, 34, 48, 64, 128]).collect(),
        (Class::Interface, "grants") => few
            .chain([100, 255, 256, 257, 258, 259, 300])
            .chain(511..=516)
            .chain([700, 769, 770, 771])
            .chain(1026..=1029)
            .collect(),
        _ => few.collect(),
    }
}

/// Whether the kernel has said something since it was booted, even if it was read and cleared.
fn said_at_all(guest: &Domain, words: &str) -> Result<bool> {
    let count = guest.sh(&format!(
        "timeout 2 cat /dev/kmsg | grep -c '{words}' || true"
    ))?;
    Ok(count != "0")
}

/// Takes all grants or ports but a number of them, until it is dropped.
struct Taken(Job);

impl Taken {
    fn all_but(guest: &Domain, resource: Resource, left: usize) -> Result<Self> {
        // The program goes on after it has said what it has.
        let told = format!("/tmp/taken-{left}");
        let name = resource.name;
        let job = guest.spawn(&format!(
            "exec agent hostile use {name} {left} > {told} 2>&1"
        ))?;
        let said = guest.wait_for(
            "the rest to be taken",
            Duration::from_secs(20),
            &format!("cat {told}"),
            |said| !said.is_empty(),
        )?;
        ensure!(said.starts_with("held="), "{name}: {said}");
        Ok(Self(job))
    }

    fn give_back(self) -> Result<()> {
        self.0.kill(9)?;
        self.0.wait_for(Duration::from_secs(20)).map(drop)
    }
}

fn each_number(ctx: &mut Ctx<'_>, class: Class, resource: Resource) -> Result<()> {
    if ctx.driver == Driver::C {
        return skip("the C drivers keep devices that they cannot use");
    }
    let guest = Guest::new("g1", ctx.mode())
        .vcpus(2)
        .initramfs("/payload/boot/guest-net.cpio")
        .line(resource.limit);
    let guest = ctx.host.create(guest)?;
    guest.sh(&format!("modprobe {}", resource.module))?;
    load_driver(ctx, &guest, class)?;
    let _load = guest.spawn(class.load())?;
    works(&guest, class)?;
    let victim = Victim::new(&guest, class)?;
    let numbers = numbers(class, resource);
    let mut connected = Vec::new();
    for &left in &numbers {
        let taken = Taken::all_but(&guest, resource, left)
            .with_context(|| format!("of {numbers:?}, {left}"))?;
        let line = victim.run_in_need(ctx, left as u64)?;
        connected.push(field(&line, "connected")? == 1);
        if left == 0 {
            ensure!(
                said_at_all(&guest, resource.remedy)?,
                "the log does not say what to raise"
            );
        }
        // Our drivers count what the program has as their own.
        taken.give_back()?;
        victim
            .is_well(Expected::Nothing)
            .with_context(|| format!("{left} {} left: {}", resource.name, line.trim()))?;
    }
    is_as_before(&guest, class, &victim, Expected::Nothing)?;
    let first = connected.iter().position(|&is| is);
    let last = connected.iter().rposition(|&is| !is);
    let number = |at: Option<usize>| at.map_or("none".to_owned(), |at| numbers[at].to_string());
    ctx.note(format!(
        "{} numbers of {}; the first that was enough {}, the last that was not {}",
        numbers.len(),
        resource.name,
        number(first),
        number(last)
    ));
    ensure!(
        !connected[0] && connected.last() == Some(&true),
        "connected with none left: {}; with the most: {:?}",
        connected[0],
        connected.last()
    );
    guest.shutdown()
}
