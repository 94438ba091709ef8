// SPDX-License-Identifier: GPL-2.0

//! How a command in dom0 or in a guest went.

use std::fmt;
use std::time::Duration;

use agent::message::Exit;
use anyhow::{Result, bail};

use crate::error::TimedOut;

/// How a command went.
#[derive(Clone, Debug)]
pub struct Output {
    /// Where it ran.
    pub place: String,
    /// The shell script that was run.
    pub script: String,
    /// How it ended.
    pub exit: Exit,
    /// Its standard output, with bytes that are no UTF-8 replaced.
    pub stdout: String,
    /// Its standard error, and what the agent has to say.
    pub stderr: String,
    /// How long it took, as seen from the host.
    pub took: Duration,
}

impl Output {
    /// Whether it ended with status 0.
    pub fn succeeded(&self) -> bool {
        self.exit == Exit::Code(0)
    }

    /// An error with all output unless it ended with status 0.
    pub fn ok(self) -> Result<Self> {
        match self.exit {
            Exit::Code(0) => Ok(self),
            Exit::TimedOut => Err(TimedOut(self.to_string()).into()),
            _ => bail!("{self}"),
        }
    }

    /// An error if it ended with status 0: for commands that must be refused.
    pub fn fails(self) -> Result<Self> {
        if self.succeeded() {
            bail!("this should have failed: {self}");
        }
        Ok(self)
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "in {}, after {:.1} s, this {}:",
            self.place,
            self.took.as_secs_f32(),
            self.exit
        )?;
        for (mark, text) in [
            ("$", &self.script),
            ("|", &self.stdout),
            ("!", &self.stderr),
        ] {
            let lines: Vec<_> = text.trim().lines().collect();
            let skipped = lines.len().saturating_sub(30);
            if skipped > 0 {
                write!(f, "\n    {mark} ... {skipped} lines")?;
            }
            for line in lines.into_iter().skip(skipped) {
                write!(f, "\n    {mark} {line}")?;
            }
        }
        Ok(())
    }
}
