// SPDX-License-Identifier: GPL-2.0

//! Tests of a model checker: a fault that is put into the code has to be found.

use std::panic::{catch_unwind, UnwindSafe};
use std::string::String;

/// Asserts that running the model finds the fault that is in it, by a panic whose message contains
/// `what`, and nothing else.
///
/// # Panics
///
/// If the model does not panic, or with another message.
pub fn assert_finds(what: &str, run: impl FnOnce() + UnwindSafe) {
    let panic = catch_unwind(run).expect_err("the fault was not found");
    let message = match panic.downcast_ref::<String>() {
        Some(message) => message.as_str(),
        None => panic.downcast_ref::<&str>().copied().unwrap_or(""),
    };
    assert!(message.contains(what), "found something else: {message}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_fault_that_is_meant_is_found() {
        let fails = || panic!("an event is lost");
        assert_finds("is lost", fails);
        assert!(catch_unwind(|| assert_finds("is torn", fails)).is_err());
        assert!(catch_unwind(|| assert_finds("is lost", || ())).is_err());
        // A message with numbers is a String.
        assert_finds("page 7", || panic!("page {}", 7));
    }
}
