// SPDX-License-Identifier: GPL-2.0

//! The interrupt controllers a guest sees: their registers and what is pending. Real controllers and other vCPUs are
//! the caller's.

pub mod vioapic;
pub mod vlapic;
