// SPDX-License-Identifier: GPL-2.0

//! The scenarios in virtual machines, on one kernel after the other.

use anyhow::Result;
use kbuild::Session;
use vmtest::runner::{self, Selection, Verdict};
use vmtest::{Driver, Hypervisor, Loader};

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

/// The kernels to run them on: the one named; otherwise the default one (`None`), those that some of the scenarios are for,
/// and with `--full` all, but not those that differ from another only in having more C.
pub fn targets(session: &Session, args: &Test) -> Vec<Option<String>> {
    if let Some(name) = &args.versions.kernel {
        return vec![Some(name.clone())];
    }
    let picked = selection(args).pick(&vmtest::scenarios::all());
    let special = |name: &String| {
        let named = |scenario: &vmtest::Scenario| scenario.kernels.contains(&name.as_str());
        picked.iter().any(named)
    };
    let others = session.config.target.iter().filter(|(name, target)| {
        **name != session.config.default && (special(name) || args.full && target.c.is_empty())
    });
    std::iter::once(None)
        .chain(others.map(|(name, _)| Some(name.clone())))
        .collect()
}

/// Runs them on one kernel. Their names get the kernel's in front unless it is the default one.
pub fn run(
    session: &Session,
    target: Option<&str>,
    args: &Test,
    selection: &Selection,
    report: &mut Report,
) -> Result<()> {
    let mut scenarios = selection.pick(&vmtest::scenarios::all());
    scenarios.retain(|scenario| scenario.is_for(target));
    // A kernel that nobody has asked for has only the scenarios that are for it; with `--full` all, unless it only differs
    // from another in having more C.
    let is_copy = |name| {
        let target = session.config.target.get(name);
        target.is_some_and(|target| !target.c.is_empty())
    };
    if args.versions.kernel.is_none() && target.is_some_and(|name| !args.full || is_copy(name)) {
        scenarios.retain(|scenario| !scenario.kernels.is_empty());
    }
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
    let grub = scenarios
        .iter()
        .any(|scenario| scenario.topology.loader != Loader::Qemu);
    let images = prepare(session, target, args.versions.xen.as_deref(), ours)
        .and_then(|images| match paravane {
            true => images.with_paravane(session),
            false => Ok(images),
        })
        .and_then(|images| match grub {
            true => images.with_grub(session),
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
