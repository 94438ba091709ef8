// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask test`: checks of the source, tests on the host, then scenarios in virtual machines.

mod batch;
mod checks;
mod estimate;
mod libtest;
mod ordered;
mod plan;
mod queue;
mod times;
mod tools;
mod unit;
mod vm;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use kbuild::Session;

use crate::cli::Test;
use crate::report::{Case, Outcome, Report, RunFacts};
use batch::Batch;
use checks::Check;
use times::Clock;
use tools::HostTools;

/// What the user wants to see run: names that contain one of the given texts, everything if none is given.
pub struct Filter(Vec<String>);

impl Filter {
    /// Whether a test is wanted; `name` is `suite.name`.
    pub fn wants(&self, name: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|part| name.contains(part.as_str()))
    }

    /// Whether a whole suite may hold a wanted test. Names of unit tests are only known once they are built;
    /// they are built when they are asked for by their suite's name.
    pub fn wants_suite(&self, suite: &str) -> bool {
        self.0.is_empty()
            || self
                .0
                .iter()
                .any(|part| part.split('.').next() == Some(suite))
    }
}

/// Whether what is wanted needs more than the work tree.
pub fn needs_tools(session: &Session, args: &Test) -> bool {
    let batches = batch::batches(&session.config, args);
    !batches.is_empty() || Host::of(&Filter(args.filter.clone())).needs_tools()
}

/// Runs what is wanted and ends with "N passed, N failed".
pub fn run(session: &Session, args: &Test) -> Result<ExitCode> {
    let filter = Filter(args.filter.clone());
    let batches = batch::batches(&session.config, args);
    if args.list {
        return list(&batches, &filter);
    }
    let clock = Clock::new(args.time_budget());
    let junit = args
        .junit
        .clone()
        .unwrap_or_else(|| session.logs().join("junit.xml"));
    let host = Host::of(&filter);
    let planned = host.planned() + batches.iter().map(Batch::planned).sum::<usize>();
    let mut report = Report::new(&session.ui, planned);
    host.run(session, args, &filter, &mut report)?;
    let left_out = vm::Run::new(session, args, clock, &batches).all(&mut report);
    let facts = RunFacts {
        left_out,
        for_full: match args.is_default() {
            true => {
                vmtest::scenarios::all().len() - batches.iter().flat_map(Batch::scenarios).count()
            }
            false => 0,
        },
        took: clock.passed(),
        budget: clock.budget,
    };
    Ok(if report.finish(&junit, &facts)? {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What is wanted of the tests on the host.
struct Host {
    checks: Vec<(&'static str, Check)>,
    unit: bool,
}

impl Host {
    fn of(filter: &Filter) -> Self {
        let mut checks = checks::ALL.to_vec();
        checks.retain(|(name, _)| filter.wants(&format!("check.{name}")));
        Self {
            checks,
            unit: filter.wants_suite("unit"),
        }
    }

    /// Whether a kernel and its sandbox are needed.
    fn needs_tools(&self) -> bool {
        let needs = |(_, check): &(_, Check)| matches!(check, Check::Tools(_));
        self.unit || self.checks.iter().any(needs)
    }

    /// How many tests they are at the outermost level: making what they need, checks, unit tests.
    fn planned(&self) -> usize {
        let parts = [self.needs_tools(), !self.checks.is_empty(), self.unit];
        parts.into_iter().map(usize::from).sum()
    }

    fn run(
        &self,
        session: &Session,
        args: &Test,
        filter: &Filter,
        report: &mut Report<'_>,
    ) -> Result<()> {
        let tools = match self.needs_tools() {
            true => HostTools::open(session, args, report),
            false => None,
        };
        let skipped = || Outcome::Skipped("what it needs could not be made: see setup".into());
        if !self.checks.is_empty() {
            report.begin("check", self.checks.len());
            for (name, check) in &self.checks {
                report.add(match (check, &tools) {
                    (Check::Tree(check), _) => timed("check", name, || check(session)),
                    (Check::Tools(check), Some(tools)) => timed("check", name, || check(tools)),
                    (Check::Tools(_), None) => Case::new("check", *name, skipped()),
                });
            }
            report.end();
        }
        match (self.unit, &tools) {
            (false, _) => Ok(()),
            (true, Some(tools)) => unit::run(tools, filter, report),
            (true, None) => {
                report.begin("unit", 1);
                report.add(Case::new("unit", unit::CARGO, skipped()));
                report.end();
                Ok(())
            }
        }
    }
}

/// Prints the names, one a line, as filters take them; core and kernel follow in brackets.
fn list(batches: &[Batch], filter: &Filter) -> Result<ExitCode> {
    for (name, _) in Host::of(filter).checks {
        println!("check.{name}");
    }
    if filter.wants_suite("unit") {
        for name in unit::list()? {
            let name = format!("unit.{name}");
            if filter.wants(&name) {
                println!("{name}");
            }
        }
    }
    for batch in batches {
        let kernel = batch.kernel().map(|name| format!("kernel {name}"));
        for scenario in batch.scenarios() {
            let core = scenario.is_core().then(|| "core".to_owned());
            let marks: Vec<_> = core.iter().chain(&kernel).map(String::as_str).collect();
            match marks.is_empty() {
                true => println!("{}", scenario.name),
                false => println!("{} ({})", scenario.name, marks.join(", ")),
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs a check and takes its time.
fn timed(suite: &str, name: &str, check: impl FnOnce() -> Result<()>) -> Case {
    let started = Instant::now();
    let outcome = match check() {
        Ok(()) => Outcome::Passed,
        Err(error) => Outcome::Failed(format!("{error:#}")),
    };
    Case {
        time: Some(started.elapsed()),
        ..Case::new(suite, name, outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_choose_by_part_and_by_suite() {
        let filter = Filter(vec!["hotplug".into(), "unit.kbuild".into()]);
        assert!(filter.wants("blk.hotplug_leaks_nothing") && !filter.wants("blk.resize"));
        assert!(filter.wants_suite("unit") && !filter.wants_suite("check"));
        assert!(Filter(vec![]).wants("anything") && Filter(vec![]).wants_suite("unit"));
    }
}
