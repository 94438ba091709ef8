// SPDX-License-Identifier: GPL-2.0

//! What tests on the host work with besides the work tree.

use std::time::Instant;

use kbuild::{Kernel, Sandbox, Session};

use crate::cli::Test;
use crate::report::{Case, Outcome, Report};

/// What the tests on the host work with.
pub struct HostTools<'s> {
    /// The run.
    pub session: &'s Session,
    /// The sandbox in which the kernel is built.
    pub sandbox: Sandbox,
    /// The kernel under test.
    pub kernel: Kernel,
}

impl<'s> HostTools<'s> {
    /// Makes them, and reports whether that went well.
    pub fn open(session: &'s Session, args: &Test, report: &mut Report<'_>) -> Option<Self> {
        let started = Instant::now();
        let opened = session
            .config
            .profile(args.versions.kernel.as_deref())
            .and_then(|profile| Kernel::open(session, profile));
        let (outcome, tools) = match opened {
            Ok((kernel, sandbox)) => {
                let tools = Self {
                    session,
                    sandbox,
                    kernel,
                };
                (Outcome::Passed, Some(tools))
            }
            Err(error) => (Outcome::Failed(format!("{error:#}")), None),
        };
        report.add(Case {
            time: Some(started.elapsed()),
            log: Some(session.logs().to_owned()),
            ..Case::new("setup", "kernel_and_sandbox_are_there", outcome)
        });
        tools
    }
}
