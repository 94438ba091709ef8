// SPDX-License-Identifier: GPL-2.0

//! A grant table as people read it: how many references are in which state, and what was granted to
//! whom.
//!
//! It is read without a lock, while references change, so the numbers may not add up exactly.

use crate::entry::GrantTable;
use crate::guest::{self, Access};
use crate::references::{state, RefState, Slots};
use core::fmt;

/// What a domain was granted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// The domain.
    pub domain: u16,
    /// References that grant a frame to it.
    pub granted: u32,
    /// Of these, for reading only.
    pub read_only: u32,
    /// Of these, those that it has mapped or copies to or from at the moment.
    pub used: u32,
}

/// A summary of a table.
#[derive(Debug)]
pub struct Summary<'p> {
    reserved: u32,
    free: u32,
    listed: u32,
    in_use: u32,
    deferred: u32,
    unknown: u32,
    /// The first so many are known.
    peers: &'p mut [Peer],
    known: usize,
    /// Those of domains that there is no room for.
    others: Peer,
}

impl<'p> Summary<'p> {
    /// Reads a table with so many references. `peers` has room for as many domains as are told
    /// apart.
    pub fn of(
        table: &impl GrantTable,
        slots: &impl Slots,
        size: u32,
        peers: &'p mut [Peer],
    ) -> Self {
        let mut summary = Self {
            reserved: 0,
            free: 0,
            listed: 0,
            in_use: 0,
            deferred: 0,
            unknown: 0,
            peers,
            known: 0,
            others: Peer::default(),
        };
        for reference in 0..size {
            let state = state(slots, reference);
            let count = match state {
                RefState::Reserved => &mut summary.reserved,
                RefState::Free => &mut summary.free,
                RefState::Listed => &mut summary.listed,
                RefState::InUse => &mut summary.in_use,
                RefState::Deferred => &mut summary.deferred,
                RefState::Unknown => &mut summary.unknown,
            };
            *count = count.saturating_add(1);
            // A free one grants nothing; what its entry has is of the past.
            if matches!(
                state,
                RefState::Reserved | RefState::InUse | RefState::Deferred
            ) {
                if let Some(grant) = guest::read(table, reference) {
                    summary.add(grant);
                }
            }
        }
        summary
    }

    fn add(&mut self, grant: guest::Grant) {
        let peer = self.peer(grant.to);
        peer.granted = peer.granted.saturating_add(1);
        if grant.access == Access::ReadOnly {
            peer.read_only = peer.read_only.saturating_add(1);
        }
        if grant.is_used {
            peer.used = peer.used.saturating_add(1);
        }
    }

    /// The row of a domain.
    fn peer(&mut self, domain: u16) -> &mut Peer {
        let known = self.peers.iter().take(self.known);
        let mut at = known.take_while(|peer| peer.domain != domain).count();
        if at == self.known {
            match self.peers.get_mut(at) {
                Some(new) => {
                    *new = Peer {
                        domain,
                        ..Peer::default()
                    };
                    self.known = self.known.saturating_add(1);
                }
                None => at = usize::MAX,
            }
        }
        self.peers.get_mut(at).unwrap_or(&mut self.others)
    }

    /// The domains that are told apart, in the order in which they were found.
    pub fn peers(&self) -> impl Iterator<Item = &Peer> + '_ {
        self.peers.iter().take(self.known)
    }
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            reserved,
            free,
            listed,
            in_use,
            deferred,
            ..
        } = self;
        writeln!(
            f,
            "{reserved} reserved, {free} free, {listed} in lists, {in_use} in use, \
             {deferred} deferred"
        )?;
        if self.unknown != 0 {
            writeln!(f, "{} in no state", self.unknown)?;
        }
        writeln!(f, "peer      granted  read-only   used-now")?;
        let row = |f: &mut fmt::Formatter<'_>, peer: &Peer| {
            let Peer {
                granted,
                read_only,
                used,
                ..
            } = peer;
            writeln!(f, "{granted:>9}{read_only:>11}{used:>11}")
        };
        for peer in self.peers() {
            write!(f, "{:<8}", peer.domain)?;
            row(f, peer)?;
        }
        if self.others.granted != 0 {
            write!(f, "{:<8}", "others")?;
            row(f, &self.others)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::references::References;
    use crate::{HostMemory, HostTable, Version};
    use std::string::ToString;
    use std::sync::atomic::AtomicU32;
    use std::sync::atomic::Ordering::SeqCst;
    use std::vec::Vec;
    use xen_abi::grant_table::flag;

    const SIZE: u32 = 20;

    /// A table in which 8 to 11 are given out and 12 is deferred; 13 is in a list.
    fn references() -> References<Vec<AtomicU32>> {
        let mut refs = References::new((0..SIZE).map(|_| AtomicU32::new(0)).collect());
        refs.grow(SIZE).expect("room");
        for expected in 8..13 {
            assert_eq!(refs.alloc(), Ok(expected));
        }
        refs.defer(12).expect("given out");
        let _ = refs.alloc_list(1).expect("there are free ones");
        refs
    }

    #[test]
    fn rows_say_who_was_granted_what() {
        for version in [Version::V1, Version::V2] {
            let memory = HostMemory::new(version, SIZE as usize);
            let table = HostTable::new(&memory, |_: &HostMemory| ());
            let refs = references();
            let grant = |reference, to, access| {
                guest::grant(&table, reference, to, 0x100, access).expect("in the table");
            };
            grant(1, 0, Access::ReadWrite);
            grant(8, 7, Access::ReadOnly);
            grant(9, 7, Access::ReadWrite);
            grant(12, 3, Access::ReadWrite);
            // Of the past: it is free now.
            grant(15, 9, Access::ReadWrite);
            match version {
                Version::V1 => memory.entries[12][0].fetch_or(flag::READING.into(), SeqCst),
                Version::V2 => memory.status[12].fetch_or(flag::READING.into(), SeqCst),
            };
            let mut peers = [Peer::default(); 3];
            let text = Summary::of(&table, refs.slots(), SIZE, &mut peers).to_string();
            let head = "8 reserved, 6 free, 1 in lists, 4 in use, 1 deferred\n\
                        peer      granted  read-only   used-now\n";
            let rows = "0               1          0          0\n\
                        7               2          1          0\n\
                        3               1          0          1\n";
            assert_eq!(text, head.to_string() + rows, "{version:?}");
            // Without room for all.
            let mut peers = [Peer::default(); 1];
            let summary = Summary::of(&table, refs.slots(), SIZE, &mut peers);
            assert_eq!(summary.peers().count(), 1);
            let rows = "0               1          0          0\n\
                        others          3          1          1\n";
            assert_eq!(summary.to_string(), head.to_string() + rows);
            // A slot that somebody has written to.
            refs.slots()[14].store(0, SeqCst);
            let text = Summary::of(&table, refs.slots(), SIZE, &mut []).to_string();
            assert!(text.contains("5 free") && text.contains("1 in no state\n"));
        }
    }
}
