// SPDX-License-Identifier: GPL-2.0

//! The document in docs/results, and the summary on the terminal.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use kbuild::Images;

use super::boots::{Boot, MEASURES};
use crate::bench::machine;
use crate::bench::stats::{Comparison, Summary};
use crate::topology::Topology;

/// What the boots say of a measure.
struct Row {
    found: Comparison,
    xen: Summary,
    ours: Summary,
}

fn row(all: &[Vec<Boot>; 2], measure: usize) -> Option<Row> {
    let [xen, ours] = [0, 1].map(|side: usize| -> Vec<f64> {
        let boots = all[side].iter();
        boots
            .filter_map(|boot| boot.numbers.get(measure).copied())
            .collect()
    });
    Some(Row {
        found: Comparison::paired(&ours, &xen)?,
        xen: Summary::of(&xen)?,
        ours: Summary::of(&ours)?,
    })
}

/// A few lines that say how it went, and whether ours takes no longer anywhere.
pub fn verdict(all: &[Vec<Boot>; 2]) -> (String, bool) {
    let mut text = String::new();
    let mut slower = 0;
    for (index, (name, unit)) in MEASURES.iter().enumerate() {
        let Some(Row { found, xen, ours }) = row(all, index) else {
            continue;
        };
        slower += usize::from(found.ratio > 1.0);
        let (xen, ours, ratio) = (xen.median, ours.median, found.ratio);
        let _ = writeln!(
            text,
            "{name}: Xen {xen:.2} {unit}, ours {ours:.2} {unit}, {ratio:.2} times"
        );
    }
    let _ = write!(text, "Ours takes longer in {slower} of {}.", MEASURES.len());
    (text, slower == 0)
}

/// The document with all tables, in Markdown.
pub fn document(images: &Images, topology: &Topology, all: &[Vec<Boot>; 2]) -> Result<String> {
    let last = all[1].last().context("nothing was booted")?;
    let size = |path: &Path| -> Result<u64> {
        let found = fs::metadata(path).with_context(|| path.display().to_string())?;
        Ok(found.len() / 1024)
    };
    let (xen_size, our_size) = (
        size(&images.userland.xen())?,
        size(&images.hypervisor()?.image())?,
    );
    let mut text = format!(
        "# Paravane against Xen\n\n\
         <!-- Written by `cargo xtask bench hypervisor`. Do not edit: run it again. -->\n\n\
         - Xen: {}\n- kernel, the same image and command line on both, as PVH dom0: {}\n- command lines: {}\n\
         - machine: QEMU without KVM (every instruction is emulated), {} processor, {} MiB, {} MiB for dom0; with an \
         IOMMU for Xen, which needs it for such a dom0\n\
         - boots of each, by turns: {}\n- priority on the machine: {}\n\n\
         ## Time\n\n\
         Medians of the boots ± half the distance of the quartiles. The ratio is ours to Xen's in neighbouring boots: below 1, \
         ours takes less. The interval holds the true median with 95 % probability, or all ratios where there are too few \
         boots for that.\n\n\
         | what | Xen | Paravane | ratio | interval |\n|---|--:|--:|--:|--:|\n",
        images.userland.xen_version,
        last.kernel,
        machine::command_lines(),
        topology.cpus,
        topology.memory,
        topology.dom0_memory,
        all[1].len(),
        last.priority,
    );
    for (index, (name, unit)) in MEASURES.iter().enumerate() {
        let Some(Row { found, xen, ours }) = row(all, index) else {
            continue;
        };
        let mark = if found.ratio > 1.0 { "**" } else { "" };
        let _ = writeln!(
            text,
            "| {name} | {:.2} {unit} ± {:.1} % | {:.2} {unit} ± {:.1} % | {mark}{:.3}{mark} | {:.3} – {:.3} |",
            xen.median,
            100.0 * xen.spread(),
            ours.median,
            100.0 * ours.spread(),
            found.ratio,
            found.interval.0,
            found.interval.1
        );
    }
    let _ = write!(
        text,
        "\nSize of the image: Xen {xen_size} KiB without symbols, ours {our_size} KiB with them.\n\n\
         ## What dom0 sees\n\n"
    );
    let theirs = all[0].last().context("Xen was not booted")?;
    let differences = theirs.facts.differences(&last.facts);
    let _ = write!(
        text,
        "{} of {} facts differ: features, CPUID leaves by user space's instruction (leaf.subleaf: EAX EBX ECX EDX), the \
         memory map, ACPI tables, clocks. docs/design/hypervisor-logic.md says why.\n\n\
         | fact | Xen | Paravane |\n|---|---|---|\n",
        differences.len(),
        theirs.facts.count()
    );
    for (name, one, two) in differences {
        let _ = writeln!(text, "| {name} | {one} | {two} |");
    }
    Ok(text)
}
