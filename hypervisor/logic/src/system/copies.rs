//! Copies of bytes between frames, each granted or the caller's own.

use super::{Platform, System};
use crate::grant::{Failed, Outcome};
use crate::mem::frames::DomId;
use crate::mem::{Gfn, Hold, Mfn, PAGE_SIZE};
use xen_abi::grant_table::op::{Copy, copy_flag};
use xen_abi::grant_table::status;

const GENERAL: Failed = Failed(status::GENERAL_ERROR);

/// One side of a copy.
struct Side {
    mfn: Mfn,
    start: u64,
    length: u64,
    hold: Hold,
    /// The grant that is in use for it: granter and reference.
    grant: Option<(DomId, u32)>,
    readonly: bool,
}

impl<P: Platform> System<P> {
    /// Copies bytes between two frames, each granted or the caller's own.
    pub fn copy_granted(&mut self, id: DomId, args: &Copy) -> Outcome<()> {
        if args.len == 0 {
            return Ok(());
        }
        let source = self.side(
            id,
            args.source.domid,
            args.source.frame_or_gref,
            args.flags & copy_flag::SOURCE_GREF != 0,
            true,
        )?;
        let dest = match self.side(
            id,
            args.dest.domid,
            args.dest.frame_or_gref,
            args.flags & copy_flag::DEST_GREF != 0,
            false,
        ) {
            Ok(dest) => dest,
            Err(failed) => {
                self.end_side(source);
                return Err(failed);
            }
        };
        let result = self.copy_sides(args, &source, &dest);
        self.end_side(source);
        self.end_side(dest);
        result
    }

    /// Finds one side's frame. Whether the word is a grant or a frame number is said by the flag alone, each time
    /// anew: nothing of an earlier copy is used again (XSA-500).
    fn side(
        &mut self,
        id: DomId,
        of: DomId,
        word: u64,
        is_grant: bool,
        readonly: bool,
    ) -> Outcome<Side> {
        let own = of == xen_abi::xen::domid::SELF;
        if !own && !is_grant {
            return Err(Failed(status::PERMISSION_DENIED));
        }
        let of = if own { id } else { of };
        self.domain(of).map_err(|_| Failed(status::BAD_DOMAIN))?;
        if is_grant {
            // A reference has 32 bits; the rest of the word is not looked at.
            let reference = word as u32;
            let (active, hold) = self.use_grant(of, reference, id, readonly, false)?;
            return Ok(Side {
                mfn: active.mfn,
                start: active.start.into(),
                length: active.length.into(),
                hold,
                grant: Some((of, reference)),
                readonly,
            });
        }
        let hold = self.hold_granted(of, Gfn(word), readonly)?;
        Ok(Side {
            mfn: hold.mfn(),
            start: 0,
            length: PAGE_SIZE,
            hold,
            grant: None,
            readonly,
        })
    }

    fn end_side(&mut self, side: Side) {
        match side.grant {
            Some((granter, reference)) => {
                self.end_use(granter, reference, side.readonly, side.hold)
            }
            None => self.let_go(side.hold),
        }
    }

    fn copy_sides(&mut self, args: &Copy, source: &Side, dest: &Side) -> Outcome<()> {
        let length = u64::from(args.len);
        let inside = |side: &Side, offset: u16| {
            let offset = u64::from(offset);
            if offset + length > PAGE_SIZE {
                return Err(Failed(status::BAD_COPY_ARG));
            }
            if offset < side.start || offset + length > side.start + side.length {
                return Err(GENERAL);
            }
            Ok(side.mfn.address() + offset)
        };
        let from = inside(source, args.source.offset)?;
        let to = inside(dest, args.dest.offset)?;
        let mut bytes = [0; 512];
        let mut done = 0;
        // By way of a buffer, so that frames that overlap do no harm to anybody but their guests.
        while done < length {
            let now = bytes.len().min((length - done) as usize);
            self.platform.read(from + done, &mut bytes[..now]);
            self.platform.write(to + done, &bytes[..now]);
            done += now as u64;
        }
        Ok(())
    }
}
