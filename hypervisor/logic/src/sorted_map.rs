// SPDX-License-Identifier: GPL-2.0

//! A map in a sorted array. Unlike the standard library's maps it says when there is no memory for another entry.

use crate::error::{Errno, Result};
use alloc::vec::Vec;

/// A map from keys to values, for look-ups that are more frequent than changes.
#[derive(Debug)]
pub struct SortedMap<K, V> {
    entries: Vec<(K, V)>,
}

impl<K, V> Default for SortedMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> SortedMap<K, V> {
    /// Without entries.
    pub const fn new() -> Self {
        Self {
            entries: Vec::new(),
        }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The values, by rising keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.entries.iter().map(|(_, value)| value)
    }

    /// The values, by rising keys, mutably.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.entries.iter_mut().map(|(_, value)| value)
    }
}

impl<K: Ord + Copy, V> SortedMap<K, V> {
    fn index(&self, key: &K) -> core::result::Result<usize, usize> {
        self.entries.binary_search_by_key(key, |(key, _)| *key)
    }

    /// The keys, rising.
    pub fn keys(&self) -> impl Iterator<Item = K> {
        self.entries.iter().map(|(key, _)| *key)
    }

    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        let index = self.index(key).ok()?;
        self.entries.get(index).map(|(_, value)| value)
    }

    /// The value of a key, mutably.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let index = self.index(key).ok()?;
        self.entries.get_mut(index).map(|(_, value)| value)
    }

    /// Inserts an entry.
    ///
    /// # Errors
    ///
    /// [`Errno::EEXIST`] if there is one with this key, [`Errno::ENOMEM`]. The value is dropped then.
    pub fn try_insert(&mut self, key: K, value: V) -> Result<()> {
        let index = self.index(&key).err().ok_or(Errno::EEXIST)?;
        self.entries.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        self.entries.insert(index, (key, value));
        Ok(())
    }

    /// Removes an entry. Returns its value.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let index = self.index(key).ok()?;
        Some(self.entries.remove(index).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn it_holds_what_the_standard_librarys_map_holds(
            changes in prop::collection::vec((0u8..8, any::<Option<u16>>()), 0..64),
        ) {
            let (mut map, mut model) = (SortedMap::new(), BTreeMap::new());
            for (key, value) in changes {
                match value {
                    Some(value) => {
                        let expected = match model.contains_key(&key) {
                            true => Err(Errno::EEXIST),
                            false => Ok(()),
                        };
                        prop_assert_eq!(map.try_insert(key, value), expected);
                        model.entry(key).or_insert(value);
                    }
                    None => prop_assert_eq!(map.remove(&key), model.remove(&key)),
                }
                prop_assert!(map.keys().eq(model.keys().copied()));
                prop_assert!(map.values().eq(model.values()));
                prop_assert!(map.values_mut().eq(model.values_mut()));
                prop_assert_eq!(map.get(&key), model.get(&key));
                prop_assert_eq!(map.get_mut(&key), model.get_mut(&key));
                prop_assert_eq!((map.len(), map.is_empty()), (model.len(), model.is_empty()));
            }
        }
    }
}
