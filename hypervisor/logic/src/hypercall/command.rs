// SPDX-License-Identifier: GPL-2.0

//! The common form of `domctl`, `sysctl` and `platform_op`: a header with the interface's version and the command, and
//! behind it the command's own argument.

use super::Reply;
use crate::error::{Errno, Result};
use crate::mem::access::NativeStructures;
use crate::mem::frames::DomId;
use crate::system::{Caller, Platform};
use core::mem::offset_of;
use xen_abi::{domctl, platform, sysctl};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// The header of one of these hypercalls.
pub(super) trait Header: FromBytes + IntoBytes {
    /// The interface version that is served.
    const VERSION: u32;
    /// Offset of the command's own argument.
    const ARGUMENT: usize;
    /// Which command it is.
    fn command(&self) -> u32;
    /// The interface version of the caller.
    fn version(&self) -> u32;
    /// The bytes of the union of all commands' arguments.
    fn argument(&self) -> &[u8];
}

macro_rules! headers {
    ($($family:ident),*) => {
        $(impl Header for $family::Header {
            const VERSION: u32 = $family::INTERFACE_VERSION;
            const ARGUMENT: usize = offset_of!(Self, u);

            fn command(&self) -> u32 {
                self.cmd
            }

            fn version(&self) -> u32 {
                self.interface_version
            }

            fn argument(&self) -> &[u8] {
                self.u.as_bytes()
            }
        })*
    };
}

headers!(domctl, platform, sysctl);

/// A command that the caller is allowed to make.
pub(super) struct Command<H> {
    pub(super) header: H,
    at: u64,
}

impl<H: Header> Command<H> {
    /// Copies a command's header and arguments from the guest.
    ///
    /// # Errors
    ///
    /// [`Errno::EACCES`] for another version, [`Errno::EPERM`] for another caller than dom0.
    pub(super) fn copy_from_guest<P: Platform>(
        caller: &mut Caller<'_, P>,
        at: u64,
    ) -> Result<Self> {
        let header: H = caller.copy_from_guest(at)?;
        caller.system.hypercall_counts.command = header.command();
        if header.version() != H::VERSION {
            return Err(Errno::EACCES);
        }
        if !caller.is_privileged() {
            return Err(Errno::EPERM);
        }
        Ok(Self { header, at })
    }

    /// The command's own argument.
    pub(super) fn argument<T: FromBytes + IntoBytes>(&self) -> T {
        let mut value = T::new_zeroed();
        let length = size_of::<T>();
        value
            .as_mut_bytes()
            .copy_from_slice(&self.header.argument()[..length]);
        value
    }

    /// Copies the command's argument back to the guest; the rest of the union stays as it was.
    pub(super) fn copyback<P: Platform, T: IntoBytes + Immutable>(
        &self,
        caller: &mut Caller<'_, P>,
        value: &T,
    ) -> Result<Reply> {
        let at = self
            .at
            .checked_add(H::ARGUMENT as u64)
            .ok_or(Errno::EFAULT)?;
        caller.copy_to_guest(at, value)?;
        Ok(Reply::Value(0))
    }
}

impl Command<domctl::Header> {
    /// Copies the number of the domain that the command has made back to the guest.
    pub(super) fn copyback_domain<P: Platform>(
        &self,
        caller: &mut Caller<'_, P>,
        id: DomId,
    ) -> Result<()> {
        let offset = offset_of!(domctl::Header, domain) as u64;
        let at = self.at.checked_add(offset).ok_or(Errno::EFAULT)?;
        caller.copy_to_guest(at, &id)
    }
}
