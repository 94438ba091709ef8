// SPDX-License-Identifier: GPL-2.0

//! Which packets a device receives in addition to those to its own address.

use xen_bindings as b;

use super::{
    Device,
    Operations,
    ETH_ALEN, //
};

/// An Ethernet address.
pub type Address = [u8; ETH_ALEN];

/// Which packets a device is to receive, when [`Operations::set_rx_mode`] is called.
pub struct RxMode<'a> {
    all_multicast: bool,
    groups: &'a b::netdev_hw_addr_list,
}

impl<'a> RxMode<'a> {
    /// # Safety
    ///
    /// `groups` is a list of addresses that does not change for `'a`.
    pub(super) unsafe fn new<T: Operations>(
        dev: &Device<T>,
        groups: *const b::netdev_hw_addr_list,
    ) -> Self {
        Self {
            // SAFETY: By the invariant of `Device` the device is valid.
            all_multicast: unsafe { b::xen_rs_netdev_wants_all_multicast(dev.as_ptr()) },
            // SAFETY: By the requirement of this function.
            groups: unsafe { &*groups },
        }
    }

    /// Whether packets to all groups are to be received (`IFF_PROMISC`, `IFF_ALLMULTI`).
    pub fn all_multicast(&self) -> bool {
        self.all_multicast
    }

    /// The groups whose packets are to be received, if `room` has room for all.
    pub fn groups<'r>(&self, room: &'r mut [Address]) -> Option<&'r [Address]> {
        // SAFETY: The list does not change for `'a`; the function writes at most as many addresses
        // as there is room for.
        let count =
            unsafe { b::xen_rs_hw_addrs(self.groups, room.as_mut_ptr(), room.len() as u32) };
        room.get(..count as usize)
    }
}
