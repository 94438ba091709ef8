// SPDX-License-Identifier: GPL-2.0

//! A shared page's part of the quota of all processes.

use kernel::sync::Arc;
use xen::grant::SharedPage;
use xen_devfile::quota::Quota;

/// A page that is shared with another domain.
pub(crate) type Page = SharedPage<Part>;

/// One page's part. Dropping it gives it back.
pub(crate) struct Part(Arc<Quota>);

impl Drop for Part {
    fn drop(&mut self) {
        self.0.give(1);
    }
}

/// Parts that were taken and that no page has yet. Dropping this gives them back.
pub(crate) struct Parts {
    left: u32,
    quota: Arc<Quota>,
}

impl Parts {
    /// Takes `count` parts; `None` if that exceeds the limit.
    pub(crate) fn take(quota: Arc<Quota>, count: u32, limit: u32) -> Option<Self> {
        let taken = quota.take(count, limit);
        // Not `then_some`, which would make a value, and drop it, in either case.
        taken.then(|| Self { left: count, quota })
    }

    /// The number of parts left.
    pub(crate) fn left(&self) -> usize {
        self.left as usize
    }

    /// The part of one page.
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
