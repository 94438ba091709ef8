// SPDX-License-Identifier: GPL-2.0

//! The open files of a device file.

use core::ops::Deref;

use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    },
};

/// A list of open files, or of a part of each that is shown in debugfs.
#[pin_data]
pub struct FileList<T> {
    #[pin]
    files: Mutex<KVec<Arc<T>>>,
}

impl<T> FileList<T> {
    /// An empty list.
    pub fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            files <- new_mutex!(KVec::new(), "chardev::file_list"),
        })
    }

    /// Adds `file`, which is removed when the returned value is dropped. May sleep.
    pub fn add(list: Arc<Self>, file: Arc<T>) -> Result<ListedFile<T>> {
        list.files.lock().push(file.clone(), GFP_KERNEL)?;
        Ok(ListedFile { list, file })
    }

    /// Calls `f` for each file until it fails. No file is added or removed meanwhile. May sleep.
    pub fn each<E>(&self, mut f: impl FnMut(&T) -> Result<(), E>) -> Result<(), E> {
        self.files.lock().iter().try_for_each(|file| f(file))
    }
}

/// A file in a [`FileList`], from which it is removed on drop.
pub struct ListedFile<T> {
    list: Arc<FileList<T>>,
    file: Arc<T>,
}

impl<T> ListedFile<T> {
    /// The file in the list.
    pub fn as_arc(&self) -> &Arc<T> {
        &self.file
    }
}

impl<T> Deref for ListedFile<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.file
    }
}

impl<T> Drop for ListedFile<T> {
    fn drop(&mut self) {
        let mut files = self.list.files.lock();
        files.retain(|file| !Arc::ptr_eq(file, &self.file));
    }
}
