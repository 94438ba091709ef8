// SPDX-License-Identifier: GPL-2.0

//! Shared rings.
#![no_std]
#![forbid(unsafe_code)]
