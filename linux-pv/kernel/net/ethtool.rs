// SPDX-License-Identifier: GPL-2.0

//! C callbacks of `ethtool`.

mod counters;
mod rss;

use core::marker::PhantomData;

use kernel::{
    bindings as k,
    error::from_result,
    ffi::c_int,
    prelude::*,
    sync::atomic::Relaxed, //
};

use xen_bindings as b;

use super::{
    Device,
    Operations, //
};

use counters::Sink;

pub use counters::Counters;

pub use rss::{
    random_rss_key,
    Rss,
    RssChange,
    RssSize, //
};

/// The C callbacks of a driver (`struct ethtool_ops`).
pub(super) struct Ethtool<T: Operations>(PhantomData<T>);

impl<T: Operations> Ethtool<T> {
    pub(super) const TABLE: k::ethtool_ops = k::ethtool_ops {
        get_link: Some(b::ethtool_op_get_link),
        get_ts_info: Some(b::ethtool_op_get_ts_info),
        get_sset_count: Some(Self::get_sset_count),
        get_strings: Some(Self::get_strings),
        get_ethtool_stats: Some(Self::get_ethtool_stats),
        get_channels: Some(Self::get_channels),
        set_channels: if T::HAS_SET_QUEUES {
            Some(Self::set_channels)
        } else {
            None
        },
        get_ringparam: Some(Self::get_ringparam),
        get_rx_ring_count: Some(Self::get_rx_ring_count),
        get_rxfh_key_size: if T::HAS_SET_RSS {
            Some(Self::get_rxfh_key_size)
        } else {
            None
        },
        get_rxfh_indir_size: if T::HAS_SET_RSS {
            Some(Self::get_rxfh_indir_size)
        } else {
            None
        },
        get_rxfh: if T::HAS_SET_RSS {
            Some(Self::get_rxfh)
        } else {
            None
        },
        set_rxfh: if T::HAS_SET_RSS {
            Some(Self::set_rxfh)
        } else {
            None
        },
        ..pin_init::zeroed()
    };

    extern "C" fn get_channels(raw: *mut k::net_device, channels: *mut k::ethtool_channels) {
        // SAFETY: The kernel calls this for devices with this table, which `Device::new` made, and
        // with zeroed memory for the result.
        let (dev, channels) = unsafe { (Device::<T>::from_raw(raw), &mut *channels) };
        // A transmit and a receive queue are polled together.
        channels.max_combined = dev.queues();
        channels.combined_count = dev.queues_in_use();
    }

    extern "C" fn set_channels(
        raw: *mut k::net_device,
        channels: *mut k::ethtool_channels,
    ) -> c_int {
        // SAFETY: The kernel calls this for devices with this table, which `Device::new` made, and
        // with a valid structure, whose numbers it has compared with those of `get_channels`.
        let (dev, wanted) = unsafe { (Device::<T>::from_raw(raw), (*channels).combined_count) };
        from_result(|| T::set_queues(dev, wanted).map(|()| 0))
    }

    extern "C" fn get_ringparam(
        _raw: *mut k::net_device,
        rings: *mut k::ethtool_ringparam,
        _more: *mut k::kernel_ethtool_ringparam,
        _message: *mut k::netlink_ext_ack,
    ) {
        // SAFETY: The kernel calls this for devices with this table, which `Device::new` made.
        let rings = unsafe { &mut *rings };
        let (receive, transmit) = T::RING_SLOTS;
        rings.rx_max_pending = receive;
        rings.rx_pending = receive;
        rings.tx_max_pending = transmit;
        rings.tx_pending = transmit;
    }

    extern "C" fn get_rx_ring_count(raw: *mut k::net_device) -> u32 {
        // SAFETY: The kernel calls this for devices with this table, which `Device::new` made.
        unsafe { Device::<T>::from_raw(raw) }.queues_in_use()
    }

    extern "C" fn get_rxfh_key_size(raw: *mut k::net_device) -> u32 {
        // SAFETY: The kernel calls this for devices with this table, which `Device::new` made.
        T::rss_size(unsafe { Device::<T>::from_raw(raw) }).key
    }

    extern "C" fn get_rxfh_indir_size(raw: *mut k::net_device) -> u32 {
        // SAFETY: The kernel calls this for devices with this table, which `Device::new` made.
        T::rss_size(unsafe { Device::<T>::from_raw(raw) }).table
    }

    extern "C" fn get_rxfh(
        raw: *mut k::net_device,
        parameters: *mut k::ethtool_rxfh_param,
    ) -> c_int {
        // SAFETY: The kernel calls this for devices with this table, which `Device::new` made.
        let (dev, parameters) = unsafe { (Device::<T>::from_raw(raw), &mut *parameters) };
        // SAFETY: The arrays have as many elements as the size of each says.
        let rss = unsafe {
            Rss {
                key: slice_of(parameters.key, parameters.key_size),
                table: slice_of(parameters.indir, parameters.indir_size),
            }
        };
        parameters.hfunc = b::XEN_RS_RSS_TOEPLITZ;
        T::rss(dev, rss);
        0
    }

    extern "C" fn set_rxfh(
        raw: *mut k::net_device,
        parameters: *mut k::ethtool_rxfh_param,
        _message: *mut k::netlink_ext_ack,
    ) -> c_int {
        // SAFETY: The kernel calls this for devices with this table, which `Device::new` made.
        let (dev, parameters) = unsafe { (Device::<T>::from_raw(raw), &*parameters) };
        from_result(|| {
            let size = T::rss_size(dev);
            let known = [b::XEN_RS_RSS_TOEPLITZ, b::XEN_RS_RSS_NO_CHANGE];
            if size.table == 0 || !known.contains(&parameters.hfunc) {
                return Err(EINVAL);
            }
            // SAFETY: An array that is not null has as many elements as its size says, and is
            // accessed by this call only.
            let (key, table) = unsafe {
                (
                    slice_of(parameters.key, parameters.key_size),
                    slice_of(parameters.indir, parameters.indir_size),
                )
            };
            let change = RssChange {
                key: (!parameters.key.is_null()).then_some(&*key),
                table: (!parameters.indir.is_null()).then_some(&*table),
            };
            // The sizes may have changed since the kernel read them.
            let fits = change.key.is_none_or(|key| key.len() == size.key as usize)
                && change
                    .table
                    .is_none_or(|table| table.len() == size.table as usize);
            if !fits {
                return Err(EINVAL);
            }
            T::set_rss(dev, &change)?;
            Ok(0)
        })
    }

    extern "C" fn get_sset_count(raw: *mut k::net_device, set: c_int) -> c_int {
        if set as u32 != k::ethtool_stringset_ETH_SS_STATS {
            return EINVAL.to_errno();
        }
        // SAFETY: The kernel calls this for devices with this table, which `Device::new` made.
        let dev = unsafe { Device::<T>::from_raw(raw) };
        let mut count = 0;
        T::counters(dev, &mut Counters(Sink::Count(&mut count)));
        dev.nr_counters().store(count, Relaxed);
        count as c_int
    }

    extern "C" fn get_strings(raw: *mut k::net_device, set: u32, to: *mut u8) {
        if set != k::ethtool_stringset_ETH_SS_STATS {
            return;
        }
        // SAFETY: The kernel calls this for devices with this table, which `Device::new` made.
        let dev = unsafe { Device::<T>::from_raw(raw) };
        let count = dev.nr_counters().load(Relaxed);
        // SAFETY: The kernel has called `get_sset_count` before, without releasing the RTNL lock in
        // between, and has allocated memory for as many names.
        let names = unsafe { core::slice::from_raw_parts_mut(to.cast(), count) };
        T::counters(dev, &mut Counters(Sink::Names(names)));
    }

    extern "C" fn get_ethtool_stats(
        raw: *mut k::net_device,
        stats: *mut k::ethtool_stats,
        to: *mut u64,
    ) {
        // SAFETY: The kernel calls this for devices with this table, which `Device::new` made, and
        // with a valid request.
        let (dev, count) = unsafe { (Device::<T>::from_raw(raw), (*stats).n_stats as usize) };
        // SAFETY: The array has as many elements as the request says.
        let values = unsafe { core::slice::from_raw_parts_mut(to, count) };
        T::counters(dev, &mut Counters(Sink::Values(values)));
    }
}

/// The elements of an array, none if the pointer is null.
///
/// # Safety
///
/// `at` is null, or valid for `count` elements to which there is no other reference for `'a`.
unsafe fn slice_of<'a, V>(at: *mut V, count: u32) -> &'a mut [V] {
    if at.is_null() {
        return &mut [];
    }
    // SAFETY: By the requirement of this function.
    unsafe { core::slice::from_raw_parts_mut(at, count as usize) }
}
