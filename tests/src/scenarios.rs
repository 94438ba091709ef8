// SPDX-License-Identifier: GPL-2.0

//! All scenarios, one file a subject.

mod blkfront;
mod console;
mod count;
mod devfile;
mod dom0;
mod events;
mod fresh;
mod grants;
mod guide;
mod harness;
mod hostile;
mod hypercalls;
mod hypervisor;
mod netfront;
mod overlay;
mod package;
mod pcifront;
mod plumbing;
mod resources;
mod run;
mod shortage;
mod swiotlb;
mod time;

use crate::scenario::{Scenario, Variant};

/// Every scenario on everything that it runs on, in the order of this list within a topology.
pub fn all() -> Vec<Variant> {
    let groups: &[&[Scenario]] = &[
        fresh::SCENARIOS,
        dom0::SCENARIOS,
        harness::SCENARIOS,
        run::SCENARIOS,
        package::SCENARIOS,
        count::SCENARIOS,
        &blkfront::scenarios(),
        &netfront::scenarios(),
        &pcifront::scenarios(),
        &hostile::scenarios(),
        &shortage::scenarios(),
        devfile::SCENARIOS,
        overlay::SCENARIOS,
        plumbing::SCENARIOS,
        swiotlb::SCENARIOS,
        time::SCENARIOS,
        console::SCENARIOS,
        hypercalls::SCENARIOS,
        events::SCENARIOS,
        grants::SCENARIOS,
        guide::SCENARIOS,
        &hypervisor::scenarios(),
    ];
    let scenarios = groups.iter().copied().flatten();
    scenarios.flat_map(Scenario::variants).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_variant_has_a_name_of_its_own() {
        let all = all();
        let names: BTreeSet<_> = all.iter().map(|variant| variant.name.as_str()).collect();
        assert_eq!(names.len(), all.len());
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._".contains(c);
        for name in names {
            assert!(name.chars().all(is_plain) && !name.contains("__"), "{name}");
            assert!(
                !name.ends_with('_') && name.matches('.').count() == 1,
                "{name}"
            );
        }
    }
}
