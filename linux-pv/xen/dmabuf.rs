// SPDX-License-Identifier: GPL-2.0

//! Other drivers' buffers (`struct dma_buf`), granted to another domain.

mod lent;
mod retired;

pub use lent::LentBuffer;
pub(crate) use retired::Retired;
