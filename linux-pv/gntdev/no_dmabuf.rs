// SPDX-License-Identifier: GPL-2.0

//! In a kernel that is built without buffers shared among drivers (`DMA_SHARED_BUFFER`) the requests about them are
//! unknown.

use kernel::prelude::*;
use kernel::sync::Arc;
use xen::devfile::OpenedFile;

use crate::stats::Stats;

/// What all files share: nothing.
#[derive(Clone)]
pub(crate) struct Device;

impl Device {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self)
    }
}

/// The buffers of a file: none.
pub(crate) struct Buffers;

impl Buffers {
    pub(crate) fn new(_device: Device, _stats: Arc<OpenedFile<Stats>>) -> Result<Self> {
        Ok(Self)
    }

    pub(crate) fn ioctl(&self, _request: u32, _argument: usize) -> Result {
        Err(ENOTTY)
    }
}
