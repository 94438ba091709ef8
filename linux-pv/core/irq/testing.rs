// SPDX-License-Identifier: GPL-2.0

//! A hypervisor that answers as a test says, and writes down what it was asked.

use std::boxed::Box;
use std::cell::RefCell;
use std::vec::Vec;

use zerocopy::{FromBytes, IntoBytes};

use crate::Physdev;

type Answer<'a> = Box<dyn FnMut(u32, &mut [u8]) -> i32 + 'a>;

/// See above.
pub(crate) struct Script<'a> {
    answer: RefCell<Answer<'a>>,
    asked: RefCell<Vec<(u32, Vec<u8>)>>,
}

impl<'a> Script<'a> {
    /// Answers arguments of one type.
    pub(crate) fn new<T: IntoBytes + FromBytes + zerocopy::KnownLayout + zerocopy::Immutable>(
        mut answer: impl FnMut(u32, &mut T) -> i32 + 'a,
    ) -> Self {
        Self::bytes(move |command, bytes| {
            let mut argument = T::read_from_bytes(bytes).unwrap();
            let result = answer(command, &mut argument);
            argument.write_to(bytes).unwrap();
            result
        })
    }

    /// Answers anything.
    pub(crate) fn bytes(answer: impl FnMut(u32, &mut [u8]) -> i32 + 'a) -> Self {
        Self {
            answer: RefCell::new(Box::new(answer)),
            asked: RefCell::default(),
        }
    }

    /// Which commands it was asked.
    pub(crate) fn commands(&self) -> Vec<u32> {
        self.asked
            .borrow()
            .iter()
            .map(|(command, _)| *command)
            .collect()
    }

    /// What it was asked, with arguments of one type.
    pub(crate) fn asked<T: FromBytes>(&self) -> Vec<(u32, T)> {
        let asked = self.asked.borrow();
        let read =
            |(command, bytes): &(u32, Vec<u8>)| (*command, T::read_from_bytes(bytes).unwrap());
        asked.iter().map(read).collect()
    }
}

impl Physdev for Script<'_> {
    fn call<T: IntoBytes + FromBytes>(&self, command: u32, argument: &mut T) -> i32 {
        let bytes = argument.as_mut_bytes();
        self.asked.borrow_mut().push((command, bytes.to_vec()));
        (self.answer.borrow_mut())(command, bytes)
    }
}
