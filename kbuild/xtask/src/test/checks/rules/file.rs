// SPDX-License-Identifier: GPL-2.0

//! What rules are applied to, and what they find.

use std::fmt;

/// A file of the work tree.
pub struct File<'t> {
    /// Its path from the top of the work tree.
    pub path: &'t str,
    /// All of it.
    pub text: &'t str,
}

impl File<'_> {
    /// What follows the last dot of its name.
    pub fn extension(&self) -> &str {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        name.rsplit_once('.').map_or("", |(_, extension)| extension)
    }

    /// Whether it is source code; scripts need no extension.
    pub fn is_source(&self) -> bool {
        let is_script = self.text.starts_with("#!/");
        is_script || ["rs", "c", "h", "S", "ld", "sh"].contains(&self.extension())
    }

    /// A violation in one of its lines, counted from 1.
    pub fn violation(&self, line: usize, what: impl Into<String>) -> Violation {
        Violation {
            path: self.path.to_owned(),
            line,
            what: what.into(),
        }
    }
}

/// Something that a rule forbids.
#[derive(Debug, PartialEq, Eq)]
pub struct Violation {
    /// The file's path.
    pub path: String,
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong, and what to write instead.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}
