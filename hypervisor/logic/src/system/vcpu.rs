//! What the hypervisor knows of a vCPU besides its registers: where the guest wants to be told things, what its timers
//! are, where its time went.

pub mod runstate;

use crate::mem::Hold;
use crate::mem::frames::DomId;
use alloc::vec::Vec;
pub use runstate::{State, Times};

/// Number of virtual interrupts (`NR_VIRQS`).
pub const NR_VIRQS: usize = 24;

/// Names a vCPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VcpuId {
    /// Its domain.
    pub domain: DomId,
    /// Its number in the domain.
    pub vcpu: u32,
}

/// Where the guest wants a structure to be kept up to date.
#[derive(Debug, Default)]
pub enum Area {
    /// Nowhere.
    #[default]
    None,
    /// At a virtual address, which is looked up each time, in the page tables of that time.
    Virtual(u64),
    /// In a frame, at an offset.
    Physical(Hold, u32),
}

/// What a vCPU waits for in a poll.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Poll {
    /// Any of these ports.
    pub ports: Vec<u32>,
    /// Until when at most, in system time.
    pub until: Option<u64>,
}

/// A vCPU.
#[derive(Debug, Default)]
pub struct Vcpu {
    /// The frame and offset of its info, if it has registered one.
    pub info: Option<(Hold, u32)>,
    /// Its first registers are set.
    pub initialised: bool,
    /// It has not been told to run, or told to stop.
    pub down: bool,
    /// Port of each virtual interrupt, 0 if none. Global ones stand at vCPU 0.
    pub virqs: [u32; NR_VIRQS],
    /// Vector of the local APIC that events raise, if the guest has chosen one.
    pub upcall_vector: Option<u8>,
    /// When the single-shot timer fires, in nanoseconds of system time.
    pub single_shot: Option<u64>,
    /// Period of the periodic timer in nanoseconds, and when it fires next.
    pub periodic: Option<(u64, u64)>,
    /// It polls.
    pub poll: Option<Poll>,
    /// The CPU it runs or ran on, for those who ask.
    pub cpu: u32,
    /// A non-maskable interrupt waits.
    pub nmi_pending: bool,
    /// Where its runstate goes.
    pub runstate_area: Area,
    /// Where its clock goes, besides its info.
    pub time_area: Area,
    /// Where its time went.
    pub times: Times,
}

impl Vcpu {
    /// When its next timer fires.
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

/// Whether a virtual interrupt is the whole domain's; else each vCPU has its own.
pub fn virq_is_global(virq: u32) -> bool {
    use xen_abi::xen::virq::{ARCH_0, DEBUG, TIMER, XENOPROF, XENPMU};
    // MCA, the first of the architecture's, is global on x86.
    !matches!(virq, TIMER | DEBUG | XENOPROF | XENPMU) && virq < ARCH_0 + 8
}
