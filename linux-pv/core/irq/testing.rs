// SPDX-License-Identifier: GPL-2.0

//! A hypervisor for tests, which records calls and answers them as the test says.

use std::{
    boxed::Box,
    cell::RefCell,
    vec::Vec, //
};

use xen_abi::{
    command::PlainCommand,
    xen::hypercall::PHYSDEV_OP, //
};

use zerocopy::{
    FromBytes,
    IntoBytes, //
};

use crate::Physdev;

type Answer<'a> = Box<dyn FnMut(u32, &mut [u8]) -> i32 + 'a>;

/// The hypervisor.
pub(crate) struct Script<'a> {
    answer: RefCell<Answer<'a>>,
    calls: RefCell<Vec<(u32, Vec<u8>)>>,
}

impl<'a> Script<'a> {
    /// `answer` gets the command and its argument, of one type for all commands.
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

    /// `answer` gets the command and the bytes of its argument.
    pub(crate) fn bytes(answer: impl FnMut(u32, &mut [u8]) -> i32 + 'a) -> Self {
        Self {
            answer: RefCell::new(Box::new(answer)),
            calls: RefCell::default(),
        }
    }

    /// The commands of all calls.
    pub(crate) fn commands(&self) -> Vec<u32> {
        self.calls
            .borrow()
            .iter()
            .map(|(command, _)| *command)
            .collect()
    }

    /// All calls, with arguments of one type.
    pub(crate) fn calls<T: FromBytes>(&self) -> Vec<(u32, T)> {
        let calls = self.calls.borrow();
        let read =
            |(command, bytes): &(u32, Vec<u8>)| (*command, T::read_from_bytes(bytes).unwrap());
        calls.iter().map(read).collect()
    }
}

impl Physdev for Script<'_> {
    fn call<C: PlainCommand>(&self, argument: &mut C::Argument) -> i32 {
        assert_eq!(C::HYPERCALL, PHYSDEV_OP);
        let bytes = argument.as_mut_bytes();
        self.calls.borrow_mut().push((C::NUMBER, bytes.to_vec()));
        (self.answer.borrow_mut())(C::NUMBER, bytes)
    }
}
