// SPDX-License-Identifier: GPL-2.0

//! What a built image holds: which of the C objects, and which of ours. Read from the archive that the kernel's build
//! links the image from, so the configuration need not be trusted.

use std::path::Path;

use anyhow::{Result, bail};

use super::{PLACE, Switch};
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
        let ours = format!("{PLACE}/{}", switch.ours);
        if self.has(&ours) != on {
            bail!(
                "CONFIG_{} is {}, but {ours} is {} the image",
                switch.option,
                if on { "on" } else { "off" },
                if on { "not in" } else { "in" }
            );
        }
        for object in switch.theirs {
            if on && self.has(object) {
                bail!(
                    "CONFIG_{} is on, but the C object {object} is in the image",
                    switch.option
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
                .map(|object| (*object).to_owned())
                .chain([format!("{PLACE}/{}", switch.ours)])
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overlay::SWITCHES;

    #[test]
    fn an_image_with_the_wrong_object_is_refused() {
        let switch = &SWITCHES[0];
        let ours = format!("{PLACE}/{}", switch.ours);
        let rust = Objects(vec![ours.clone(), "drivers/xen/time.o".into()]);
        let c = Objects(vec![switch.theirs[0].into()]);
        let both = Objects(vec![switch.theirs[0].into(), ours]);
        assert!(rust.check(switch, true).is_ok() && rust.check(switch, false).is_err());
        assert!(c.check(switch, false).is_ok() && c.check(switch, true).is_err());
        assert!(both.check(switch, true).is_err());
        assert!(
            rust.table(SWITCHES)
                .contains("drivers/xen/swiotlb-xen.o is not")
        );
    }
}
