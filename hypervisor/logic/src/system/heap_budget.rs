// SPDX-License-Identifier: GPL-2.0

//! A budget of the hypervisor's heap for what unprivileged domains make it keep: active grants and maptrack entries. Without
//! it a domain could fill the heap, and whatever else is allocated then would end the machine.

use crate::error::{Errno, Result};

/// Bytes of the heap that unprivileged domains may still make the hypervisor use.
#[derive(Debug)]
pub struct HeapBudget {
    left: usize,
}

impl HeapBudget {
    /// A budget of so many bytes.
    pub const fn new(bytes: usize) -> Self {
        Self { left: bytes }
    }

    /// How many bytes are left.
    pub fn left(&self) -> usize {
        self.left
    }

    /// Takes bytes. [`Errno::ENOMEM`] if there are not as many.
    pub fn take(&mut self, bytes: usize) -> Result<()> {
        self.left = self.left.checked_sub(bytes).ok_or(Errno::ENOMEM)?;
        Ok(())
    }

    /// Gives back bytes that were taken.
    pub fn give(&mut self, bytes: usize) {
        self.left = self.left.saturating_add(bytes);
    }
}
