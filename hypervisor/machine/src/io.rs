// SPDX-License-Identifier: GPL-2.0

//! What a domain sees of the machine: its interrupt controllers, the ports and registers it shares, PCI.

pub mod decode;
pub mod msi;
pub mod pci;
pub mod ports;
