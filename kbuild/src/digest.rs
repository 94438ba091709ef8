// SPDX-License-Identifier: GPL-2.0

//! Cache keys: one SHA-256 over named parts.

use sha2::{Digest as _, Sha256};

/// Collects what a cache entry depends on and turns it into a key.
///
/// Names and values are length-prefixed, so two different lists of parts never give the same key by
/// running into each other.
#[derive(Clone, Default)]
pub struct Digest(Sha256);

impl Digest {
    /// Starts a key for one kind of entry; bump `version` when the recipe that makes the entry changes.
    pub fn new(kind: &str, version: u32) -> Self {
        Self(Sha256::new())
            .with("kind", kind)
            .with("recipe", version.to_string())
    }

    /// Adds one named part.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        for part in [name.as_bytes(), value.as_ref()] {
            self.0.update((part.len() as u64).to_le_bytes());
            self.0.update(part);
        }
        self
    }

    /// Adds every item of a list, in the list's order.
    #[must_use]
    pub fn with_all<T: AsRef<[u8]>>(self, name: &str, values: impl IntoIterator<Item = T>) -> Self {
        values
            .into_iter()
            .fold(self, |digest, value| digest.with(name, value))
    }

    /// The key: 16 hexadecimal digits, enough for a cache and short enough for a path.
    pub fn hex(&self) -> String {
        hex::encode(&self.0.clone().finalize()[..8])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other() {
        let one = Digest::new("t", 1).with("a", "bc").hex();
        let two = Digest::new("t", 1).with("ab", "c").hex();
        assert_ne!(one, two);
    }

    #[test]
    fn recipe_version_changes_the_key() {
        assert_ne!(Digest::new("t", 1).hex(), Digest::new("t", 2).hex());
        assert_eq!(Digest::new("t", 1).hex().len(), 16);
    }
}
