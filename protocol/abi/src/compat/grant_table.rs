// SPDX-License-Identifier: GPL-2.0

//! Arguments of `grant_table_op` as 32-bit code has them: those of [`crate::grant_table::op`] that differ. The table
//! itself is the same.

use super::convert::{compat_struct, converted};
use crate::grant_table::op as native;
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

compat_struct! {
    /// [`native::SetupTable`].
    SetupTable {
        /// Whose.
        dom: u16,
        /// Zero.
        pad0: u16,
        /// How many frames the table shall have.
        nr_frames: u32,
        /// See [`crate::grant_table::status`].
        status: i16,
        /// Zero.
        pad1: u16,
        /// Address of the array that gets the frame numbers, 4 bytes each.
        frame_list: u32,
    }
}

compat_struct! {
    /// [`native::CopyPtr`].
    CopyPtr {
        /// A frame number or a grant reference.
        frame_or_gref: u32,
        /// The domain that owns the frame or made the grant.
        domid: u16,
        /// Offset in the frame, in bytes.
        offset: u16,
    }
}

compat_struct! {
    /// [`struct@native::Copy`].
    Copy {
        /// From where.
        source: CopyPtr,
        /// Where to.
        dest: CopyPtr,
        /// Bytes.
        len: u16,
        /// See [`native::copy_flag`].
        flags: u16,
        /// See [`crate::grant_table::status`].
        status: i16,
        /// Zero.
        pad: u16,
    }
}

converted! {
    native::SetupTable => SetupTable { dom, nr_frames, status, frame_list, }
    native::CopyPtr => CopyPtr { frame_or_gref, domid, offset, }
    native::Copy => Copy { source, dest, len, flags, status, }
}
