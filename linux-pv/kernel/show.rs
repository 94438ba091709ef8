// SPDX-License-Identifier: GPL-2.0

//! Printing what crates without the kernel define.

/// Makes a `core::fmt::Display` value one that the kernel's `fmt!` and `pr_*!` print:
/// `pr_warn!("{}\n", Show(corrupt))`.
pub struct Show<T>(pub T);

impl<T: core::fmt::Display> kernel::fmt::Display for Show<T> {
    fn fmt(&self, f: &mut kernel::fmt::Formatter<'_>) -> kernel::fmt::Result {
        self.0.fmt(f)
    }
}
