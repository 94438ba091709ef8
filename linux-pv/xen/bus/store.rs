// SPDX-License-Identifier: GPL-2.0

//! Keys in one folder of the xenstore.
//!
//! All of this asks xenstored and waits for it, so it may sleep. What is read was written by the
//! other end or the toolstack, and is parsed strictly.

use core::{
    marker::PhantomData,
    ptr::{
        self,
        NonNull, //
    },
};

use kernel::{
    error::{
        from_err_ptr,
        to_result, //
    },
    fmt,
    prelude::*,
    str::CString, //
};

use xen_bindings as bindings;

use super::{
    path::check_length,
    FromStore,
    Path,
    Problem,
    StoreError,
    Transaction,
    Value, //
};

/// One folder of the xenstore, perhaps as seen and changed by a transaction.
#[derive(Clone, Copy)]
pub struct Dir<'a> {
    path: &'a CStr,
    transaction: u32,
    _transaction: PhantomData<&'a Transaction>,
}

impl<'a> Dir<'a> {
    /// The folder at an absolute path, or at one relative to this domain's own folder.
    pub fn new(path: &'a CStr) -> Self {
        Self {
            path,
            transaction: 0,
            _transaction: PhantomData,
        }
    }

    /// The same folder within a transaction.
    pub fn within<'b>(self, transaction: &'b Transaction) -> Dir<'b>
    where
        'a: 'b,
    {
        Dir {
            path: self.path,
            transaction: transaction.id(),
            _transaction: PhantomData,
        }
    }

    /// The folder's path.
    pub fn path(&self) -> &'a CStr {
        self.path
    }

    /// The path of a folder or key in this one.
    pub fn join(&self, key: &CStr) -> Result<Path, StoreError> {
        Path::join(self.path, key).map_err(|e| StoreError::from_errno(e, key))
    }

    /// Reads a key.
    pub fn read<T: FromStore>(&self, key: &CStr) -> Result<T, StoreError> {
        let value = self.read_value(key)?;
        T::from_store(value.as_bytes()).ok_or_else(|| StoreError::new(Problem::Malformed, key))
    }

    /// Reads a key that may be missing.
    pub fn read_opt<T: FromStore>(&self, key: &CStr) -> Result<Option<T>, StoreError> {
        match self.read(key) {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads a key that says what the other end can do, and takes `default` if it is missing or
    /// makes no sense (`xenbus_read_unsigned`).
    pub fn read_or<T: FromStore>(&self, key: &CStr, default: T) -> T {
        self.read(key).unwrap_or(default)
    }

    /// Reads the bytes of a key.
    pub fn read_value(&self, key: &CStr) -> Result<Value, StoreError> {
        let (dir, key_ptr) = self.checked(key)?;
        let mut len = 0;
        // SAFETY: Both strings are valid and end with a zero; `len` is a local for the result.
        let bytes = unsafe { bindings::xenbus_read(self.raw(), dir, key_ptr, &mut len) };
        let bytes = from_err_ptr(bytes).map_err(|e| StoreError::from_errno(e, key))?;
        let bytes = NonNull::new(bytes.cast::<u8>())
            .ok_or_else(|| StoreError::new(Problem::Store(ENOMEM), key))?;
        // SAFETY: The call returned memory of at least `len` bytes for the caller to free.
        Ok(unsafe { Value::from_raw(bytes, len as usize) })
    }

    /// The value of a key, if it can be read: for the parsers of what other ends offer, in
    /// `xen_ring`.
    pub fn lookup(&self, key: &str) -> Option<Value> {
        let key = CString::try_from_fmt(fmt!("{}", key)).ok()?;
        self.read_value(&key).ok()
    }

    /// Whether there is such a key or folder.
    pub fn exists(&self, key: &CStr) -> Result<bool, StoreError> {
        let (dir, key_ptr) = self.checked(key)?;
        // SAFETY: Both strings are valid and end with a zero.
        Ok(unsafe { bindings::xenbus_exists(self.raw(), dir, key_ptr) } != 0)
    }

    /// Writes a key: `dir.write(c"ring-ref", fmt!("{}", number))?`.
    pub fn write(&self, key: &CStr, value: fmt::Arguments<'_>) -> Result<(), StoreError> {
        let (dir, key_ptr) = self.checked(key)?;
        // SAFETY: The strings are valid and end with a zero; `%pA` is the kernel's conversion for a
        // pointer to `fmt::Arguments`, which is what it gets.
        let status = unsafe {
            bindings::xenbus_printf(
                self.raw(),
                dir,
                key_ptr,
                c"%pA".as_char_ptr(),
                ptr::from_ref(&value).cast::<kernel::ffi::c_void>(),
            )
        };
        to_result(status).map_err(|e| StoreError::from_errno(e, key))
    }

    /// Removes a key, or a folder with all that is in it. It need not exist.
    pub fn remove(&self, key: &CStr) -> Result<(), StoreError> {
        let (dir, key_ptr) = self.checked(key)?;
        // SAFETY: Both strings are valid and end with a zero.
        let status = unsafe { bindings::xenbus_rm(self.raw(), dir, key_ptr) };
        match to_result(status) {
            Err(e) if e != ENOENT => Err(StoreError::from_errno(e, key)),
            _ => Ok(()),
        }
    }

    fn raw(&self) -> bindings::xenbus_transaction {
        bindings::xenbus_transaction {
            id: self.transaction,
        }
    }

    fn checked(
        &self,
        key: &CStr,
    ) -> Result<(*const kernel::ffi::c_char, *const kernel::ffi::c_char), StoreError> {
        check_length(self.path, key).map_err(|e| StoreError::from_errno(e, key))?;
        Ok((self.path.as_char_ptr(), key.as_char_ptr()))
    }
}
