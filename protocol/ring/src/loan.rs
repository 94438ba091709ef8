// SPDX-License-Identifier: GPL-2.0

//! Memory that has an owner and is lent to another domain by grants.
//!
//! The owner of a request's or packet's pages uses them again as soon as it gets them back. So it
//! must not get them before the other domain's access has ended (XSA-396): a [`Loan`] has both, the
//! access and the owner's handle, and gives the handle back only with the end of the access. If the
//! other domain still has the page mapped when the loan is dropped, the loan is retired: it goes to
//! a [`RetiredList`], and ending it is tried again until it succeeds.
//!
//! What does not live here: grant references, and what tries again (crate `xen`).

use core::mem;

/// A grant that gives another domain access to a page. `O` is what the owners of lent pages are.
pub trait Revocable<O>: Sized {
    /// Ends the access, or returns the grant as it was if the other domain has the page mapped. Any
    /// context.
    fn try_end(self) -> Result<(), Self>;

    /// Keeps a loan whose grant could not be ended, and tries again later. Any context.
    fn retire(loan: Loan<Self, O>);
}

/// A page that is lent, with the handle of its owner: dropping the handle gives the page back.
///
/// Dropping the loan ends the access and drops the handle, or retires the loan.
pub struct Loan<G: Revocable<O>, O>(
    /// None while it is being taken apart.
    Option<(G, O)>,
);

impl<G: Revocable<O>, O> Loan<G, O> {
    /// `grant` is of a page that stays where it is as long as `owner` exists.
    #[inline]
    pub fn new(grant: G, owner: O) -> Self {
        Self(Some((grant, owner)))
    }

    /// The grant.
    #[inline]
    pub fn grant(&self) -> Option<&G> {
        self.0.as_ref().map(|(grant, _)| grant)
    }

    /// The owner's handle.
    #[inline]
    pub fn owner(&self) -> Option<&O> {
        self.0.as_ref().map(|(_, owner)| owner)
    }

    /// Ends the access by `end`, and returns what that returns with the owner's handle; or returns
    /// the loan as it was, if `end` gives the grant back.
    #[inline]
    pub fn end_by<E>(mut self, end: impl FnOnce(G) -> Result<E, G>) -> Result<(E, O), Self> {
        let Some((grant, owner)) = self.0.take() else {
            return Err(self);
        };
        match end(grant) {
            Ok(ended) => Ok((ended, owner)),
            Err(grant) => {
                self.0 = Some((grant, owner));
                Err(self)
            }
        }
    }
}

impl<G: Revocable<O>, O> Loan<G, O> {
    /// Ends the access and drops the owner's handle, if the page is not mapped. True if that is
    /// done; the loan is empty then.
    pub fn try_end(&mut self) -> bool {
        let Some((grant, owner)) = self.0.take() else {
            return true;
        };
        match grant.try_end() {
            Ok(()) => true,
            Err(grant) => {
                self.0 = Some((grant, owner));
                false
            }
        }
    }
}

impl<G: Revocable<O>, O> Drop for Loan<G, O> {
    #[inline]
    fn drop(&mut self) {
        if !self.try_end() {
            G::retire(Self(self.0.take()));
        }
    }
}

/// A retired loan in memory of its own, with a link to the next one: an implementation is a box.
pub trait RetiredEntry: Sized {
    /// The link.
    fn next(&mut self) -> &mut Option<Self>;

    /// Ends what can be ended of the access. True if nothing is left of it, and the loan may be
    /// dropped. Any context.
    fn try_end(&mut self) -> bool;
}

/// Retired loans. Belongs under a lock.
pub struct RetiredList<E: RetiredEntry>(Option<E>);

impl<E: RetiredEntry> RetiredList<E> {
    /// An empty list.
    pub const fn new() -> Self {
        Self(None)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Puts a loan in.
    pub fn push(&mut self, mut entry: E) {
        *entry.next() = self.0.take();
        self.0 = Some(entry);
    }

    /// Takes a loan out.
    pub fn pop(&mut self) -> Option<E> {
        let mut entry = self.0.take()?;
        self.0 = entry.next().take();
        Some(entry)
    }

    /// Takes all of them out.
    pub fn take(&mut self) -> Self {
        mem::take(self)
    }

    /// Ends what can be ended, drops the loans of which nothing is left, and returns the others.
    /// Runs code of the owners, so no lock should be held.
    pub fn try_end(mut self) -> Self {
        let mut left = Self::new();
        while let Some(mut entry) = self.pop() {
            if !entry.try_end() {
                left.push(entry);
            }
        }
        left
    }

    /// Takes over the loans of another list.
    pub fn append(&mut self, mut other: Self) {
        while let Some(entry) = other.pop() {
            self.push(entry);
        }
    }
}

impl<E: RetiredEntry> Default for RetiredList<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E: RetiredEntry> Drop for RetiredList<E> {
    /// One by one: links that drop each other would take as much stack as there are loans.
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}
