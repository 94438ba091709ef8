// SPDX-License-Identifier: GPL-2.0

//! Hypercalls about fully virtualised domains, `hvm/*.h`.

pub mod dm_op;
