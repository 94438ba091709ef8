// SPDX-License-Identifier: GPL-2.0

//! What a built image holds: which of the C objects, and which of ours. Read from the archive that the kernel's build
//! links the image from, so the configuration need not be trusted.

use std::path::Path;

use anyhow::{Result, bail};

use super::Switch;
use super::switch::in_source;
use crate::process;
use crate::sandbox::Sandbox;

/// The objects that were linked into the image, as paths below the top of the source.
pub struct Objects(Vec<String>);

impl Objects {
    /// Reads the list of the build in `build_dir`.
    pub fn of(sandbox: &Sandbox, build_dir: &Path) -> Result<Self> {
        let mut ar = sandbox
            .command("ar")
            .args(["t", "vmlinux.a"])
            .ro_bind(build_dir, "/kernel/O")
            .current_dir("/kernel/O")
            .build()?;
        let list = process::output("reading the image's objects", &mut ar)?;
        Ok(Self(list.lines().map(str::to_owned).collect()))
    }

    /// Whether an object is in the image.
    pub fn has(&self, object: &str) -> bool {
        self.0.iter().any(|name| name == object)
    }

    /// Fails unless a switch did what it says: one of the two sides is in the image, the other is not.
    pub fn check(&self, switch: &Switch, on: bool) -> Result<()> {
        let ours = in_source(switch.ours);
        if self.has(&ours) != on {
            bail!(
                "CONFIG_{} is {}, but {ours} is {} the image",
                switch.option,
                if on { "on" } else { "off" },
                if on { "not in" } else { "in" }
            );
        }
        for object in switch.theirs {
            if on && self.has(object.path) {
                bail!(
                    "CONFIG_{} is on, but the C object {} is in the image",
                    switch.option,
                    object.path
                );
            }
        }
        Ok(())
    }

    /// One line a switch: what the image holds.
    pub fn table(&self, switches: &[Switch]) -> String {
        let lines = switches.iter().map(|switch| {
            let held: Vec<_> = switch
                .theirs
                .iter()
                .map(|object| object.path.to_owned())
                .chain([in_source(switch.ours)])
                .map(|object| match self.has(&object) {
                    true => format!("{object} is in the image"),
                    false => format!("{object} is not"),
                })
                .collect();
            format!("{}: {}\n", switch.name, held.join(", "))
        });
        lines.collect()
    }
}

/// Fails if an object of ours that must not panic refers to something that does. In an object that is called with a run queue's
/// lock held, or before there is a console, a panic is a machine that stands still without a word.
pub fn check_never_panic(sandbox: &Sandbox, build_dir: &Path, switch: &Switch) -> Result<()> {
    for object in switch.never_panic {
        let mut nm = sandbox
            .command("nm")
            .args(["-u", &in_source(object)])
            .ro_bind(build_dir, "/kernel/O")
            .current_dir("/kernel/O")
            .build()?;
        let names = process::output("reading what an object refers to", &mut nm)?;
        if let Some(name) = panicking(&names) {
            bail!("{object} must not panic, but it refers to {name}");
        }
    }
    Ok(())
}

/// A C function that only says whether the kernel panics.
const ASKS: &str = "panic_in_progress";

/// The first of the undefined names that `nm` prints that is a function which does not return but panics. Those of Rust's core
/// have `panic` in their names or those of their modules, or end in `_failed` or `_fail`.
fn panicking(names: &str) -> Option<&str> {
    let names = names.lines().filter_map(|line| line.split(' ').next_back());
    let names = names.filter(|name| *name != ASKS);
    let mut panicking = names.filter(|name| name.contains("panic") || name.contains("_fail"));
    panicking.next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overlay::SWITCHES;

    #[test]
    fn an_image_with_the_wrong_object_is_refused() {
        let switch = &SWITCHES[0];
        let ours = in_source(switch.ours);
        let rust = Objects(vec![ours.clone(), "drivers/xen/features.o".into()]);
        let c = Objects(vec![switch.theirs[0].path.into()]);
        let both = Objects(vec![switch.theirs[0].path.into(), ours]);
        assert!(rust.check(switch, true).is_ok() && rust.check(switch, false).is_err());
        assert!(c.check(switch, false).is_ok() && c.check(switch, true).is_err());
        assert!(both.check(switch, true).is_err());
        assert!(
            rust.table(SWITCHES)
                .contains("drivers/xen/swiotlb-xen.o is not")
        );
    }

    #[test]
    fn an_object_that_can_panic_is_refused() {
        let fine = "                 U __per_cpu_offset\n                 U _RNvNtCs1_6kernel5print11call_printk\n                 U panic_in_progress\n";
        assert_eq!(panicking(fine), None);
        for bad in [
            "_RNvNtCs1_4core9panicking18panic_bounds_check",
            "_RNvNtCs1_4core6option13unwrap_failed",
            "_RNvNtNtCs1_4core5slice5index26slice_start_index_len_fail",
        ] {
            assert_eq!(
                panicking(&format!("{fine}                 U {bad}\n")),
                Some(bad)
            );
        }
    }
}
