// SPDX-License-Identifier: GPL-2.0

//! Other drivers' buffers (`struct dma_buf`), granted to another domain.

mod lent;

pub use lent::LentBuffer;
