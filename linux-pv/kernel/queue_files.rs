// SPDX-License-Identifier: GPL-2.0

//! A device's folder in debugfs with a file for each queue.

use kernel::debugfs::{Dir, File};
use kernel::fmt;
use kernel::prelude::*;
use kernel::str::CString;

/// The files `queue0`, `queue1` and so on in a folder of debugfs; they go when this is dropped, after whoever reads one
/// is done.
pub struct QueueFiles<Q: Send + Sync + 'static> {
    _files: KVec<Pin<KBox<File<Q>>>>,
    _dir: Dir,
}

impl<Q: Send + Sync + 'static> QueueFiles<Q> {
    /// Makes the folder and a file for each of `queues`, whose content `show` writes. May sleep.
    pub fn new<F>(
        folder: fmt::Arguments<'_>,
        queues: impl Iterator<Item = Q>,
        show: &'static F,
    ) -> Result<Self>
    where
        F: Fn(&Q, &mut fmt::Formatter<'_>) -> fmt::Result + Send + Sync,
    {
        let dir = Dir::new(&CString::try_from_fmt(folder)?);
        let mut files = KVec::new();
        for (index, queue) in queues.enumerate() {
            let name = CString::try_from_fmt(fmt!("queue{}", index))?;
            files.push(
                KBox::pin_init(
                    dir.read_callback_file(&name, Ok::<_, Error>(queue), show),
                    GFP_KERNEL,
                )?,
                GFP_KERNEL,
            )?;
        }
        Ok(Self {
            _files: files,
            _dir: dir,
        })
    }
}
