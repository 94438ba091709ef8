// SPDX-License-Identifier: GPL-2.0

//! Virtual interrupt controllers: their registers and what is pending. The caller programs the real controllers and
//! sends to other vCPUs.

pub mod vioapic;
pub mod vlapic;
