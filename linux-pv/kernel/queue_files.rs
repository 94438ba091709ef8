// SPDX-License-Identifier: GPL-2.0

//! Files in debugfs for the queues of a device.

use kernel::{
    prelude::*,
    str::CString, //
};

use crate::debugfs::{
    File,
    Folder,
    Show, //
};

/// The files `queue0`, `queue1` and so on in a folder of debugfs. Dropping this removes them, after
/// waiting for readers.
pub struct QueueFiles<Q: Send + Sync + 'static> {
    _files: KVec<Pin<KBox<File<Q>>>>,
}

impl<Q: Send + Sync + 'static> QueueFiles<Q> {
    /// Makes a file in the folder for each of `queues`; `show` prints its content. May sleep.
    pub fn new(
        folder: impl Fn() -> Result<Folder>,
        queues: impl Iterator<Item = Q>,
        show: Show<Q>,
    ) -> Result<Self> {
        let mut files = KVec::new();
        for (index, queue) in queues.enumerate() {
            let name = CString::try_from_fmt(fmt!("queue{}", index))?;
            let file = KBox::pin_init(File::new(folder()?, &name, queue, show), GFP_KERNEL)?;
            files.push(file, GFP_KERNEL)?;
        }
        Ok(Self { _files: files })
    }
}
