// SPDX-License-Identifier: GPL-2.0

//! The guest's half: to grant a page, to read what was granted, and to revoke the grant.

use crate::entry::{self, GrantTable, STATUS_BITS};
use crate::Version;
use core::fmt;
use xen_abi::grant_table::flag;
use xen_shared::SharedWord;

/// Attempts at a revoke of version 1 while the hypervisor changes the flags. It changes them when a
/// use begins or ends, and a use that has begun ends the revoke.
pub const MAX_ATTEMPTS: u32 = 8;

/// What the other domain may do with a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read and write it.
    ReadWrite,
    /// Read it.
    ReadOnly,
}

impl Access {
    #[inline]
    const fn flags(self) -> u16 {
        match self {
            Self::ReadWrite => flag::PERMIT_ACCESS,
            Self::ReadOnly => flag::PERMIT_ACCESS | flag::READONLY,
        }
    }
}

/// Why a page is not granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantError {
    /// The table has no such reference.
    NoEntry,
    /// The frame's number has more than 32 bits, which an entry of version 1 has no room for.
    FrameTooBig,
}

impl fmt::Display for GrantError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoEntry => "the grant table has no such reference",
            Self::FrameTooBig => "the frame number needs grant table version 2",
        })
    }
}

impl core::error::Error for GrantError {}

/// The other domain uses the page: it stays granted, and must not be used for anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InUse;

impl fmt::Display for InUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the grant is still in use")
    }
}

impl core::error::Error for InUse {}

/// Grants a frame to a domain. The reference is this caller's and grants nothing yet.
///
/// The type is written last, so that the hypervisor sees the entry whole or not at all.
///
/// # Errors
///
/// [`GrantError`]; nothing is granted then.
#[inline]
pub fn grant(
    table: &impl GrantTable,
    reference: u32,
    to: u16,
    frame: u64,
    access: Access,
) -> Result<(), GrantError> {
    let domid = entry::domid(table, reference).ok_or(GrantError::NoEntry)?;
    let flags = entry::flags(table, reference).ok_or(GrantError::NoEntry)?;
    match table.version() {
        Version::V1 => {
            let frame = u32::try_from(frame).map_err(|_| GrantError::FrameTooBig)?;
            let word = entry::frame_v1(table, reference).ok_or(GrantError::NoEntry)?;
            word.store(frame);
        }
        Version::V2 => {
            let word = entry::frame_v2(table, reference).ok_or(GrantError::NoEntry)?;
            word.store(frame);
        }
    }
    domid.store(to);
    flags.store(access.flags());
    Ok(())
}

/// What an entry grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The domain that may use the frame.
    pub to: u16,
    /// The frame.
    pub frame: u64,
    /// What it may do.
    pub access: Access,
    /// Whether it does.
    pub is_used: bool,
}

/// Reads an entry; `None` if there is none, or it grants no frame. In version 2 that is also so after
/// a revoke that has failed: [`granted_to`] and [`frame`] still tell then.
pub fn read(table: &impl GrantTable, reference: u32) -> Option<Grant> {
    let flags = entry::flags(table, reference)?.load();
    if flags & flag::TYPE_MASK != flag::PERMIT_ACCESS {
        return None;
    }
    Some(Grant {
        to: granted_to(table, reference)?,
        frame: frame(table, reference)?,
        access: match flags & flag::READONLY {
            0 => Access::ReadWrite,
            _ => Access::ReadOnly,
        },
        is_used: entry::status(table, reference)?.load() & STATUS_BITS != 0,
    })
}

/// The domain in an entry, whether it grants something or has done so.
pub fn granted_to(table: &impl GrantTable, reference: u32) -> Option<u16> {
    Some(entry::domid(table, reference)?.load())
}

/// The frame in an entry, whether it grants it or has done so.
pub fn frame(table: &impl GrantTable, reference: u32) -> Option<u64> {
    Some(match table.version() {
        Version::V1 => entry::frame_v1(table, reference)?.load().into(),
        Version::V2 => entry::frame_v2(table, reference)?.load(),
    })
}

/// Revokes a grant. If that succeeds, no domain uses the page or can begin to, and the reference is
/// free to be used again.
///
/// There is no way to ask first: between question and revoke the other domain could map the page.
///
/// # Errors
///
/// [`InUse`] if the other domain uses the page, or if the entry keeps changing. In version 1 the
/// grant stays as it was. In version 2 no new use can begin, and the revoke is tried again.
#[inline]
pub fn revoke(table: &impl GrantTable, reference: u32) -> Result<(), InUse> {
    match table.version() {
        Version::V1 => revoke_v1(table, reference),
        Version::V2 => revoke_v2(table, reference),
    }
}

/// Status bits and type are one word: it is cleared only as long as it shows no use.
#[inline]
fn revoke_v1(table: &impl GrantTable, reference: u32) -> Result<(), InUse> {
    let flags = entry::flags(table, reference).ok_or(InUse)?;
    let mut old = flags.load();
    for _ in 0..MAX_ATTEMPTS {
        if old & STATUS_BITS != 0 {
            return Err(InUse);
        }
        match flags.compare_exchange(old, flag::INVALID) {
            Ok(_) => return Ok(()),
            Err(now) => old = now,
        }
    }
    Err(InUse)
}

/// The type is cleared first, then the status looked at. The hypervisor sets the status first and
/// looks at the type again then, so that one of the two sees the other.
#[inline]
fn revoke_v2(table: &impl GrantTable, reference: u32) -> Result<(), InUse> {
    let flags = entry::flags(table, reference).ok_or(InUse)?;
    let status = table.status_u16(reference).ok_or(InUse)?;
    // A full barrier: the status is read behind it. Reading it is an acquire: what the other domain
    // has written is visible.
    flags.swap(flag::INVALID);
    match status.load() & STATUS_BITS {
        0 => Ok(()),
        _ => Err(InUse),
    }
}
