// SPDX-License-Identifier: GPL-2.0

//! Receive-side scaling: the hash that selects a receive queue.

use xen_bindings as b;

/// Sizes of the key of the Toeplitz hash and of the RSS indirection table; 0 if the device does not
/// support RSS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RssSize {
    /// Size of the key in bytes.
    pub key: u32,
    /// Number of entries of the table.
    pub table: u32,
}

/// Key and RSS indirection table, to be filled in. A slice is empty if it is not requested.
pub struct Rss<'a> {
    /// The key, of [`RssSize::key`] bytes.
    pub key: &'a mut [u8],
    /// The queue for each value of the hash modulo the length of the table, [`RssSize::table`].
    pub table: &'a mut [u32],
}

/// Changes of key and RSS indirection table.
pub struct RssChange<'a> {
    /// The new key.
    pub key: Option<&'a [u8]>,
    /// The new table, of queues in use.
    pub table: Option<&'a [u32]>,
}

/// The first bytes of the machine's random key, which is the same for all devices. At most
/// `NETDEV_RSS_KEY_LEN` bytes, which is checked at compile time. May sleep.
pub fn random_rss_key<const LEN: usize>() -> [u8; LEN] {
    const {
        assert!(
            LEN <= b::XEN_RS_MAX_RSS_KEY_LEN,
            "the kernel's RSS key is shorter"
        )
    };
    let mut key = [0; LEN];
    // SAFETY: The array is valid for writes of its length, which is within the limit of the
    // function, a `BUG_ON`.
    unsafe { b::netdev_rss_key_fill(key.as_mut_ptr().cast(), LEN) };
    key
}
