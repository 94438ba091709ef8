// SPDX-License-Identifier: GPL-2.0

//! What a device is to receive besides packets to its own address.

use xen_bindings as b;

use super::{Device, Operations, ETH_ALEN};

/// An Ethernet address.
pub type Address = [u8; ETH_ALEN];

/// What a device is to receive, as it is when [`Operations::set_rx_mode`] is called.
pub struct RxMode<'a> {
    all_multicast: bool,
    groups: &'a b::netdev_hw_addr_list,
}

impl<'a> RxMode<'a> {
    /// # Safety
    ///
    /// `groups` is a list of addresses that nobody changes for `'a`.
    pub(super) unsafe fn new<T: Operations>(
        dev: &Device<T>,
        groups: *const b::netdev_hw_addr_list,
    ) -> Self {
        Self {
            // SAFETY: The device is valid.
            all_multicast: unsafe { b::xen_rs_netdev_wants_all_multicast(dev.as_ptr()) },
            // SAFETY: By the requirement of this function.
            groups: unsafe { &*groups },
        }
    }

    /// Packets to all groups are wanted, whatever the list says (`IFF_PROMISC`, `IFF_ALLMULTI`).
    pub fn all_multicast(&self) -> bool {
        self.all_multicast
    }

    /// The groups to which packets are wanted, if there are no more than `room` has entries.
    pub fn groups<'r>(&self, room: &'r mut [Address]) -> Option<&'r [Address]> {
        // SAFETY: The list stays as it is, and no more addresses are written than there is room for.
        let count =
            unsafe { b::xen_rs_hw_addrs(self.groups, room.as_mut_ptr(), room.len() as u32) };
        room.get(..count as usize)
    }
}
