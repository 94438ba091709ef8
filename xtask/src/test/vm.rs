// SPDX-License-Identifier: GPL-2.0

//! The scenarios in virtual machines, on one kernel after the other.

use anyhow::Result;
use kbuild::Session;
use vmtest::runner::{self, Selection, Verdict};
use vmtest::{Driver, Hypervisor};

use crate::cli::{self, Test};
use crate::prepare::prepare;
use crate::report::{Case, Outcome, Report};

/// Which scenarios the command line means.
pub fn selection(args: &Test) -> Selection {
    Selection {
        filters: args.filter.clone(),
        full: args.full,
        driver: match args.driver {
            cli::Driver::Rust => Driver::Rust,
            cli::Driver::C => Driver::C,
        },
    }
}

/// The kernels to run them on: the one named, with `--full` all, otherwise the default one (`None`).
pub fn targets(session: &Session, args: &Test) -> Vec<Option<String>> {
    match &args.kernel {
        Some(name) => vec![Some(name.clone())],
        None if args.full => {
            let default = &session.config.default;
            let others = session.config.target.keys().filter(|name| *name != default);
            std::iter::once(None)
                .chain(others.cloned().map(Some))
                .collect()
        }
        None => vec![None],
    }
}

/// Runs them on one kernel. Their names get the kernel's in front unless it is the default one.
pub fn run(
    session: &Session,
    target: Option<&str>,
    args: &Test,
    selection: &Selection,
    report: &mut Report,
) -> Result<()> {
    let scenarios = selection.pick(&vmtest::scenarios::all());
    if scenarios.is_empty() {
        return Ok(());
    }
    let prefix = match target {
        Some(name) if name != session.config.default => format!("{name}."),
        _ => String::new(),
    };
    let ours = selection.driver == Driver::Rust;
    let paravane = scenarios
        .iter()
        .any(|scenario| scenario.topology.hypervisor == Hypervisor::Paravane);
    let images =
        prepare(session, target, args.xen.as_deref(), ours).and_then(|images| match paravane {
            true => images.with_paravane(session),
            false => Ok(images),
        });
    let images = match images {
        Ok(images) => images,
        Err(error) if !prefix.is_empty() => {
            // Other kernels still have their turn.
            report.add(Case {
                suite: format!("{prefix}setup"),
                name: "the_kernel_can_be_prepared".into(),
                outcome: Outcome::Failed(format!("{error:#}")),
                time: None,
                log: Some(session.logs().to_owned()),
            });
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    runner::run(session, &images, &scenarios, selection, &mut |result| {
        let (suite, name) = result.name.split_once('.').unwrap_or(("vm", result.name));
        report.notes(&result.notes);
        report.add(Case {
            suite: format!("{prefix}{suite}"),
            name: name.into(),
            outcome: match result.verdict {
                Verdict::Passed => Outcome::Passed,
                Verdict::Skipped(why) => Outcome::Skipped(why),
                Verdict::Failed(why) => Outcome::Failed(why),
            },
            time: Some(result.took),
            log: result.logs,
        });
    });
    Ok(())
}
