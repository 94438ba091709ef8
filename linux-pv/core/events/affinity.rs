// SPDX-License-Identifier: GPL-2.0

//! On which CPU a channel's events are handled. Channels are spread over the CPUs that they may be
//! on.

use core::{
    ptr::addr_of,
    sync::atomic::{
        AtomicU32,
        Ordering::Relaxed, //
    },
};

use kernel::{
    bindings as k,
    cpumask::Cpumask,
    ffi::c_int, //
};

use core_bindings as bindings;

use xen_abi::{
    command::event_channel::BindVcpu,
    event_channel as abi, //
};

use xen_core::{
    define_per_cpu,
    domain,
    per_cpu::PossibleCpu, //
};

use xen_event::{
    mask::Reason,
    spread::least_used, //
};

use crate::{
    channel::{
        Channel,
        Kind, //
    },
    delivery,
    hypercall,
    irqs,
    per_vcpu, //
};

define_per_cpu! {
    /// How many channels the CPU has.
    static CHANNELS: AtomicU32 = AtomicU32::new(0);
}

/// Counts a channel as its CPU's.
fn count(channel: &Channel) {
    if !channel.is_counted.swap(true, Relaxed) {
        CHANNELS.of(channel.cpu()).fetch_add(1, Relaxed);
    }
}

/// Ends that.
pub(crate) fn uncount(channel: &Channel) {
    if channel.is_counted.swap(false, Relaxed) {
        CHANNELS.of(channel.cpu()).fetch_sub(1, Relaxed);
    }
}

/// Has the events of a channel handled on a CPU, which the hypervisor knows already.
pub(crate) fn bind(channel: &Channel, cpu: PossibleCpu) {
    if let Some(port) = channel.port() {
        delivery::bind_to_cpu(port, cpu, channel.cpu());
    }
    uncount(channel);
    channel.set_cpu(cpu);
    count(channel);
}

/// The same for a channel that stays on the CPU, which the interrupt's affinity shows.
pub(crate) fn pin(channel: &Channel, cpu: PossibleCpu) {
    // SAFETY: The descriptor is the channel's; the CPU is possible.
    unsafe {
        let data = k::irq_get_irq_data(channel.irq());
        if !data.is_null() {
            bindings::xen_core_irq_set_affinity(data, cpu.number());
            bindings::xen_core_irq_set_effective_affinity(data, cpu.number());
        }
    }
    bind(channel, cpu);
}

/// Whether events can be delivered to any CPU. If the interrupt of the platform's PCI device says
/// that there are events, they are always CPU 0's.
fn can_move() -> bool {
    // SAFETY: Written early at boot.
    !domain::is_hvm() || unsafe { addr_of!(bindings::xen_have_vector_callback).read() }
}

/// Moves a channel to a CPU. Returns false if it has no port or channels cannot be moved.
fn move_to(channel: &Channel, cpu: PossibleCpu) -> bool {
    let Some(port) = channel.port().filter(|_| can_move()) else {
        return false;
    };
    // Masked, so that no event comes on a CPU that does not expect it.
    channel.mask(Reason::Moving);
    let vcpu = hypercall::vcpu(cpu);
    // Virqs and IPIs of a CPU are refused, and stay where they are.
    if hypercall::call::<BindVcpu>(&mut abi::BindVcpu { port, vcpu }).is_ok() {
        let before = channel.cpu();
        bind(channel, cpu);
        if let Kind::Virq(virq) = channel.kind {
            per_vcpu::move_virq(virq, before, cpu);
        }
    }
    channel.unmask(Reason::Moving);
    true
}

/// The CPU of a mask with the fewest channels, or of all CPUs if none of the mask is online.
fn choose(mask: &Cpumask) -> Option<PossibleCpu> {
    let online = || PossibleCpu::all().filter(|cpu| cpu.is_online());
    let used = |cpu: PossibleCpu| (cpu, CHANNELS.of(cpu).load(Relaxed));
    let chosen = least_used(online().filter(|cpu| cpu.is_in(mask)).map(used));
    chosen.or_else(|| least_used(online().map(used)))
}

/// `irq_set_affinity` of channels that may move.
///
/// # Safety
///
/// To be called by the interrupt core, with the lock of the interrupt's descriptor held.
pub(crate) unsafe extern "C" fn set(
    data: *mut k::irq_data,
    mask: *const k::cpumask,
    _force: bool,
) -> c_int {
    // SAFETY: By the requirement of this function both are valid, and interrupts are disabled,
    // which is a read-side section of RCU.
    let (channel, mask) = unsafe { (irqs::of_data(data), Cpumask::from_raw(mask)) };
    let cpu = choose(mask);
    let moved = channel
        .zip(cpu)
        .filter(|(channel, cpu)| move_to(channel, *cpu));
    let Some((_, cpu)) = moved else {
        return -1;
    };
    // SAFETY: The data is valid, the CPU possible.
    unsafe { bindings::xen_core_irq_set_effective_affinity(data, cpu.number()) };
    0
}
