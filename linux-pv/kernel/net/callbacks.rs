// SPDX-License-Identifier: GPL-2.0

//! The C callbacks of a driver's [`Operations`].

use core::{
    marker::PhantomData,
    ptr::NonNull, //
};

use kernel::{
    bindings as k,
    error::from_result,
    ffi::{
        c_int,
        c_uint, //
    },
    prelude::*, //
};

use xen_bindings as b;

use super::{
    Device,
    Features,
    LinkStats,
    Operations,
    Poll,
    RxMode,
    SkBuff,
    SkBuffRef,
    Transmit,
    XdpFrame,
    MAX_XDP_LEN,
    VLAN_ETH_HLEN, //
};

/// The C callbacks of a driver.
pub(super) struct Callbacks<T: Operations>(PhantomData<T>);

impl<T: Operations> Callbacks<T> {
    pub(super) const TABLE: b::xen_rs_netdev_callbacks = b::xen_rs_netdev_callbacks {
        open: Some(Self::open),
        stop: Some(Self::stop),
        start_xmit: Some(Self::start_xmit),
        select_queue: Some(Self::select_queue),
        change_mtu: Some(Self::change_mtu),
        get_stats64: Some(Self::get_stats64),
        fix_features: Some(Self::fix_features),
        set_features: Some(Self::set_features),
        bpf: if T::HAS_XDP_XMIT {
            Some(Self::bpf)
        } else {
            None
        },
        xdp_xmit: if T::HAS_XDP_XMIT {
            Some(Self::xdp_xmit)
        } else {
            None
        },
        set_rx_mode: if T::HAS_SET_RX_MODE {
            Some(Self::set_rx_mode)
        } else {
            None
        },
        poll: Some(Self::poll),
    };

    extern "C" fn open(raw: *mut k::net_device) -> c_int {
        // SAFETY: The kernel calls this for devices with this table, which `Device::new` made.
        let dev = unsafe { Device::<T>::from_raw(raw) };
        from_result(|| {
            dev.enable_napi();
            T::open(dev).inspect_err(|_| dev.disable_napi())?;
            Ok(0)
        })
    }

    extern "C" fn stop(raw: *mut k::net_device) -> c_int {
        // SAFETY: The kernel calls this for devices with this table, which `Device::new` made.
        let dev = unsafe { Device::<T>::from_raw(raw) };
        // SAFETY: The kernel passes a valid device.
        unsafe { b::netif_tx_stop_all_queues(raw) };
        T::stop(dev);
        // `open` succeeded before, and is not called again before this returns.
        dev.disable_napi();
        0
    }

    extern "C" fn start_xmit(skb: *mut k::sk_buff, raw: *mut k::net_device) -> b::netdev_tx_t {
        // SAFETY: The kernel calls this for devices with this table, which `Device::new` made.
        let dev = unsafe { Device::<T>::from_raw(raw) };
        // SAFETY: The kernel passes a packet and its ownership.
        let skb = unsafe { SkBuff::from_raw(NonNull::new_unchecked(skb)) };
        // SAFETY: The kernel holds the lock of the queue that the packet is mapped to, since the
        // device does not do its own locking (`lltx`).
        let tx = unsafe { Transmit::current(dev, &skb) };
        if let Some(tx) = tx {
            T::start_xmit(dev, tx, skb);
        }
        b::netdev_tx_NETDEV_TX_OK
    }

    extern "C" fn select_queue(
        raw: *mut k::net_device,
        skb: *mut k::sk_buff,
        _upper: *mut k::net_device,
    ) -> u16 {
        // SAFETY: The kernel calls this for devices with this table, which `Device::new` made.
        let dev = unsafe { Device::<T>::from_raw(raw) };
        let queues = dev.queues_in_use();
        if queues <= 1 {
            return 0;
        }
        // SAFETY: The kernel passes a packet that is live and not changed during this call.
        let skb = unsafe { SkBuffRef::from_raw(NonNull::new_unchecked(skb)) };
        T::select_queue(dev, skb, queues) as u16
    }

    extern "C" fn poll(
        raw: *mut k::net_device,
        napi: *mut k::napi_struct,
        queue: c_uint,
        budget: c_int,
    ) -> c_int {
        // SAFETY: The kernel calls this for devices with this table, which `Device::new` made.
        let dev = unsafe { Device::<T>::from_raw(raw) };
        // SAFETY: The kernel calls this as the poll function of a NAPI context of the device.
        let mut poll = unsafe { Poll::new(dev, NonNull::new_unchecked(napi), queue, budget) };
        let work = T::poll(dev, &mut poll).min(poll.budget());
        if poll.wants_flush() {
            // SAFETY: Called in a NAPI poll function, after redirecting.
            unsafe { b::xdp_do_flush() };
        }
        // SAFETY: Called in the poll function of this context.
        if work < poll.budget() && unsafe { b::napi_complete_done(napi, work as c_int) } {
            if T::rearm(dev, queue) {
                dev.schedule(queue);
            }
        }
        work as c_int
    }

    extern "C" fn change_mtu(raw: *mut k::net_device, mtu: c_int) -> c_int {
        // SAFETY: The kernel calls this for devices with this table, which `Device::new` made.
        let dev = unsafe { Device::<T>::from_raw(raw) };
        from_result(|| {
            T::change_mtu(dev, mtu as u32)?;
            dev.set_mtu(mtu as u32);
            Ok(0)
        })
    }

    extern "C" fn get_stats64(raw: *mut k::net_device, stats: *mut b::rtnl_link_stats64) {
        // SAFETY: The kernel calls this for devices with this table, which `Device::new` made; the
        // other pointer is to zeroed memory for the result.
        let (dev, stats) = unsafe { (Device::<T>::from_raw(raw), &mut *stats) };
        T::stats(dev, &mut LinkStats(stats));
    }

    extern "C" fn fix_features(raw: *mut k::net_device, features: u64) -> u64 {
        // SAFETY: The kernel calls this for devices with this table, which `Device::new` made.
        let dev = unsafe { Device::<T>::from_raw(raw) };
        T::fix_features(dev, Features::from_bits(features)).bits()
    }

    extern "C" fn set_features(raw: *mut k::net_device, features: u64) -> c_int {
        // SAFETY: The kernel calls this for devices with this table, which `Device::new` made.
        let dev = unsafe { Device::<T>::from_raw(raw) };
        from_result(|| T::set_features(dev, Features::from_bits(features)).map(|()| 0))
    }

    extern "C" fn set_rx_mode(
        raw: *mut k::net_device,
        _unicast: *mut b::netdev_hw_addr_list,
        multicast: *mut b::netdev_hw_addr_list,
    ) -> c_int {
        // SAFETY: The kernel calls this for devices with this table, which `Device::new` made.
        let dev = unsafe { Device::<T>::from_raw(raw) };
        // SAFETY: The kernel passes a copy of its list, which does not change during this call.
        let mode = unsafe { RxMode::new(dev, multicast) };
        from_result(|| T::set_rx_mode(dev, &mode).map(|()| 0))
    }

    extern "C" fn bpf(raw: *mut k::net_device, command: *mut b::netdev_bpf) -> c_int {
        // SAFETY: The kernel calls this for devices with this table, which `Device::new` made.
        let dev = unsafe { Device::<T>::from_raw(raw) };
        // SAFETY: The kernel passes a valid command.
        if !unsafe { b::xen_rs_bpf_is_setup(command) } {
            return EINVAL.to_errno();
        }
        // SAFETY: The kernel passes a valid command, which is one to set a program.
        let program = unsafe { b::xen_rs_bpf_program(command) };
        let attached = !program.is_null();
        if attached && dev.mtu() + VLAN_ETH_HLEN > MAX_XDP_LEN {
            // SAFETY: The kernel passes a valid command.
            unsafe { b::xen_rs_bpf_message(command) };
            return EINVAL.to_errno();
        }
        from_result(|| {
            if T::HAS_PROGRAM_CHANGING && attached != dev.has_program() {
                T::program_changing(dev, attached)?;
            }
            // SAFETY: If this callback succeeds, it takes a reference to the program.
            unsafe { dev.program().set(program) };
            Ok(0)
        })
    }

    extern "C" fn xdp_xmit(
        raw: *mut k::net_device,
        count: c_int,
        frames: *mut *mut k::xdp_frame,
        flags: u32,
    ) -> c_int {
        if flags & !b::XEN_RS_XDP_XMIT_FLAGS != 0 {
            return EINVAL.to_errno();
        }
        // SAFETY: The kernel calls this for devices with this table, which `Device::new` made.
        let dev = unsafe { Device::<T>::from_raw(raw) };
        // SAFETY: Only reads the number, which is constant since softirqs are disabled.
        let cpu = unsafe { b::xen_rs_cpu() };
        let queue = cpu.checked_rem(dev.queues_in_use()).unwrap_or(0);
        let Some(mut tx) = dev.lock_tx(queue) else {
            return ENODEV.to_errno();
        };
        let mut sent = 0;
        while sent < count {
            // SAFETY: The kernel passes `count` frames. Ownership of those that are counted as sent
            // is taken.
            let frame =
                unsafe { XdpFrame::from_raw(NonNull::new_unchecked(*frames.add(sent as usize))) };
            if let Err(frame) = T::xdp_xmit(dev, &mut tx, queue, frame) {
                let _ = frame.into_raw();
                break;
            }
            sent += 1;
        }
        T::xdp_flush(dev, &mut tx, queue);
        sent
    }
}
