// SPDX-License-Identifier: GPL-2.0

//! The lines that the overlay adds to a kernel's Kconfig and Makefiles, and where they go.
//!
//! A place is found by the line it follows, compared word by word, never by a line's number: a kernel of another patch
//! level or a distribution's own changes do not matter. A line that is no longer there means that the kernel builds
//! the object in another way, and then nothing is added at all.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::{PLACE, SWITCHES};
use crate::fsutil;

/// How many lines the overlay may add, all files together.
pub const MAX_LINES: usize = 50;

/// Where a line goes.
#[derive(Clone, Copy, Debug)]
enum At {
    /// After the only line with these words.
    After(&'static str),
    /// Before the last line with these words.
    BeforeLast(&'static str),
    /// At the end of the file.
    End,
}

/// A line that goes to one place of one file.
struct Addition {
    file: String,
    at: At,
    line: String,
}

const KCONFIG: &str = "drivers/xen/Kconfig";
const DRIVERS: &str = "drivers/xen/Makefile";

/// What the lines of switches begin with, those of other versions of the list too.
const OF_A_SWITCH: &str = "xen-rust-$(CONFIG_";

/// Every line. A switch's line stands beside the one that builds the C object, which the last line of the Makefile
/// takes out of the list again if the switch is on.
fn additions() -> Vec<Addition> {
    let add = |file: &str, at, line: &str| Addition {
        file: file.to_owned(),
        at,
        line: line.to_owned(),
    };
    let mut additions = vec![
        add(
            KCONFIG,
            At::BeforeLast("endmenu"),
            &format!("source \"{PLACE}/Kconfig\""),
        ),
        add(DRIVERS, At::End, "obj-y\t\t\t\t\t+= rust/"),
    ];
    for switch in SWITCHES {
        for object in switch.theirs {
            let (file, _) = object.makefile();
            let line = switch.line(object);
            // Parts of an object go with it.
            let is_there = |other: &Addition| (&other.file, &other.line) == (&file, &line);
            if !additions.iter().any(is_there) {
                additions.push(add(&file, At::After(object.line), &line));
            }
        }
    }
    for file in files_of(&additions) {
        if file != KCONFIG {
            additions.push(add(
                &file,
                At::End,
                "obj-y\t\t\t\t\t:= $(filter-out $(xen-rust-y),$(obj-y))",
            ));
        }
    }
    additions
}

/// The files of some lines, each once.
fn files_of(additions: &[Addition]) -> BTreeSet<String> {
    let files = additions.iter().map(|addition| addition.file.clone());
    files.collect()
}

/// The files that get lines, each once.
pub fn files() -> Vec<String> {
    files_of(&additions()).into_iter().collect()
}

/// How many lines are added in all.
pub fn count() -> usize {
    additions().len()
}

/// Adds the lines to the files of the source at `to`, taking the files from `from` (which may be the same). Lines that an
/// earlier run has added are not added again. Nothing is written unless every line has its place.
pub fn add_all(from: &Path, to: &Path) -> Result<()> {
    let mut texts = Vec::new();
    for file in files() {
        let text = fs::read_to_string(from.join(&file)).with_context(|| {
            format!(
                "{} is no kernel source the overlay fits: it has no {file}",
                from.display()
            )
        })?;
        let text = added_to(&file, &text).with_context(|| {
            format!(
                "the overlay does not fit the kernel in {}; nothing was changed. Kernels from 7.2 on should fit, with a \
                 distribution's changes too: please report this one. A single line cannot be left out",
                from.display()
            )
        })?;
        texts.push((file, text));
    }
    for (file, text) in texts {
        fsutil::write_if_changed(&to.join(file), text.as_bytes())?;
    }
    Ok(())
}

/// One file with its lines added, and without those that an earlier run, or another list of switches, has added.
fn added_to(file: &str, text: &str) -> Result<String> {
    let mut additions = additions();
    additions.retain(|addition| addition.file == file);
    let is_ours = |line: &str| {
        let words = || line.split_whitespace();
        line.starts_with(OF_A_SWITCH)
            || additions
                .iter()
                .any(|ours| words().eq(ours.line.split_whitespace()))
    };
    let mut lines: Vec<&str> = text.lines().filter(|line| !is_ours(line)).collect();
    for addition in &additions {
        let place = place(&lines, addition.at).with_context(|| {
            format!(
                "{file} of this kernel has changed: where the overlay would add\n    {}\nis unclear",
                addition.line
            )
        })?;
        lines.insert(place, &addition.line);
    }
    Ok(lines.join("\n") + "\n")
}

/// The index that added lines get.
fn place(lines: &[&str], at: At) -> Result<usize> {
    let found = |words: &str| -> Vec<usize> {
        let same = |line: &&str| line.split_whitespace().eq(words.split_whitespace());
        (0..lines.len())
            .filter(|&index| same(&lines[index]))
            .collect()
    };
    match at {
        At::End => Ok(lines.len()),
        At::BeforeLast(words) => found(words)
            .last()
            .copied()
            .with_context(|| format!("there is no line \"{words}\"")),
        At::After(words) => match found(words).as_slice() {
            [only] => Ok(only + 1),
            [] => bail!("there is no line \"{words}\""),
            many => bail!("there are {} lines \"{words}\"", many.len()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAKEFILE: &str = "obj-y\t+= grant-table.o features.o balloon.o manage.o time.o\ndom0-$(CONFIG_PCI) += pci.o\n\
        dom0-$(CONFIG_XEN_ACPI) += acpi.o $(xen-pad-y)\nobj-$(CONFIG_XEN_DOM0)\t+= $(dom0-y)\n\
        obj-$(CONFIG_SWIOTLB_XEN)\t\t+= swiotlb-xen.o\nobj-$(CONFIG_XEN_EFI) += efi.o\n";

    #[test]
    fn the_overlay_stays_small() {
        assert!(count() <= MAX_LINES, "{} lines", count());
    }

    #[test]
    fn lines_only_are_added() {
        let text = added_to(DRIVERS, MAKEFILE).unwrap();
        let rest: Vec<_> = text
            .lines()
            .filter(|line| !line.contains("rust"))
            .map(|line| format!("{line}\n"))
            .collect();
        assert_eq!(rest.concat(), MAKEFILE);
        let lines: Vec<_> = text.lines().collect();
        let c = lines
            .iter()
            .position(|line| line.contains("+= swiotlb-xen.o"));
        assert!(lines[c.unwrap() + 1].contains("CONFIG_XEN_RUST_SWIOTLB"));
        assert!(lines.last().unwrap().contains("filter-out"));
    }

    #[test]
    fn adding_twice_is_adding_once() {
        let once = added_to(DRIVERS, MAKEFILE).unwrap();
        assert_eq!(added_to(DRIVERS, &once).unwrap(), once);
        let menu = "menu \"Xen\"\nendmenu\nconfig A\n";
        let once = added_to(KCONFIG, menu).unwrap();
        assert!(once.contains("Kconfig\"\nendmenu\n"));
        assert_eq!(added_to(KCONFIG, &once).unwrap(), once);
    }

    #[test]
    fn the_lines_of_another_list_of_switches_go() {
        let other = MAKEFILE.replace(
            "efi.o\n",
            "efi.o\nxen-rust-$(CONFIG_XEN_RUST_OLD) += efi.o\n",
        );
        assert_eq!(
            added_to(DRIVERS, &other).unwrap(),
            added_to(DRIVERS, MAKEFILE).unwrap()
        );
    }

    #[test]
    fn a_kernel_that_has_changed_is_refused_by_name() {
        let moved = MAKEFILE.replace("swiotlb-xen.o", "dma.o");
        let error = format!("{:#}", added_to(DRIVERS, &moved).unwrap_err());
        assert!(error.contains(DRIVERS) && error.contains("+= swiotlb-xen.o"));
        let twice = MAKEFILE.replace("efi.o", "efi.o\ndom0-$(CONFIG_PCI) += pci.o");
        assert!(added_to(DRIVERS, &twice).is_err());
    }

    #[test]
    fn nothing_is_written_unless_all_fits() {
        let dir = tempfile::tempdir().unwrap();
        for (file, text) in [
            (KCONFIG, "menu \"Xen\"\nendmenu\n"),
            (DRIVERS, MAKEFILE),
            ("arch/x86/pci/Makefile", "obj-y += fixup.o\n"),
        ] {
            fsutil::write_if_changed(&dir.path().join(file), text.as_bytes()).unwrap();
        }
        assert!(add_all(dir.path(), dir.path()).is_err());
        assert_eq!(
            fs::read_to_string(dir.path().join(DRIVERS)).unwrap(),
            MAKEFILE
        );
    }
}
