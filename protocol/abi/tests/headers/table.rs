// SPDX-License-Identifier: GPL-2.0

//! Every constant and structure of the crate, once, with its name in C.
//!
//! A C name is written as `"NAME"` if Xen's and Linux's headers agree, `("XEN", "LINUX")` if they
//! name it differently, and `(xen "NAME")` or `(linux "NAME")` if only one of them has it;
//! `(xen32 "NAME")` is Xen's, as 32-bit code sees it.

mod compat;
mod constants;
mod served;
mod structs;
mod toolstack;

/// What an item is called in C: an expression for each set of headers.
pub struct InC {
    pub xen: Option<String>,
    pub linux: Option<String>,
    pub xen32: Option<String>,
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
            xen32: self.xen32.as_deref().map(&f),
        }
    }

    /// Combines a type with a field where both are known.
    fn with(&self, field: &InC, f: impl Fn(&str, &str) -> String) -> InC {
        let both = |a: &Option<String>, b: &Option<String>| Some(f(a.as_deref()?, b.as_deref()?));
        InC {
            xen: both(&self.xen, &field.xen),
            linux: both(&self.linux, &field.linux),
            xen32: both(&self.xen32, &field.xen32),
        }
    }
}

/// A C name as described above.
macro_rules! c {
    ((xen $name:literal)) => {
        crate::table::InC {
            xen: Some($name.into()),
            linux: None,
            xen32: None,
        }
    };
    ((linux $name:literal)) => {
        crate::table::InC {
            xen: None,
            linux: Some($name.into()),
            xen32: None,
        }
    };
    ((xen32 $name:literal)) => {
        crate::table::InC {
            xen: None,
            linux: None,
            xen32: Some($name.into()),
        }
    };
    (($xen:literal, $linux:literal)) => {
        crate::table::InC {
            xen: Some($xen.into()),
            linux: Some($linux.into()),
            xen32: None,
        }
    };
    ($name:literal) => {
        crate::table::InC {
            xen: Some($name.into()),
            linux: Some($name.into()),
            xen32: None,
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
    all.extend(compat::entries());
    compat::compare_same(&mut all);
    all
}
