// SPDX-License-Identifier: GPL-2.0

//! A list of hypercalls as 32-bit code has it: what differs of [`crate::xen`].

use super::convert::compat_struct;
use super::Argument;
use crate::xen as native;
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

compat_struct! {
    /// [`native::MulticallEntry`].
    MulticallEntry {
        /// The hypercall's number.
        op: u32,
        /// What it has returned.
        result: u32,
        /// Its arguments.
        args: [u32; 6],
    }
}

impl Argument for native::MulticallEntry {
    type Compat = MulticallEntry;

    fn from_compat(compat: MulticallEntry) -> Self {
        let MulticallEntry { op, result, args } = compat;
        native::MulticallEntry {
            op: op.into(),
            result: result.into(),
            args: args.map(u64::from),
        }
    }

    /// The result is a register of 64 bits, of which 32-bit code gets the lower half. The arguments of a call that was
    /// preempted are such that the guest could have passed them.
    fn to_compat(&self) -> Option<MulticallEntry> {
        let mut args = [0; 6];
        for (to, from) in args.iter_mut().zip(self.args) {
            *to = u32::try_from(from).ok()?;
        }
        Some(MulticallEntry {
            op: u32::try_from(self.op).ok()?,
            result: self.result as u32,
            args,
        })
    }
}
