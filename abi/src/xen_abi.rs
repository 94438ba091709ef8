// SPDX-License-Identifier: GPL-2.0

//! Xen public ABI.
#![no_std]
#![forbid(unsafe_code)]
