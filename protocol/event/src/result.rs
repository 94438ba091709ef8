// SPDX-License-Identifier: GPL-2.0

//! The results that both ABIs have in common.

use core::fmt;

/// What setting a port pending has changed, for the hypervisor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "a vCPU that is not notified does not look"]
pub struct Raised {
    /// The port was not pending before: vCPUs that poll for it have to be woken.
    pub newly_pending: bool,
    /// The vCPU has to be notified, by [`crate::upcall`].
    pub notify: bool,
}

/// What a guest has to do after it has unmasked a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an event that is pending is lost otherwise"]
pub enum Unmask {
    /// Nothing: the port is unmasked, and an event that comes is delivered.
    Done,
    /// `EVTCHNOP_unmask`: the port is still masked, and an event is pending.
    Hypercall,
    /// Look for events as after an upcall: the port is unmasked, and an event is pending.
    Upcall,
}

/// Something that an honest hypervisor does not write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corrupt {
    /// A queue's head or a port's link is a port that has no event word. The queue is left.
    Port {
        /// The queue's number, which is its priority.
        queue: u8,
        /// The port.
        port: u32,
    },
    /// A queue is marked as not empty and has no head. It is left.
    NoHead {
        /// The queue's number, which is its priority.
        queue: u8,
    },
}

impl fmt::Display for Corrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Port { queue, port } => {
                write!(f, "queue {queue} has port {port}, which has no event word")
            }
            Self::NoHead { queue } => write!(f, "queue {queue} is ready and has no head"),
        }
    }
}

impl core::error::Error for Corrupt {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn what_is_corrupt_is_said_with_its_numbers() {
        let port = Corrupt::Port {
            queue: 7,
            port: 99999,
        };
        let text = "queue 7 has port 99999, which has no event word";
        assert_eq!(port.to_string(), text);
        let head = Corrupt::NoHead { queue: 15 };
        assert_eq!(head.to_string(), "queue 15 is ready and has no head");
    }
}
