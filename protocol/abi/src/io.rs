// SPDX-License-Identifier: GPL-2.0

//! The PV device protocols, `io/*.h`: what front and back ends write into shared pages and the
//! xenstore.

pub mod blkif;
pub mod console;
pub mod netif;
pub mod pciif;
pub mod protocols;
pub mod ring;
pub mod xenbus;
pub mod xs_wire;
