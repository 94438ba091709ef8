// SPDX-License-Identifier: GPL-2.0

//! The lines that the overlay adds to a kernel's Kconfig and Makefiles, and where they go.
//!
//! A place is found by the line it follows, compared word by word, never by a line's number: a kernel of another patch
//! level or a distribution's own changes do not matter. A line that is no longer there means that the kernel builds
//! the object in another way, and then nothing is added at all.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::fsutil;

/// How many lines the overlay may add, all files together.
pub const MAX_LINES: usize = 50;

/// Where lines go.
#[derive(Clone, Copy, Debug)]
enum At {
    /// After the only line with these words.
    After(&'static str),
    /// Before the last line with these words.
    BeforeLast(&'static str),
    /// At the end of the file.
    End,
}

/// Lines that go to one place of one file.
struct Addition {
    file: &'static str,
    at: At,
    lines: &'static [&'static str],
}

const fn add(file: &'static str, at: At, lines: &'static [&'static str]) -> Addition {
    Addition { file, at, lines }
}

const KCONFIG: &str = "drivers/xen/Kconfig";
const DRIVERS: &str = "drivers/xen/Makefile";
const PCI: &str = "arch/x86/pci/Makefile";

/// Every line. A switch's line stands beside the one that builds the C object, which the last line of the Makefile
/// takes out of the list again if the switch is on.
const ADDITIONS: &[Addition] = &[
    add(
        KCONFIG,
        At::BeforeLast("endmenu"),
        &["source \"drivers/xen/rust/Kconfig\""],
    ),
    add(
        DRIVERS,
        At::After("obj-$(CONFIG_SWIOTLB_XEN) += swiotlb-xen.o"),
        &["xen-rust-$(CONFIG_XEN_RUST_SWIOTLB)\t+= swiotlb-xen.o"],
    ),
    add(
        DRIVERS,
        At::After("dom0-$(CONFIG_PCI) += pci.o"),
        &["xen-rust-$(CONFIG_XEN_RUST_PCI)\t+= pci.o"],
    ),
    add(
        DRIVERS,
        At::After("dom0-$(CONFIG_XEN_ACPI) += acpi.o $(xen-pad-y)"),
        &["xen-rust-$(CONFIG_XEN_RUST_ACPI)\t+= acpi.o"],
    ),
    add(
        DRIVERS,
        At::End,
        &[
            "obj-y\t\t\t\t\t+= rust/",
            "obj-y\t\t\t\t\t:= $(filter-out $(xen-rust-y),$(obj-y))",
        ],
    ),
    add(
        PCI,
        At::After("obj-$(CONFIG_PCI_XEN) += xen.o"),
        &["xen-rust-$(CONFIG_XEN_RUST_PCI)\t+= xen.o"],
    ),
    add(
        PCI,
        At::End,
        &["obj-y\t\t\t\t:= $(filter-out $(xen-rust-y),$(obj-y))"],
    ),
];

/// The files that get lines, each once.
pub fn files() -> Vec<&'static str> {
    let mut files: Vec<_> = ADDITIONS.iter().map(|addition| addition.file).collect();
    files.dedup();
    files
}

/// How many lines are added in all.
pub fn count() -> usize {
    ADDITIONS.iter().map(|addition| addition.lines.len()).sum()
}

/// Adds the lines to the files of the source at `to`, taking the files from `from` (which may be the same). Lines that an
/// earlier run has added are not added again. Nothing is written unless every line has its place.
pub fn add_all(from: &Path, to: &Path) -> Result<()> {
    let mut texts = Vec::new();
    for file in files() {
        let text = fs::read_to_string(from.join(file)).with_context(|| {
            format!(
                "{} is no kernel source the overlay fits: it has no {file}",
                from.display()
            )
        })?;
        let text = added_to(file, &text).with_context(|| {
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

/// One file with its lines added.
fn added_to(file: &str, text: &str) -> Result<String> {
    let additions = || ADDITIONS.iter().filter(|addition| addition.file == file);
    let ours: Vec<_> = additions().flat_map(|addition| addition.lines).collect();
    let mut lines: Vec<&str> = text.lines().filter(|line| !ours.contains(&line)).collect();
    for addition in additions() {
        let place = place(&lines, addition.at).with_context(|| {
            format!(
                "{file} of this kernel has changed: where the overlay would add\n    {}\nis unclear",
                addition.lines.join("\n    ")
            )
        })?;
        lines.splice(place..place, addition.lines.iter().copied());
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

    const MAKEFILE: &str = "obj-y\t+= grant-table.o\ndom0-$(CONFIG_PCI) += pci.o\n\
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
            (PCI, "obj-y += fixup.o\n"),
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
