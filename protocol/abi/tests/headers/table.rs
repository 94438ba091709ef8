// SPDX-License-Identifier: GPL-2.0

//! Every constant and structure of the crate, once, with its name in C.
//!
//! A C name is written as `"NAME"` if Xen's and Linux's headers agree, `("XEN", "LINUX")` if they
//! name it differently, and `(xen "NAME")` or `(linux "NAME")` if only one of them has it.

mod constants;
mod served;
mod structs;
mod toolstack;

/// What an item is called in C: an expression for each set of headers.
pub struct InC {
    pub xen: Option<String>,
    pub linux: Option<String>,
}

/// A number of ours and the expressions that have to have the same value.
pub struct Entry {
    /// Path of the item in the crate, and which of its properties this is.
    pub what: String,
    pub value: i128,
    pub c: InC,
}

impl InC {
    fn map(&self, f: impl Fn(&str) -> String) -> InC {
        InC {
            xen: self.xen.as_deref().map(&f),
            linux: self.linux.as_deref().map(&f),
        }
    }

    /// Combines a type with a field where both are known.
    fn with(&self, field: &InC, f: impl Fn(&str, &str) -> String) -> InC {
        let both = |a: &Option<String>, b: &Option<String>| Some(f(a.as_deref()?, b.as_deref()?));
        InC {
            xen: both(&self.xen, &field.xen),
            linux: both(&self.linux, &field.linux),
        }
    }
}

/// A C name as described above.
macro_rules! c {
    ((xen $name:literal)) => {
        crate::table::InC {
            xen: Some($name.into()),
            linux: None,
        }
    };
    ((linux $name:literal)) => {
        crate::table::InC {
            xen: None,
            linux: Some($name.into()),
        }
    };
    (($xen:literal, $linux:literal)) => {
        crate::table::InC {
            xen: Some($xen.into()),
            linux: Some($linux.into()),
        }
    };
    ($name:literal) => {
        crate::table::InC {
            xen: Some($name.into()),
            linux: Some($name.into()),
        }
    };
}
use c;

/// The whole table.
pub fn entries() -> Vec<Entry> {
    let mut all = constants::entries();
    all.extend(structs::entries());
    all.extend(served::entries());
    all.extend(toolstack::entries());
    all
}
