// SPDX-License-Identifier: GPL-2.0

//! `/sys/kernel/debug/xen/grants`: the size of the table, what is granted to whom, and grants that
//! other domains do not let go of.

use kernel::{
    fmt,
    prelude::*, //
};

use xen_grant::summary::{
    Peer,
    Summary, //
};

use crate::{
    entries::{
        self,
        Entries, //
    },
    frames,
    report::{
        mistakes,
        now, //
    },
    slots::KernelSlots,
    state, //
};

/// Domains that are told apart.
const MAX_PEERS: usize = 64;

/// Deferred grants that are listed.
const MAX_ROWS: usize = 64;

/// A deferred grant.
#[derive(Clone, Copy, Default)]
struct Row {
    reference: u32,
    peer: u16,
    since: u64,
}

fn show((): &(), f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (mut peers, mut rows) = match (table::<Peer>(MAX_PEERS), table::<Row>(MAX_ROWS)) {
        (Ok(peers), Ok(rows)) => (peers, rows),
        _ => return writeln!(f, "no memory for the table"),
    };
    let (frames, counts) = state::with(|state| {
        let mut waiting = state.deferred.iter();
        for row in rows.iter_mut() {
            *row = match waiting.next() {
                Some(grant) => Row {
                    reference: grant.reference,
                    peer: grant.peer,
                    since: grant.since,
                },
                None => break,
            };
        }
        (state.frames, state.deferred.counts())
    });
    let (size, max) = (entries::size(), frames::max());
    let version = entries::version().number();
    writeln!(
        f,
        "version {version}, {frames} of {max} frames, {size} references"
    )?;
    writeln!(f, "{counts}, {} mistakes of drivers", mistakes())?;
    let table = Entries::get();
    write!(f, "{}", Summary::of(&table, &KernelSlots, size, &mut peers))?;
    writeln!(f, "deferred  peer     seconds")?;
    let now = now();
    for row in rows.iter().filter(|row| row.reference != 0) {
        let Row {
            reference,
            peer,
            since,
        } = row;
        let seconds = now.saturating_sub(*since);
        writeln!(f, "{reference:<10}{peer:<9}{seconds}")?;
    }
    Ok(())
}

/// A list of default values.
fn table<T: Default>(len: usize) -> Result<KVec<T>> {
    let mut list = KVec::new();
    for _ in 0..len {
        list.push(T::default(), GFP_KERNEL)?;
    }
    Ok(list)
}

xen_core::debug_file!(c"grants", show);
