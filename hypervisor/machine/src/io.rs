// SPDX-License-Identifier: GPL-2.0

//! Devices of the machine as dom0 accesses them: ports, PCI, interrupt vectors.

pub mod decode;
pub mod pci;
pub mod ports;
pub mod vectors;
