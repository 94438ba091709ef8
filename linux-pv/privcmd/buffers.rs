// SPDX-License-Identifier: GPL-2.0

//! `/dev/xen/hypercall`: memory for hypercalls' arguments, which a program maps and fills.

use kernel::prelude::*;
use kernel::sync::Arc;
use kernel_ext::chardev::{OpenFile, Opener};
use kernel_ext::vma::NewArea;
use xen::vma::buffer;

/// An open file. What is mapped from it lives on its own.
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
