// SPDX-License-Identifier: GPL-2.0

//! Requests about eventfds: to make a device model's hypercall when one is signalled (`IRQFD`), or
//! to signal one for a guest's write ([`crate::ioreq`]).

use xen_abi::{
    hvm::dm_op::op,
    linux::privcmd::{
        IOEVENTFD_FLAG_DEASSIGN,
        IRQFD_FLAG_DEASSIGN, //
    },
};

const _: () = assert!(IRQFD_FLAG_DEASSIGN == IOEVENTFD_FLAG_DEASSIGN);

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Assigns the eventfd.
    Assign,
    /// Takes the assignment back.
    Deassign,
}

impl Action {
    /// The action that a request's flags ask for. `None` if a flag is unknown.
    pub fn of(flags: u32) -> Option<Self> {
        match flags {
            0 => Some(Self::Assign),
            IRQFD_FLAG_DEASSIGN => Some(Self::Deassign),
            _ => None,
        }
    }
}

/// Most bytes of the buffer of a hypercall that [is brief](is_brief). No operation has more.
pub const MAX_BRIEF: usize = 128;

/// Whether a device model's hypercall with this buffer takes so little time that it may be made
/// with interrupts off and a lock held.
///
/// That is so for those that raise an interrupt, which is what an eventfd is for. Others go through
/// all of a guest's memory, and are preempted so that this domain can take its interrupts; with
/// interrupts off it could not before the end.
pub fn is_brief(buffer: &[u8]) -> bool {
    let Some(code) = buffer.first_chunk() else {
        return false;
    };
    let code = u32::from_ne_bytes(*code);
    let raises = matches!(
        code,
        op::SET_PCI_INTX_LEVEL | op::SET_ISA_IRQ_LEVEL | op::INJECT_MSI | op::SET_IRQ_LEVEL
    );
    raises && buffer.len() <= MAX_BRIEF
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_flags_are_refused() {
        assert_eq!(Action::of(0), Some(Action::Assign));
        assert_eq!(Action::of(1), Some(Action::Deassign));
        for flags in [2, 3, 0x8000_0000, u32::MAX] {
            assert_eq!(Action::of(flags), None);
        }
    }

    #[test]
    fn only_interrupts_are_brief() {
        let mut buffer = [0; MAX_BRIEF + 1];
        for code in 0u32..=255 {
            buffer[..4].copy_from_slice(&code.to_ne_bytes());
            let brief = [8, 9, 14, 19].contains(&code);
            assert_eq!(is_brief(&buffer[..16]), brief, "{code}");
            assert_eq!(is_brief(&buffer[..MAX_BRIEF]), brief, "{code}");
            assert!(!is_brief(&buffer));
        }
        assert!(!is_brief(&[]) && !is_brief(&[8, 0, 0]));
        assert!(!is_brief(&0x1_0000_0008u64.to_be_bytes()));
    }
}
