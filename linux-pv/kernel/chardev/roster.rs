// SPDX-License-Identifier: GPL-2.0

//! Who has a node open, and where that shows.

use kernel::debugfs::{Dir, File};
use kernel::fmt;
use kernel::new_mutex;
use kernel::prelude::*;
use kernel::sync::{Arc, Mutex};

/// The open files of a node, or what of them is to be shown.
#[pin_data]
pub struct Roster<T> {
    #[pin]
    files: Mutex<KVec<Arc<T>>>,
}

impl<T> Roster<T> {
    /// An empty one.
    pub fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            files <- new_mutex!(KVec::new(), "xen::roster"),
        })
    }

    /// Has `file` in it until the returned value is dropped. May sleep.
    pub fn enter(roster: Arc<Self>, file: Arc<T>) -> Result<Entry<T>> {
        roster.files.lock().push(file.clone(), GFP_KERNEL)?;
        Ok(Entry { roster, file })
    }

    /// Goes through the files. No file comes or goes meanwhile. May sleep.
    pub fn each<E>(&self, mut f: impl FnMut(&T) -> Result<(), E>) -> Result<(), E> {
        self.files.lock().iter().try_for_each(|file| f(file))
    }
}

/// A file's place in a [`Roster`].
pub struct Entry<T> {
    roster: Arc<Roster<T>>,
    file: Arc<T>,
}

impl<T> Drop for Entry<T> {
    fn drop(&mut self) {
        let mut files = self.roster.files.lock();
        files.retain(|file| !Arc::ptr_eq(file, &self.file));
    }
}

/// The file `files` in a folder of debugfs. It goes when this is dropped, after whoever reads it is done.
pub struct Listing<S: Send + Sync + 'static> {
    _file: Pin<KBox<File<Arc<S>>>>,
    _dir: Dir,
}

impl<S: Send + Sync + 'static> Listing<S> {
    /// Makes it; `show` writes its content from `shown`, a [`Roster`] or what has one. May sleep.
    pub fn new<F>(folder: &CStr, shown: Arc<S>, show: &'static F) -> Result<Self>
    where
        F: Fn(&Arc<S>, &mut fmt::Formatter<'_>) -> fmt::Result + Send + Sync,
    {
        let dir = Dir::new(folder);
        let content = Ok::<_, Error>(shown);
        let file = KBox::pin_init(dir.read_callback_file(c"files", content, show), GFP_KERNEL)?;
        Ok(Self {
            _file: file,
            _dir: dir,
        })
    }
}
