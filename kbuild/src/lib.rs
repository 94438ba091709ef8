// SPDX-License-Identifier: GPL-2.0

//! Everything that has to exist before a virtual machine can boot: the build sandbox, the packages of a
//! distribution's kernel, that kernel's Rust metadata, our modules, and images.
//!
//! What lives here: preparing and caching. What does not: starting QEMU and judging what happens in a guest
//! (crate `vmtest`), and parsing the command line (crate `xtask`).
//!
//! Start reading at [`Session`], which every part takes, then [`Sandbox`].

pub mod accel;
pub mod apt;
mod binary;
pub mod bootstrap;
pub mod branches;
pub mod cache;
mod carried;
pub mod config;
pub mod counter;
mod deb;
mod depmod;
pub mod diagnostics;
pub mod digest;
pub mod docs;
pub mod fsutil;
pub mod guide;
pub mod host;
pub mod hypervisor;
pub mod image;
pub mod intake;
pub mod kconfig;
pub mod kernel;
mod kernel_packages;
pub mod mirror;
pub mod modules;
pub mod overlay;
pub mod own;
pub mod packages;
pub mod packaging;
pub mod process;
pub mod resolve;
pub mod sandbox;
mod sandbox_cargo;
pub mod session;
mod source;
mod stage;
pub mod suite;
pub mod symbols;
pub mod ui;
pub mod version;

pub use bootstrap::Bootstrap;
pub use cache::{Cache, CacheEntry};
pub use carried::CarriedSources;
pub use digest::Digest;
pub use hypervisor::Hypervisor;
pub use image::Images;
pub use kernel::Kernel;
pub use modules::Modules;
pub use sandbox::{Sandbox, SandboxCommand};
pub use session::Session;
pub use ui::{Step, Ui};
