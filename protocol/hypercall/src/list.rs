// SPDX-License-Identifier: GPL-2.0

//! Calls that may do a part of what was asked for.

use crate::Errno;
use xen_abi::command::ListCommand;
use xen_abi::grant_table::status;

/// The status of an element that the hypervisor has not reached: none that it writes.
const NOT_REACHED: i16 = i16::MIN;

/// What became of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "some elements may not have been done"]
pub struct ListProgress {
    /// Elements that were done.
    pub done: usize,
    /// Elements that the hypervisor refused, each with its status.
    pub failed: usize,
    /// Elements that it did not get to. Their status is `GNTST_general_error`.
    pub not_reached: usize,
    /// Why it did not, if it said so.
    pub error: Option<Errno>,
}

impl ListProgress {
    /// Whether all elements were done.
    #[inline]
    pub const fn is_complete(&self) -> bool {
        self.failed == 0 && self.not_reached == 0
    }
}

/// Makes a call with a list of elements, each of which has a status. `make` makes the call with the
/// list and its length, and returns what the hypervisor returned; it is not called for an empty
/// list.
///
/// An error of the hypercall as such says nothing about the elements: those before it may have been
/// done, and have to be undone. So each element's status is set to a value that the hypervisor does
/// not write, and looked at afterwards. A status below zero that is not known is a refusal; a
/// positive one is taken for one too, since no command defines any.
pub fn call_list<C: ListCommand>(
    list: &mut [C::Argument],
    make: impl FnOnce(&mut [C::Argument]) -> i64,
) -> ListProgress {
    if list.is_empty() {
        return ListProgress::default();
    }
    for element in list.iter_mut() {
        C::set_status(element, NOT_REACHED);
    }
    let result = make(list);
    let mut progress = ListProgress {
        error: Errno::check(result).err(),
        ..ListProgress::default()
    };
    for element in list.iter_mut() {
        let count = match C::status(element) {
            status::OKAY => &mut progress.done,
            NOT_REACHED => {
                C::set_status(element, status::GENERAL_ERROR);
                &mut progress.not_reached
            }
            _ => &mut progress.failed,
        };
        *count = count.wrapping_add(1);
    }
    progress
}

/// How many extents a `memory_op` has done of those that it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "some extents may not have been done"]
pub struct Extents {
    /// Done, from the first one on.
    pub done: u32,
    /// Not done.
    pub rest: u32,
}

impl Extents {
    /// Reads the result of a command that was asked for `asked` extents: the number that it has
    /// done, which is less if there was no memory for more, or not the right to it.
    ///
    /// # Errors
    ///
    /// The hypervisor's error number; [`Errno::BAD_ANSWER`] for more extents than asked for.
    #[inline]
    pub const fn of(result: i64, asked: u32) -> Result<Self, Errno> {
        match Errno::check(result) {
            Err(error) => Err(error),
            Ok(done) if done > asked as u64 => Err(Errno::BAD_ANSWER),
            Ok(done) => {
                let done = done as u32;
                let rest = asked.wrapping_sub(done);
                Ok(Self { done, rest })
            }
        }
    }

    /// Whether all extents were done.
    #[inline]
    pub const fn is_complete(&self) -> bool {
        self.rest == 0
    }
}
