// SPDX-License-Identifier: GPL-2.0

//! In place of `dmabuf.rs` in a kernel without dma-bufs (`DMA_SHARED_BUFFER`): requests about them
//! are unknown.

use kernel::{
    prelude::*,
    sync::Arc, //
};
use xen::devfile::OpenedFile;

use crate::stats::Stats;

/// There is no device that buffers could be imported for.
#[derive(Clone)]
pub(crate) struct Device;

impl Device {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self)
    }
}

/// A file has no buffers.
pub(crate) struct Buffers;

impl Buffers {
    pub(crate) fn new(_device: Device, _stats: Arc<OpenedFile<Stats>>) -> Result<Self> {
        Ok(Self)
    }

    pub(crate) fn ioctl(&self, _request: u32, _argument: usize) -> Result {
        Err(ENOTTY)
    }
}
