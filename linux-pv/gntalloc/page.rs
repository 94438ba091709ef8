// SPDX-License-Identifier: GPL-2.0

//! What a page takes of what all programs may share.

use kernel::sync::Arc;
use xen::grant::SharedPage;
use xen_devfile::quota::Quota;

/// A page that is shared.
pub(crate) type Page = SharedPage<Part>;

/// One page's part, given back when this is dropped.
pub(crate) struct Part(Arc<Quota>);

impl Drop for Part {
    fn drop(&mut self) {
        self.0.give(1);
    }
}

/// Parts that were taken and no page has yet; those left are given back when this is dropped.
pub(crate) struct Parts {
    left: u32,
    quota: Arc<Quota>,
}

impl Parts {
    /// Takes so many; `None` if that is more than there may be.
    pub(crate) fn take(quota: Arc<Quota>, count: u32, limit: u32) -> Option<Self> {
        let taken = quota.take(count, limit);
        // Not `then_some`, which would make them, and give them back, in either case.
        taken.then(|| Self { left: count, quota })
    }

    /// How many are left.
    pub(crate) fn left(&self) -> usize {
        self.left as usize
    }

    /// One page's.
    pub(crate) fn next(&mut self) -> Option<Part> {
        self.left = self.left.checked_sub(1)?;
        Some(Part(self.quota.clone()))
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        self.quota.give(self.left);
    }
}
