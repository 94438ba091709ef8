// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask bench growth`: what more queues, vCPUs and guests cost, in memory.
//!
//! What is measured does not depend on the speed of the machine, so once is enough. [`guests`] asks the hypervisors what they
//! keep for guests, [`queues`] asks a guest what a device takes, [`picture`] draws.

mod guests;
mod picture;
mod queues;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use kbuild::{Images, Session};

use super::report::write;
use super::{machine, turns};
use crate::topology::{Hypervisor, Topology};

/// How what two need grows.
pub struct Growth {
    /// Name of its picture, without the ending.
    name: &'static str,
    /// What is measured, and the unit.
    title: &'static str,
    /// What there is more and more of.
    of: &'static str,
    /// The names of what is compared.
    sides: [&'static str; 2],
    /// How many there are, and what each side takes then.
    points: Vec<(u32, [f64; 2])>,
}

/// Where a guest's devices, and both hypervisors' guests, are looked at.
fn topology(hypervisor: Hypervisor) -> Topology {
    let ours = Topology {
        // 32 small guests.
        memory: 4608,
        ..Topology::PARAVANE
    };
    match hypervisor {
        Hypervisor::Xen => ours.on_xen(),
        Hypervisor::Paravane => ours,
    }
}

/// Boots both hypervisors, measures, and writes the document and its pictures to a folder. Returns what to print.
pub fn run(session: &Session, images: &Images, output: &Path) -> Result<String> {
    let dir = session.logs().join("bench");
    let mut kept = vec![];
    let mut devices = vec![];
    for hypervisor in [Hypervisor::Xen, Hypervisor::Paravane] {
        let name = hypervisor.name();
        let step = session.ui.step(format!("Creating guests on {name}"));
        let logs = dir.join(name.to_lowercase());
        fs::create_dir_all(&logs).with_context(|| format!("cannot make {}", logs.display()))?;
        let found = turns::in_machine(images, &topology(hypervisor), &logs, |host| {
            let kept = guests::measure(host, images, &|text| step.note(text))?;
            if hypervisor == Hypervisor::Paravane {
                devices = queues::measure(host, &|text| step.note(text))?;
            }
            Ok(kept)
        })?;
        step.done("");
        kept.push(found);
    }
    let mut all = guests::compare(&kept[0], &kept[1]);
    all.extend(devices);
    for growth in &all {
        picture::draw(growth, &output.join(format!("growth-{}.svg", growth.name)))?;
    }
    let path = output.join("growth.md");
    write(&document(images, &all)?, &path)?;
    Ok(format!(
        "The tables and pictures are in {}.\n",
        path.display()
    ))
}

/// The document in Markdown.
fn document(images: &Images, all: &[Growth]) -> Result<String> {
    let mut text = format!(
        "# What more queues, vCPUs and guests cost\n\n\
         <!-- Written by `cargo xtask bench growth`. Do not edit: run it again. -->\n\n\
         - machine: {}\n- Xen: {}\n- hypervisors: each with a PVH dom0 of the same kernel; guests that are created and do not \
         run, of {} MiB, with the small kernel\n\
         - frontends: a PVH guest of {} vCPUs on the Paravane hypervisor; what its kernel has less of free memory once the device \
         is connected, and after reads of 1 MiB from every queue (each processor's list of free pages counts as free)\n",
        machine::described(images)?,
        images.userland.xen_version,
        crate::small_guest::MEMORY,
        queues::VCPUS,
    );
    for growth in all {
        let [first, second] = growth.sides;
        let Growth { title, of, .. } = growth;
        let _ = write!(
            text,
            "\n## {title}\n\n![{title}](growth-{}.svg)\n\n| {of} | {first} | {second} |\n|--:|--:|--:|\n",
            growth.name
        );
        for (count, [first, second]) in &growth.points {
            let _ = writeln!(text, "| {count} | {first:.0} | {second:.0} |");
        }
    }
    Ok(text)
}
