// SPDX-License-Identifier: GPL-2.0

//! `/dev/xen/hypercall`: memory for the arguments of hypercalls, which a process maps and fills.

use kernel::{
    prelude::*,
    sync::Arc, //
};
use kernel_ext::{
    chardev::{
        OpenFile,
        Opener, //
    },
    vma::NewArea, //
};
use xen::vma::buffer;

/// An open file. Memory that is mapped from it does not depend on it.
pub(crate) struct Buffers;

#[vtable]
impl OpenFile for Buffers {
    type Shared = ();

    fn open(_shared: Arc<()>, _opener: Opener) -> Result<Pin<KBox<Self>>> {
        Ok(KBox::pin(Self, GFP_KERNEL)?)
    }

    fn mmap(&self, area: NewArea<'_>) -> Result {
        buffer::fill(area)
    }
}
