// SPDX-License-Identifier: GPL-2.0

//! The state of a vCPU besides its registers: areas that the guest has registered, timers, virqs, runstate.

pub mod registers;
pub mod runstate;

use crate::hypercall::bitmap::CpuBitmap;
use crate::mem::PageRef;
use crate::mem::frames::DomId;
use alloc::vec::Vec;
use core::fmt;
pub use registers::{Mtrrs, VcpuRegisters};
pub use runstate::{Runstate, RunstateTimes};
use xen_abi::compat::Abi;

/// Number of virqs (`NR_VIRQS`).
pub const NR_VIRQS: usize = 24;

/// Identifies a vCPU, printed as `dXvY`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VcpuId {
    /// The domid of its domain.
    pub domain: DomId,
    /// Its number in the domain.
    pub vcpu: u32,
}

impl fmt::Display for VcpuId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "d{}v{}", self.domain, self.vcpu)
    }
}

/// Memory of a guest in which the hypervisor keeps a structure up to date (`struct guest_area` in Xen).
#[derive(Debug, Default)]
pub enum GuestArea {
    /// None is registered.
    #[default]
    None,
    /// At a guest-virtual address, which is translated at each write.
    Virtual(u64),
    /// In a page, at an offset.
    Physical(PageRef, u32),
}

/// What a vCPU waits for in `SCHEDOP_poll`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Poll {
    /// The ports: any of them ends the poll.
    pub ports: Vec<u32>,
    /// When the poll times out, in nanoseconds of system time.
    pub until: Option<u64>,
}

/// State of a vCPU.
#[derive(Debug, Default)]
pub struct Vcpu {
    /// Page and offset of its `vcpu_info`, if the guest has registered one.
    pub vcpu_info: Option<(PageRef, u32)>,
    /// Its initial registers were set (`is_initialised` in Xen).
    pub initialised: bool,
    /// It has not been brought up, or was taken down (`VPF_down` in Xen). [`crate::system::System::vcpu_up`] and
    /// `vcpu_down` change it.
    pub(crate) down: bool,
    /// What the machine was last told: it may run. [`crate::system::System::update_runnable`] keeps it equal to
    /// [`crate::system::domain::Domain::vcpu_runnable`].
    pub(crate) runnable: bool,
    /// The port that each virq is bound to, 0 if none. Global virqs stand at vCPU 0.
    pub virqs: [u32; NR_VIRQS],
    /// Its MTRRs.
    pub mtrrs: Mtrrs,
    /// Vector of its local APIC for upcalls, if the guest has set one.
    pub upcall_vector: Option<u8>,
    /// When the single-shot timer fires, in nanoseconds of system time.
    pub single_shot: Option<u64>,
    /// Period of the periodic timer, and when it fires next, both in nanoseconds.
    pub periodic: Option<(u64, u64)>,
    /// What it polls for, while it does.
    pub poll: Option<Poll>,
    /// The CPU that it runs on or ran on last, for the toolstack.
    pub cpu: u32,
    /// The CPUs that it may run on; `None` for all.
    pub hard_affinity: Option<CpuBitmap>,
    /// The CPUs that it would like to run on; `None` for all.
    pub soft_affinity: Option<CpuBitmap>,
    /// An NMI of `VCPUOP_send_nmi` is pending.
    pub nmi_pending: bool,
    /// The area for its runstate.
    pub runstate_area: GuestArea,
    /// How the area is laid out: as the code that registered it does.
    pub runstate_abi: Abi,
    /// The area for its clock, besides its `vcpu_info`.
    pub time_area: GuestArea,
    /// Its runstate and the time spent in each.
    pub runstate: RunstateTimes,
}

impl Vcpu {
    /// It has not been brought up, or was taken down.
    pub fn is_down(&self) -> bool {
        self.down
    }

    /// When the next of its timers fires, in nanoseconds of system time.
    pub fn deadline(&self) -> Option<u64> {
        let periodic = self.periodic.map(|(_, next)| next);
        let poll = self.poll.as_ref().and_then(|poll| poll.until);
        self.single_shot
            .into_iter()
            .chain(periodic)
            .chain(poll)
            .min()
    }
}

/// Whether a virq is global, that is of the whole domain; else each vCPU has its own.
pub fn virq_is_global(virq: u32) -> bool {
    use xen_abi::xen::virq::{ARCH_0, DEBUG, TIMER, XENOPROF, XENPMU};
    // VIRQ_MCA, which is VIRQ_ARCH_0, is global on x86.
    !matches!(virq, TIMER | DEBUG | XENOPROF | XENPMU) && virq < ARCH_0 + 8
}
