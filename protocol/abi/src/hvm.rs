// SPDX-License-Identifier: GPL-2.0

//! Hypercalls about fully virtualised domains, `hvm/*.h`, and what their device models share with the hypervisor.

pub mod dm_op;
pub mod hvm_op;
pub mod ioreq;
pub mod params;
pub mod save;
pub mod start_info;
pub mod vcpu;
