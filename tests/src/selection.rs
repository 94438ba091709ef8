// SPDX-License-Identifier: GPL-2.0

//! Which scenarios a command line means.

use crate::guest::Driver;
use crate::matrix::Kernels;
use crate::scenario::Variant;

/// Parts of scenarios' names that had another name, and what they are called now, so that commands with the old names go on working.
const RENAMED: [(&str, &str); 3] = [
    ("nodes.", "devfile."),
    (concat!("_by_", "lines"), "_by_intx"),
    ("_on_our_nodes", "_on_our_device_files"),
];

/// Which scenarios to run and how.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Only those whose name contains one of these; all if empty. A whole name means that one alone, even if it is
    /// otherwise left to `full`, then with few rounds.
    pub filters: Vec<String>,
    /// The long ones too, and all rounds of every loop.
    pub full: bool,
    /// The frontends under test.
    pub driver: Driver,
    /// Whether machines go on from their [snapshots](crate::snapshot), where a scenario is not about the boot.
    pub snapshots: bool,
}

impl Selection {
    /// The scenarios it means, in the order they will run.
    pub fn pick(&self, all: &[Variant]) -> Vec<Variant> {
        let filters: Vec<_> = self.filters.iter().map(|filter| renamed(filter)).collect();
        let is_whole = |filter: &String| all.iter().any(|scenario| scenario.name == *filter);
        let mut picked: Vec<_> = all
            .iter()
            .filter(|scenario| {
                let by_default = self.full || !scenario.is_full_only();
                let named = |filter: &String| {
                    let part = by_default && !is_whole(filter);
                    scenario.name == *filter || part && scenario.name.contains(filter)
                };
                if filters.is_empty() {
                    let is_for_all = scenario.kernels == Kernels::Any || scenario.by_default;
                    by_default && (self.full || is_for_all)
                } else {
                    filters.iter().any(named)
                }
            })
            .cloned()
            .collect();
        // Stable: within a topology the order of the list stays. Those that end machines do not end a shared one.
        picked.sort_by_key(|scenario| (scenario.is_alone(), scenario.topology));
        picked
    }
}

/// A filter as names are today.
fn renamed(filter: &str) -> String {
    RENAMED
        .iter()
        .fold(filter.to_owned(), |filter, (old, new)| {
            filter.replace(old, new)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;
    use crate::topology::Topology;

    fn scenario(name: &'static str) -> Scenario {
        Scenario::new(name, |_| Ok(()))
    }

    fn variants(scenarios: &[Scenario]) -> Vec<Variant> {
        scenarios.iter().flat_map(Scenario::variants).collect()
    }

    #[test]
    fn scenarios_are_picked_and_grouped_by_topology() {
        let all = variants(&[
            scenario("a.one").on(Topology::PVH),
            scenario("a.two"),
            scenario("b.three").full(),
            scenario("b.four").on(Topology::PVH),
        ]);
        let names = |selection: &Selection| -> Vec<_> {
            let picked = selection.pick(&all).into_iter();
            picked.map(|scenario| scenario.name).collect()
        };
        let mut selection = Selection::default();
        assert_eq!(names(&selection), ["a.two", "a.one", "b.four"]);
        selection.filters = vec!["b.three".into()];
        assert_eq!(names(&selection), ["b.three"], "named in full");
        selection.filters = vec!["b.t".into()];
        assert!(names(&selection).is_empty());
        selection.filters = vec!["a.two".into()];
        let longer = variants(&[scenario("a.two"), scenario("a.two_and_more")]);
        assert_eq!(selection.pick(&longer).len(), 1, "named in full");
        selection.full = true;
        selection.filters = vec!["b.".into()];
        assert_eq!(names(&selection), ["b.three", "b.four"]);
    }

    #[test]
    fn scenarios_of_built_kernels_are_for_those_who_name_them() {
        let built = || scenario("a.built").only_on(Kernels::Profiles(&["overlay"]));
        let all = variants(&[scenario("a.any"), built()]);
        let count = |selection: &Selection| selection.pick(&all).len();
        let mut selection = Selection::default();
        assert_eq!(count(&selection), 1);
        let daily = variants(&[built().by_default()]);
        assert_eq!(selection.pick(&daily).len(), 1);
        selection.filters = vec!["a.".into()];
        assert_eq!(count(&selection), 2);
        let for_kernel = |kernel| all.iter().filter(|s| s.kernels.has(kernel)).count();
        assert_eq!((for_kernel(None), for_kernel(Some("overlay"))), (1, 2));
    }

    #[test]
    fn old_names_are_understood() {
        let all = crate::scenarios::all();
        for (filter, name) in [
            ("nodes.are_ours_pv", "devfile.are_ours_pv"),
            (
                concat!("hypervisor.disks_keep_data_by_", "lines_on_xen"),
                "hypervisor.disks_keep_data_by_intx_on_xen",
            ),
            (
                "hypervisor.toolstack_answers_on_our_nodes",
                "hypervisor.toolstack_answers_on_our_device_files",
            ),
        ] {
            let selection = Selection {
                filters: vec![filter.into()],
                ..Selection::default()
            };
            let picked = selection.pick(&all);
            let names: Vec<_> = picked.iter().map(|scenario| &scenario.name).collect();
            assert_eq!(names, [name]);
        }
        // Each of the new parts is one.
        for (old, new) in RENAMED {
            assert!(
                all.iter().any(|scenario| scenario.name.contains(new)),
                "{new}"
            );
            assert!(
                !all.iter().any(|scenario| scenario.name.contains(old)),
                "{old}"
            );
        }
    }
}
