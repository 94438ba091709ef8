// SPDX-License-Identifier: GPL-2.0

//! Names of the machine ABIs for ring messages, `io/protocols.h`: values of the `protocol` key.

/// 32-bit x86, where 64-bit fields are aligned to four bytes.
pub const X86_32: &str = "x86_32-abi";
/// 64-bit x86.
pub const X86_64: &str = "x86_64-abi";
/// Arm, 32 and 64 bits.
pub const ARM: &str = "arm-abi";

/// The ABI this code is compiled for, which the structures of this crate have.
#[cfg(target_arch = "x86_64")]
pub const NATIVE: &str = X86_64;
/// The ABI this code is compiled for, which the structures of this crate have.
#[cfg(target_arch = "aarch64")]
pub const NATIVE: &str = ARM;
