// SPDX-License-Identifier: GPL-2.0

//! The grants that a process has announced to map, and the offsets at which it maps them.

use kernel::{
    rbtree::{
        RBTree,
        RBTreeNodeReservation, //
    },
    sync::{
        atomic::Relaxed,
        Arc, //
    },
};
use xen::vma::granted::Granted;
use xen_devfile::offsets::first_fit;

use crate::stats::Stats;

/// The mappings of a file, by their first page in it.
#[derive(Default)]
pub(crate) struct Mappings {
    mappings: RBTree<u64, Arc<Granted>>,
    count: usize,
    grants: usize,
}

impl Mappings {
    /// Adds a mapping, for which `room` was made.
    pub(crate) fn add(
        &mut self,
        room: RBTreeNodeReservation<u64, Arc<Granted>>,
        first: u64,
        new: Arc<Granted>,
        stats: &Stats,
    ) {
        self.count += 1;
        self.grants += new.count();
        self.mappings.insert(room.into_node(first, new));
        self.update_stats(stats);
    }

    /// Removes the mapping that begins at page `first` and has `count` pages, or any number if that
    /// is 0.
    pub(crate) fn take(&mut self, first: u64, count: usize, stats: &Stats) -> Option<Arc<Granted>> {
        self.find(first, count)?;
        let old = self.mappings.remove(&first)?;
        self.count -= 1;
        self.grants -= old.count();
        self.update_stats(stats);
        Some(old)
    }

    /// Updates the counters of the file.
    fn update_stats(&self, stats: &Stats) {
        stats.mappings.store(self.count, Relaxed);
        stats.grants.store(self.grants, Relaxed);
    }

    /// The mapping that begins at page `first` and has `count` pages, or any number if that is 0.
    pub(crate) fn find(&self, first: u64, count: usize) -> Option<&Arc<Granted>> {
        let granted = self.mappings.get(&first)?;
        (count == 0 || granted.count() == count).then_some(granted)
    }

    /// The first page for a mapping of `count` pages. None if there is no room.
    pub(crate) fn first_fit(&self, count: u64) -> Option<u64> {
        let taken = self.mappings.iter();
        first_fit(
            taken.map(|(first, granted)| (*first, granted.count() as u64)),
            count,
        )
    }

    /// The mapping that a page is in.
    pub(crate) fn around(&self, page: u64) -> Option<&Arc<Granted>> {
        let mut all = self.mappings.iter();
        let found = all.find(|(first, granted)| {
            page.checked_sub(**first)
                .is_some_and(|offset| offset < granted.count() as u64)
        });
        found.map(|(_, granted)| granted)
    }
}
