// SPDX-License-Identifier: GPL-2.0

//! Runs scenarios: those with the same topology one after the other in one boot, each on a clean machine. A
//! machine that died fails the scenario it died in and is booted again for the next.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Error, Result};
use kbuild::{Images, Session};

use crate::guest::Driver;
use crate::health::Lost;
use crate::host::Host;
use crate::scenario::{Ctx, Machines, Run, Scenario, Skip};
use crate::topology::Topology;

/// How often something is run again that failed because the emulator lost a domain. What our drivers do wrong
/// never looks like that: see [`crate::console::lost_domain`].
pub(crate) const RETRIES: u32 = 2;

/// Which scenarios to run and how.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Only those whose name contains one of these; all if empty. A whole name means that one alone, even if it is
    /// otherwise left to `full`, then with few rounds.
    pub filters: Vec<String>,
    /// The long ones too, and all rounds of every loop.
    pub full: bool,
    /// The block frontend under test.
    pub driver: Driver,
}

impl Selection {
    /// The scenarios it means, in the order they will run.
    pub fn pick(&self, all: &[Scenario]) -> Vec<Scenario> {
        let is_whole = |filter: &String| all.iter().any(|scenario| scenario.name == filter);
        let mut picked: Vec<_> = all
            .iter()
            .filter(|scenario| {
                let by_default = self.full || !scenario.full_only;
                let named = |filter: &String| {
                    let part = by_default && !is_whole(filter);
                    scenario.name == filter || part && scenario.name.contains(filter)
                };
                if self.filters.is_empty() {
                    by_default && (self.full || scenario.kernels.is_empty())
                } else {
                    self.filters.iter().any(named)
                }
            })
            .copied()
            .collect();
        // Stable: within a topology the order of the list stays. Those that end machines do not end a shared one.
        picked.sort_by_key(|scenario| (scenario.is_alone(), scenario.topology));
        picked
    }
}

/// How a scenario ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As expected.
    Passed,
    /// It could not be run here.
    Skipped(String),
    /// Not as expected.
    Failed(String),
}

/// One scenario's result.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its name.
    pub name: &'static str,
    /// How it ended.
    pub verdict: Verdict,
    /// How long it took; the first one on a machine pays for the boot.
    pub took: Duration,
    /// What it had to say.
    pub notes: Vec<String>,
    /// Where its logs are.
    pub logs: Option<PathBuf>,
}

/// Runs scenarios and hands out each result as it comes.
pub fn run(
    session: &Session,
    images: &Images,
    scenarios: &[Scenario],
    selection: &Selection,
    report: &mut dyn FnMut(Outcome),
) {
    let mut boots = Boots {
        session,
        images,
        current: None,
        count: 0,
    };
    for scenario in scenarios {
        let started = Instant::now();
        let mut notes = Vec::new();
        let mut result = boots.run(scenario, selection, &mut notes);
        let mut losses = 0;
        let lost = |boots: &Boots<'_>, error: &Error| error.is::<Lost>() || boots.lost_a_domain();
        while result.as_ref().is_err_and(|error| lost(&boots, error)) {
            losses += 1;
            let logs = boots.logs().unwrap_or_default();
            boots.give_up();
            notes = vec![format!(
                "the emulator lost a domain (triple fault, run {losses}; see {})",
                logs.display()
            )];
            result = if losses > RETRIES {
                // What the scenario is about was neither shown nor refuted.
                Err(Skip(format!(
                    "the emulator lost a domain in each of {losses} runs"
                ))
                .into())
            } else {
                boots.run(scenario, selection, &mut notes)
            };
        }
        let logs = boots.logs();
        let verdict = match result {
            Ok(()) => Verdict::Passed,
            Err(error) => match error.downcast_ref::<Skip>() {
                Some(skip) => Verdict::Skipped(skip.0.clone()),
                None => {
                    boots.give_up();
                    Verdict::Failed(format!("{error:#}"))
                }
            },
        };
        report(Outcome {
            name: scenario.name,
            verdict,
            took: started.elapsed(),
            notes,
            logs,
        });
    }
}

/// The machine that runs now.
struct Boots<'a> {
    session: &'a Session,
    images: &'a Images,
    current: Option<(Topology, Host)>,
    count: u32,
}

impl Boots<'_> {
    fn run(
        &mut self,
        scenario: &Scenario,
        selection: &Selection,
        notes: &mut Vec<String>,
    ) -> Result<()> {
        match scenario.run {
            Run::Booted(test) => {
                let host = self.get(&scenario.topology)?;
                host.health().take_lost();
                one(host, test, selection, notes)
            }
            Run::Alone(test) => {
                self.current = None;
                self.count += 1;
                let dir = self.session.logs().join(format!("boot-{}", self.count));
                let mut machines =
                    Machines::new(self.images, scenario.topology, dir, selection.full);
                let result = guarded(|| test(&mut machines));
                notes.append(&mut machines.notes);
                verdict(result, &machines.complaints(), || Ok(()))
            }
        }
    }

    /// Whether the emulator lost a domain during the last scenario.
    fn lost_a_domain(&self) -> bool {
        self.current
            .as_ref()
            .is_some_and(|(_, host)| host.lost_a_domain())
    }

    fn get(&mut self, topology: &Topology) -> Result<&Host> {
        if self.current.as_ref().is_some_and(|(is, _)| is != topology) {
            self.current = None;
        }
        if self.current.is_none() {
            self.count += 1;
            let dir = self.session.logs().join(format!("boot-{}", self.count));
            let step = self.session.ui.step(format!("Booting {topology}"));
            let host = Host::boot(self.images, topology, &dir)?;
            step.done("");
            self.current = Some((*topology, host));
        }
        match &self.current {
            Some((_, host)) => Ok(host),
            None => unreachable!("the machine was booted just now"),
        }
    }

    fn logs(&self) -> Option<PathBuf> {
        let last = format!("boot-{}", self.count);
        (self.count > 0).then(|| self.session.logs().join(last))
    }

    /// After a failure: keeps what dom0 can still tell; the next scenario gets a new machine, because nobody
    /// knows what state this one is in.
    fn give_up(&mut self) {
        if let Some((_, host)) = self.current.take() {
            host.keep_logs();
        }
    }
}

fn one(
    host: &Host,
    test: fn(&mut Ctx<'_>) -> Result<()>,
    selection: &Selection,
    notes: &mut Vec<String>,
) -> Result<()> {
    let mut ctx = Ctx {
        host,
        driver: selection.driver,
        full: selection.full,
        notes: Vec::new(),
        expected: Vec::new(),
    };
    let result = guarded(|| test(&mut ctx));
    notes.append(&mut ctx.notes);
    let expected = ctx.expected;
    let complaints: Vec<_> = host
        .health()
        .take_complaints()
        .into_iter()
        .filter(|line| !expected.iter().any(|text| line.contains(text)))
        .collect();
    verdict(result, &complaints, || host.clean())
}

/// Runs a test: one that panics must not take the others with it.
fn guarded(test: impl FnOnce() -> Result<()>) -> Result<()> {
    catch_unwind(AssertUnwindSafe(test))
        .unwrap_or_else(|panic| Err(Error::msg(panic_text(panic.as_ref()))))
}

/// A test's result, with what kernels complained about meanwhile.
fn verdict(
    result: Result<()>,
    complaints: &[String],
    clean: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let result = match result {
        Ok(()) if complaints.is_empty() => clean(),
        Ok(()) => Err(Error::msg("a kernel complained")),
        Err(error) => Err(error),
    };
    result.map_err(|error| {
        if complaints.is_empty() || error.is::<Skip>() {
            return error;
        }
        let shown: Vec<_> = complaints
            .iter()
            .take(10)
            .map(|line| format!("    {line}"))
            .collect();
        Error::msg(format!("{error:#}\nkernel messages:\n{}", shown.join("\n")))
    })
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!(
        "the scenario itself panicked: {}",
        text.unwrap_or("without a message")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario(name: &'static str) -> Scenario {
        Scenario::new(name, |_| Ok(()))
    }

    #[test]
    fn scenarios_are_picked_and_grouped_by_topology() {
        let all = [
            scenario("a.one").on(Topology::PVH),
            scenario("a.two"),
            scenario("b.three").full(),
            scenario("b.four").on(Topology::PVH),
        ];
        let names = |selection: &Selection| -> Vec<_> {
            selection
                .pick(&all)
                .iter()
                .map(|scenario| scenario.name)
                .collect()
        };
        let mut selection = Selection::default();
        assert_eq!(names(&selection), ["a.two", "a.one", "b.four"]);
        selection.filters = vec!["b.three".into()];
        assert_eq!(names(&selection), ["b.three"], "named in full");
        selection.filters = vec!["b.t".into()];
        assert!(names(&selection).is_empty());
        selection.filters = vec!["a.two".into()];
        let longer = [scenario("a.two"), scenario("a.two_and_more")];
        assert_eq!(selection.pick(&longer).len(), 1, "named in full");
        selection.full = true;
        selection.filters = vec!["b.".into()];
        assert_eq!(names(&selection), ["b.three", "b.four"]);
    }

    #[test]
    fn scenarios_of_built_kernels_are_for_those_who_name_them() {
        let all = [scenario("a.any"), scenario("a.built").only_on(&["overlay"])];
        let count = |selection: &Selection| selection.pick(&all).len();
        let mut selection = Selection::default();
        assert_eq!(count(&selection), 1);
        selection.filters = vec!["a.".into()];
        assert_eq!(count(&selection), 2);
        let for_kernel = |kernel| all.iter().filter(|s| s.is_for(kernel)).count();
        assert_eq!((for_kernel(None), for_kernel(Some("overlay"))), (1, 2));
    }
}
