// SPDX-License-Identifier: GPL-2.0

//! Several steps in the xenstore that others see all at once or not at all.

use core::mem::ManuallyDrop;

use kernel::{
    error::to_result,
    prelude::*, //
};

use xen_bindings as bindings;

/// How often a transaction that was overtaken by others is tried before giving up. Each try loses
/// to at least one that succeeded, so only a peer that keeps writing on purpose gets us there.
const TRIES: usize = 100;

/// An open transaction; dropping it aborts it.
///
/// While one is open the domain cannot be suspended, so keep it short.
///
/// # Invariants
///
/// `id` is an open transaction that only this ends.
#[must_use]
pub struct Transaction {
    id: u32,
}

impl Transaction {
    /// Opens a transaction. May sleep.
    pub fn begin() -> Result<Self> {
        let mut raw = bindings::xenbus_transaction::default();
        // SAFETY: `raw` is a local for the result.
        to_result(unsafe { bindings::xenbus_transaction_start(&mut raw) })?;
        // INVARIANT: Just opened.
        Ok(Self { id: raw.id })
    }

    /// Makes the steps take effect. May sleep.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if another client has changed what was read or written: do all steps again in a new
    /// transaction. After any error nothing has taken effect.
    pub fn commit(self) -> Result {
        let this = ManuallyDrop::new(self);
        // SAFETY: By the type invariant the transaction is open; it is not used afterwards.
        to_result(unsafe { bindings::xenbus_transaction_end(this.raw(), false) })
    }

    pub(super) fn id(&self) -> u32 {
        self.id
    }

    fn raw(&self) -> bindings::xenbus_transaction {
        bindings::xenbus_transaction { id: self.id }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the transaction is open. If it cannot be aborted, xenstored
        // forgets it with the connection; there is nothing else to do about it.
        unsafe { bindings::xenbus_transaction_end(self.raw(), true) };
    }
}

/// Runs `steps` in a transaction, again if it conflicts with another client's change, up to a
/// bound. An error of the steps aborts the transaction and is returned.
///
/// # Errors
///
/// Those of the steps and of xenstored; `EBUSY` if each try conflicted.
pub fn transact<T, E: From<Error>>(
    mut steps: impl FnMut(&Transaction) -> Result<T, E>,
) -> Result<T, E> {
    for _ in 0..TRIES {
        let transaction = Transaction::begin()?;
        let result = steps(&transaction)?;
        match transaction.commit() {
            Ok(()) => return Ok(result),
            Err(error) if error == EAGAIN => continue,
            Err(error) => return Err(error.into()),
        }
    }
    Err(EBUSY.into())
}
