// SPDX-License-Identifier: GPL-2.0

//! `GNTTABOP_copy`: copies between two pages, each granted or the caller's own.

use super::{Platform, System};
use crate::grant::{GntStatus, GnttabResult};
use crate::mem::frames::DomId;
use crate::mem::{Gfn, Mfn, PAGE_SIZE, PageRef};
use xen_abi::grant_table::op::{Copy, copy_flag};
use xen_abi::grant_table::status;

const GENERAL: GntStatus = GntStatus(status::GENERAL_ERROR);

/// Source or destination of a copy (`struct gnttab_copy_buf` in Xen).
struct CopyBuf {
    mfn: Mfn,
    start: u64,
    length: u64,
    page: PageRef,
    /// The grant that was acquired for it: granter and reference.
    grant: Option<(DomId, u32)>,
    readonly: bool,
}

impl<P: Platform> System<P> {
    /// Performs one copy.
    ///
    /// # Errors
    ///
    /// The `GNTST_*` status of the operation.
    pub fn grant_copy(&mut self, id: DomId, args: &Copy) -> GnttabResult<()> {
        if args.len == 0 {
            return Ok(());
        }
        let source = self.claim_buf(
            id,
            args.source.domid,
            args.source.frame_or_gref,
            args.flags & copy_flag::SOURCE_GREF != 0,
            true,
        )?;
        let dest = match self.claim_buf(
            id,
            args.dest.domid,
            args.dest.frame_or_gref,
            args.flags & copy_flag::DEST_GREF != 0,
            false,
        ) {
            Ok(dest) => dest,
            Err(failed) => {
                self.release_buf(source);
                return Err(failed);
            }
        };
        let result = self.copy_bufs(args, &source, &dest);
        self.release_buf(source);
        self.release_buf(dest);
        result
    }

    /// Acquires the page of one buf. The flag alone decides whether the word is a grant reference or a frame number,
    /// and it is checked for each copy: nothing of an earlier copy is used again (XSA-500).
    fn claim_buf(
        &mut self,
        id: DomId,
        of: DomId,
        word: u64,
        is_grant: bool,
        readonly: bool,
    ) -> GnttabResult<CopyBuf> {
        let own = of == xen_abi::xen::domid::SELF;
        if !own && !is_grant {
            return Err(GntStatus(status::PERMISSION_DENIED));
        }
        let of = if own { id } else { of };
        self.domain(of).map_err(|_| GntStatus(status::BAD_DOMAIN))?;
        if is_grant {
            // A grant reference has 32 bits; the rest of the word is ignored, as in Xen.
            let reference = word as u32;
            let (active, page) = self.acquire_grant(of, reference, id, readonly, false)?;
            return Ok(CopyBuf {
                mfn: active.mfn,
                start: active.start.into(),
                length: active.length.into(),
                page,
                grant: Some((of, reference)),
                readonly,
            });
        }
        let page = self.get_granted_page(of, Gfn(word), readonly)?;
        Ok(CopyBuf {
            mfn: page.mfn(),
            start: 0,
            length: PAGE_SIZE,
            page,
            grant: None,
            readonly,
        })
    }

    fn release_buf(&mut self, buf: CopyBuf) {
        match buf.grant {
            Some((granter, reference)) => {
                self.release_grant(granter, reference, buf.readonly, buf.page)
            }
            None => self.put_page(buf.page),
        }
    }

    fn copy_bufs(&mut self, args: &Copy, source: &CopyBuf, dest: &CopyBuf) -> GnttabResult<()> {
        let length = u64::from(args.len);
        let inside = |buf: &CopyBuf, offset: u16| {
            let offset = u64::from(offset);
            if offset + length > PAGE_SIZE {
                return Err(GntStatus(status::BAD_COPY_ARG));
            }
            if offset < buf.start || offset + length > buf.start + buf.length {
                return Err(GENERAL);
            }
            Ok(buf.mfn.address() + offset)
        };
        let from = inside(source, args.source.offset)?;
        let to = inside(dest, args.dest.offset)?;
        let mut bytes = [0; 512];
        let mut done = 0;
        // Through a buffer, so that overlapping pages are harmless to the hypervisor.
        while done < length {
            let now = bytes.len().min((length - done) as usize);
            self.platform.read(from + done, &mut bytes[..now]);
            self.platform.write(to + done, &bytes[..now]);
            done += now as u64;
        }
        Ok(())
    }
}
