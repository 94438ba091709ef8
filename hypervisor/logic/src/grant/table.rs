// SPDX-License-Identifier: GPL-2.0

//! A grant table in machine memory, as crate [`xen_grant`] wants it.

use super::GrantTable;
use crate::mem::MachineMemory;
use crate::mem::word::MachineWord;
use xen_grant::{Version, entry};

/// A table and the memory that its frames lie in.
pub(super) struct TableMemory<'a, M> {
    table: &'a GrantTable,
    memory: &'a M,
}

impl<'a, M: MachineMemory> TableMemory<'a, M> {
    pub(super) fn new(table: &'a GrantTable, memory: &'a M) -> Self {
        Self { table, memory }
    }

    /// A word of an entry, if the table has that. Entries do not cross the end of a frame.
    fn word<T>(&self, reference: u32, offset: usize) -> Option<MachineWord<'_, M, T>> {
        let entry = self.table.entry(reference)?;
        Some(MachineWord::new(self.memory, entry + offset as u64))
    }
}

impl<M: MachineMemory> entry::GrantTable for TableMemory<'_, M> {
    type U16<'a>
        = MachineWord<'a, M, u16>
    where
        Self: 'a;
    type U32<'a>
        = MachineWord<'a, M, u32>
    where
        Self: 'a;
    type U64<'a>
        = MachineWord<'a, M, u64>
    where
        Self: 'a;

    fn version(&self) -> Version {
        self.table.version
    }

    fn entry_u16(&self, reference: u32, offset: usize) -> Option<Self::U16<'_>> {
        self.word(reference, offset)
    }

    fn entry_u32(&self, reference: u32, offset: usize) -> Option<Self::U32<'_>> {
        self.word(reference, offset)
    }

    fn entry_u64(&self, reference: u32, offset: usize) -> Option<Self::U64<'_>> {
        self.word(reference, offset)
    }

    fn status_u16(&self, reference: u32) -> Option<Self::U16<'_>> {
        let word = self.table.status_word(reference)?;
        Some(MachineWord::new(self.memory, word))
    }
}
