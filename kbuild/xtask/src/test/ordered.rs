// SPDX-License-Identifier: GPL-2.0

//! Results that come in from several groups at the same time, reported group by group.

use super::batch::Group;
use crate::report::{Case, Report};

/// Reports the first group that is not complete while it runs, and keeps what comes from others until their turn.
pub struct Ordered<'g, 'r, 'o> {
    report: &'r mut Report<'o>,
    groups: &'g [Group],
    /// The group that is reported now.
    current: usize,
    /// How many results of it were reported.
    reported: usize,
    /// What has come from groups that have not had their turn.
    kept: Vec<Vec<Case>>,
}

impl<'g, 'r, 'o> Ordered<'g, 'r, 'o> {
    /// Begins the first group.
    pub fn new(report: &'r mut Report<'o>, groups: &'g [Group]) -> Self {
        let mut ordered = Self {
            report,
            groups,
            current: 0,
            reported: 0,
            kept: groups.iter().map(|_| Vec::new()).collect(),
        };
        ordered.begin();
        ordered
    }

    /// Takes a result of a group.
    pub fn add(&mut self, group: usize, case: Case) {
        if group != self.current {
            self.kept[group].push(case);
            return;
        }
        self.report.add(case);
        self.reported += 1;
        while self.is_complete() {
            self.report.end();
            self.current += 1;
            self.reported = 0;
            self.begin();
        }
    }

    /// Begins the current group, if there is one, with what has come from it.
    fn begin(&mut self) {
        let Some(group) = self.groups.get(self.current) else {
            return;
        };
        self.report.begin(&group.name, group.scenarios.len());
        for case in std::mem::take(&mut self.kept[self.current]) {
            self.report.add(case);
            self.reported += 1;
        }
    }

    fn is_complete(&self) -> bool {
        let group = self.groups.get(self.current);
        group.is_some_and(|group| self.reported == group.scenarios.len())
    }
}

impl Drop for Ordered<'_, '_, '_> {
    /// What did not come is reported as missing: see [`Report::end`].
    fn drop(&mut self) {
        while self.current < self.groups.len() {
            self.report.end();
            self.current += 1;
            self.begin();
        }
    }
}

#[cfg(test)]
mod tests {
    use kbuild::Ui;
    use vmtest::Scenario;

    use super::*;
    use crate::report::{Outcome, RunFacts, reader};

    fn group(name: &str, scenarios: usize) -> Group {
        let scenario = Scenario::new("a.scenario", |_| Ok(()));
        let scenarios = (0..scenarios).flat_map(|_| scenario.variants());
        Group {
            name: name.into(),
            scenarios: scenarios.collect(),
        }
    }

    /// What is printed if these results come in this order, as a strict reader understands it.
    fn printed(results: &[(usize, &str)]) -> (bool, Vec<reader::Node>) {
        let dir = tempfile::tempdir().unwrap();
        let mut out = Vec::new();
        let groups = [group("first", 2), group("second", 1), group("third", 2)];
        let mut report = Report::to(&Ui::new(false), Box::new(&mut out), groups.len());
        let mut ordered = Ordered::new(&mut report, &groups);
        for (group, name) in results {
            ordered.add(*group, Case::new("s", *name, Outcome::Passed));
        }
        drop(ordered);
        let junit = dir.path().join("junit.xml");
        let good = report.finish(&junit, &RunFacts::default()).unwrap();
        (
            good,
            reader::read(&String::from_utf8(out).unwrap()).unwrap(),
        )
    }

    fn names(nodes: &[reader::Node]) -> Vec<(&str, Vec<&str>)> {
        nodes
            .iter()
            .map(|node| {
                let subtests = node.subtests.iter();
                let names = subtests.map(|subtest| subtest.name.as_str());
                (node.name.as_str(), names.collect())
            })
            .collect()
    }

    #[test]
    fn results_are_reported_by_group_however_they_come() {
        let results = [(2, "d"), (0, "a"), (1, "c"), (2, "e"), (0, "b")];
        let (good, nodes) = printed(&results);
        let expected = [
            ("first", vec!["s.a", "s.b"]),
            ("second", vec!["s.c"]),
            ("third", vec!["s.d", "s.e"]),
        ];
        assert!(good);
        assert_eq!(names(&nodes), expected);
    }

    #[test]
    fn what_does_not_come_has_failed_in_its_group() {
        let (good, nodes) = printed(&[(0, "a"), (2, "d"), (2, "e")]);
        assert!(!good);
        let failed: Vec<_> = nodes.iter().map(|node| !node.good).collect();
        assert_eq!(failed, [true, true, false]);
    }
}
