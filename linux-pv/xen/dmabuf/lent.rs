// SPDX-License-Identifier: GPL-2.0

//! Granting another driver's buffer to a domain.

use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    sync::Arc, //
};

use kernel_ext::dmabuf::{
    Attachment,
    Direction,
    DmaBuf,
    FrameDevice,
    Mapping, //
};

use xen_bindings as bindings;

use xen_devfile::dmabuf::{
    are_pages,
    pages,
    Segment, //
};

use crate::{
    debug,
    domain::DomId,
    grant::{
        Access,
        GrantRefNumber,
        GrantRefs,
        Lent,
        LoanedGrant,
        Retirable, //
    },
    page::Gfn, //
};

/// Most references that are reserved in one go.
const AT_ONCE: usize = 1024;

/// A buffer of another driver's whose pages a domain may access. Dropped, that ends; while the
/// domain has a page of it mapped even then, the buffer stays attached and mapped, so that its
/// exporter, who knows nothing of grants, cannot use the memory for anything else, and ending it is
/// tried again every second.
pub struct LentBuffer(Option<Retirable<Pages>>);

/// The buffer itself.
struct Pages {
    /// One for each page, until it has ended.
    grants: KVVec<Option<LoanedGrant>>,
    mapping: Mapping<Arc<FrameDevice>>,
}

impl LentBuffer {
    /// Grants a buffer that has so many pages. May sleep; not with the buffer's reservation lock
    /// held.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it has not as many pages, or not of memory; `ENOSPC` if the grant table is full;
    /// whatever its exporter has to say against it.
    pub fn new(
        buffer: DmaBuf,
        device: Arc<FrameDevice>,
        count: usize,
        to: DomId,
        access: Access,
    ) -> Result<Self> {
        if count.checked_mul(PAGE_SIZE) != Some(buffer.size()) {
            return Err(EINVAL);
        }
        let direction = match access {
            Access::ReadWrite => Direction::Both,
            Access::ReadOnly => Direction::ToDevice,
        };
        let grants = KVVec::with_capacity(count, GFP_KERNEL_ACCOUNT | __GFP_NOWARN)?;
        let mapping = Attachment::new(buffer, device)?.map(direction)?;
        debug::LENT_BUFFERS.add(1);
        let lent = Pages { grants, mapping };
        // From here on dropping it ends what has begun.
        let mut this = Self(Some(Retirable::new(lent)?));
        this.0.as_mut().ok_or(EINVAL)?.grant(count, to, access)?;
        Ok(this)
    }

    /// What to tell the peer: a reference for each page, in the order of the buffer.
    pub fn references(&self) -> impl Iterator<Item = GrantRefNumber> + '_ {
        let grants = self.0.iter().flat_map(|lent| lent.grants.iter());
        grants.flatten().map(LoanedGrant::number)
    }

    /// How many pages it has.
    pub fn count(&self) -> usize {
        self.0.as_ref().map_or(0, |lent| lent.grants.len())
    }
}

impl Pages {
    fn grant(&mut self, count: usize, to: DomId, access: Access) -> Result {
        let segments = self.mapping.segments().map(|segment| Segment {
            address: segment.address,
            len: segment.len,
        });
        if !are_pages(segments.clone(), count as u64) {
            return Err(EINVAL);
        }
        let mut refs = GrantRefs::empty();
        let mut left = count;
        while left > 0 {
            let some = left.min(AT_ONCE);
            refs.add(some as u16)?;
            left -= some;
        }
        for address in pages(segments) {
            // SAFETY: The shim looks up any number.
            let page = unsafe { bindings::xen_rs_memory_at(address) };
            if page.is_null() {
                return Err(EINVAL);
            }
            let free = refs.claim().ok_or(ENOSPC)?;
            // SAFETY: The page is valid.
            let frame = unsafe { Gfn::of(page) };
            // SAFETY: It is a page of a buffer that is mapped, and stays so until all its grants
            // have ended. All of a dma-buf's memory is for sharing.
            let grant = unsafe { free.lend(frame, to, access) };
            self.grants.push(Some(grant), GFP_KERNEL_ACCOUNT)?;
        }
        Ok(())
    }

    /// Ends the grants that can be ended, and returns how many are left.
    fn end(&mut self) -> usize {
        let mut left = 0;
        for slot in self.grants.iter_mut() {
            let Some(grant) = slot.take() else {
                continue;
            };
            *slot = grant.try_end().err();
            left += usize::from(slot.is_some());
        }
        left
    }
}

impl Lent for Pages {
    fn try_end(&mut self) -> bool {
        self.end() == 0
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        debug::LENT_BUFFERS.sub(1);
    }
}

impl Drop for LentBuffer {
    fn drop(&mut self) {
        let Some(mut lent) = self.0.take() else {
            return;
        };
        let left = lent.end();
        if left != 0 {
            debug::DEFERRED.add(left);
            lent.retire();
        }
    }
}
