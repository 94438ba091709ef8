//! Commands of the toolstack and of dom0's kernel (`domctl`, `sysctl`, `platform_op`): a header with the interface's version,
//! and behind it the command's own argument.

use super::Reply;
use crate::error::{Errno, Result};
use crate::mem::access::GuestMemory;
use crate::system::{Caller, Platform};
use core::mem::offset_of;
use xen_abi::{domctl, platform, sysctl};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// What stands before the arguments of one hypercall's commands.
pub(super) trait Header: FromBytes + IntoBytes {
    /// The version that is served.
    const VERSION: u32;
    /// Where the command's own argument begins.
    const PART: usize;
    /// The version that is asked for.
    fn version(&self) -> u32;
    /// The bytes of the command's own argument, and what is behind it.
    fn part(&self) -> &[u8];
}

macro_rules! headers {
    ($($family:ident),*) => {
        $(impl Header for $family::Header {
            const VERSION: u32 = $family::INTERFACE_VERSION;
            const PART: usize = offset_of!(Self, u);

            fn version(&self) -> u32 {
                self.interface_version
            }

            fn part(&self) -> &[u8] {
                self.u.as_bytes()
            }
        })*
    };
}

headers!(domctl, platform, sysctl);

/// A command that its caller may give.
pub(super) struct Command<H> {
    pub(super) header: H,
    at: u64,
}

impl<H: Header> Command<H> {
    /// Copies it in.
    ///
    /// # Errors
    ///
    /// [`Errno::EACCES`] for another version, [`Errno::EPERM`] for another caller than dom0.
    pub(super) fn read<P: Platform>(caller: &mut Caller<'_, P>, at: u64) -> Result<Self> {
        let header: H = caller.get(at)?;
        if header.version() != H::VERSION {
            return Err(Errno::EACCES);
        }
        if !caller.is_privileged() {
            return Err(Errno::EPERM);
        }
        Ok(Self { header, at })
    }

    /// The command's own argument.
    pub(super) fn part<T: FromBytes + IntoBytes>(&self) -> T {
        let mut value = T::new_zeroed();
        let length = size_of::<T>();
        value
            .as_mut_bytes()
            .copy_from_slice(&self.header.part()[..length]);
        value
    }

    /// Copies that out again; what is behind it in the caller's memory stays.
    pub(super) fn write_back<P: Platform, T: IntoBytes + Immutable>(
        &self,
        caller: &mut Caller<'_, P>,
        value: &T,
    ) -> Result<Reply> {
        let at = self.at.checked_add(H::PART as u64).ok_or(Errno::EFAULT)?;
        caller.put(at, value)?;
        Ok(Reply::Value(0))
    }
}
