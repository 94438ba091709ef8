// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask test`: checks of the source, tests on the host, then scenarios in virtual machines.

mod checks;
mod libtest;
mod unit;
mod vm;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use kbuild::{Kernel, Sandbox, Session};

use crate::cli::Test;
use crate::report::{Case, Outcome, Report};

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

/// Runs what is wanted and ends with "N passed, N failed".
pub fn run(session: &Session, args: &Test) -> Result<ExitCode> {
    let filter = Filter(args.filter.clone());
    if args.list {
        return list(args, &filter);
    }
    let junit = args
        .junit
        .clone()
        .unwrap_or_else(|| session.logs().join("junit.xml"));
    let mut report = Report::new(&session.ui);
    if let Err(error) = run_all(session, args, &filter, &mut report) {
        // Nothing further can be run; what ran is reported all the same.
        report.add(Case {
            suite: "setup".into(),
            name: "everything_needed_is_there".into(),
            outcome: Outcome::Failed(format!("{error:#}")),
            time: None,
            log: Some(session.logs().to_owned()),
        });
    }
    Ok(if report.finish(&junit)? {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What the tests on the host work with.
pub struct HostTools<'s> {
    pub session: &'s Session,
    pub sandbox: Sandbox,
    pub kernel: Kernel,
}

fn run_all(session: &Session, args: &Test, filter: &Filter, report: &mut Report) -> Result<()> {
    let selection = vm::selection(args);
    let on_host = filter.wants_suite("unit")
        || checks::ALL
            .iter()
            .any(|(name, _)| filter.wants(&format!("check.{name}")));
    if on_host {
        let target = session.config.target(args.versions.kernel.as_deref())?;
        let (kernel, sandbox) = Kernel::open(session, target)?;
        run_on_host(
            &HostTools {
                session,
                sandbox,
                kernel,
            },
            filter,
            report,
        )?;
    }
    for target in vm::targets(session, args) {
        vm::run(session, target.as_deref(), args, &selection, report)?;
    }
    Ok(())
}

fn run_on_host(tools: &HostTools, filter: &Filter, report: &mut Report) -> Result<()> {
    for (name, check) in checks::ALL {
        if filter.wants(&format!("check.{name}")) {
            report.add(timed("check", name, || check(tools)));
        }
    }
    if filter.wants_suite("unit") {
        unit::run(tools, &mut |case| {
            if filter.wants(&format!("{}.{}", case.suite, case.name)) {
                report.add(case);
            }
        })?;
    }
    Ok(())
}

fn list(args: &Test, filter: &Filter) -> Result<ExitCode> {
    for (name, _) in checks::ALL {
        let name = format!("check.{name}");
        if filter.wants(&name) {
            println!("{name}");
        }
    }
    if filter.wants_suite("unit") {
        for name in unit::list()? {
            let name = format!("unit.{name}");
            if filter.wants(&name) {
                println!("{name}");
            }
        }
    }
    for scenario in vm::selection(args).pick(&vmtest::scenarios::all()) {
        println!("{}", scenario.name);
    }
    Ok(ExitCode::SUCCESS)
}

fn timed(suite: &str, name: &str, check: impl FnOnce() -> Result<()>) -> Case {
    let started = Instant::now();
    let outcome = match check() {
        Ok(()) => Outcome::Passed,
        Err(error) => Outcome::Failed(format!("{error:#}")),
    };
    Case {
        suite: suite.into(),
        name: name.into(),
        outcome,
        time: Some(started.elapsed()),
        log: None,
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
