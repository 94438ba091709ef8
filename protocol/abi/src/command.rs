// SPDX-License-Identifier: GPL-2.0

//! Commands of hypercalls as types: which structure belongs to which number, and whether it is
//! copied back.
//!
//! Each pair stands here once. The kernel makes a call by its type and the hypervisor serves it by
//! the same one, so that neither can pass or expect another structure. The numbers are those of the
//! modules `op`, which are compared with the C headers.
//!
//! A command is a type without values: only what it is associated with matters.

use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Whether a command's structure is read back by the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The hypervisor reads it.
    In,
    /// The hypervisor reads it, and writes it back if the command has succeeded.
    InOut,
}

/// A command of a hypercall, with one structure as its argument.
pub trait Command {
    /// The structure.
    type Argument: FromBytes + IntoBytes + Immutable;

    /// The hypercall's number, of [`crate::xen::hypercall`].
    const HYPERCALL: u32;

    /// The command's number within the hypercall.
    const NUMBER: u32;

    /// Whether the structure is copied back.
    const DIRECTION: Direction;
}

/// A command during which the hypervisor touches no memory of the caller's but the structure.
///
/// The others name memory by an address or a frame: of a list, of a page that is mapped, copied to or
/// shared from then on. Whoever makes such a call answers for that memory, so it takes unsafe code;
/// these do not.
pub trait PlainCommand: Command {}

/// A command that takes a list of structures, each of which has a status of its own. The hypercall
/// as such succeeds if the list could be read and written.
pub trait ListCommand: Command {
    /// The status that the hypervisor has written.
    fn status(argument: &Self::Argument) -> i16;

    /// Sets the status before the call.
    fn set_status(argument: &mut Self::Argument, status: i16);
}

/// Defines commands of one hypercall: `Name = NUMBER(Structure) Direction;`.
macro_rules! commands {
    ($hypercall:ident; $($(#[$doc:meta])* $name:ident = $number:ident($argument:ty) $direction:ident;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug)]
            pub enum $name {}

            impl crate::command::Command for $name {
                type Argument = $argument;
                const HYPERCALL: u32 = crate::xen::hypercall::$hypercall;
                const NUMBER: u32 = op::$number;
                const DIRECTION: crate::command::Direction = crate::command::Direction::$direction;
            }
        )*
    };
}

/// Says of commands that they are plain.
macro_rules! plain_commands {
    ($($name:ident,)*) => {
        $(impl crate::command::PlainCommand for $name {})*
    };
}

/// Says of commands that they take a list, of structures with a field `status`.
macro_rules! list_commands {
    ($($name:ident,)*) => {
        $(impl crate::command::ListCommand for $name {
            #[inline]
            fn status(argument: &Self::Argument) -> i16 {
                argument.status
            }
            #[inline]
            fn set_status(argument: &mut Self::Argument, status: i16) {
                argument.status = status;
            }
        })*
    };
}

pub mod event_channel;
pub mod grant_table;
pub mod physdev;
pub mod sched;
pub mod version;
