// SPDX-License-Identifier: GPL-2.0

//! Areas of a process's address space that show what is not the process's own memory; made from a
//! [`NewArea`](kernel_ext::vma::NewArea).
//!
//! | module | what it shows |
//! |---|---|
//! | [`foreign`] | frames of other domains |
//! | [`buffer`] | pages of this kernel, for a process's hypercalls |
//! | `granted` | other domains' grants |
//! | [`shared`] | pages of this kernel that another domain sees too |

pub mod buffer;
pub mod foreign;
#[cfg(CONFIG_MMU_NOTIFIER)]
pub mod granted;
pub mod shared;
