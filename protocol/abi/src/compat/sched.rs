// SPDX-License-Identifier: GPL-2.0

//! Arguments of `sched_op` as 32-bit code has them: those of [`crate::sched`] that differ.

use super::convert::{compat_struct, converted};
use crate::sched as native;
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

compat_struct! {
    /// [`native::Poll`].
    Poll {
        /// Address of the list of ports.
        ports: u32,
        /// How many.
        nr_ports: u32,
        /// Until when, in system time; zero for ever.
        timeout: u64,
    }
}

converted! {
    native::Poll => Poll { ports, nr_ports, timeout, }
}
