// SPDX-License-Identifier: GPL-2.0

//! Triple faults: what Xen's console says of a domain that ended by one, and whose fault that was, as far as it tells.
//!
//! QEMU's emulated SVM can deliver an interrupt that a hypervisor injects a second time, interrupts disabled or not
//! (docs/design/machines.md), which can end in anything. Our hypervisor has the guest take virtual interrupts instead; Xen does
//! not.
//!
//! It can also mix up the guest's registers with the hypervisor's (see
//! [`Topology::placement`](crate::Topology::placement), which keeps it from doing so). Xen then reports a triple fault of a
//! guest that did nothing wrong. It reports the same of a guest whose kernel really made one, so a triple fault alone acquits
//! nobody.

use std::fmt;

/// Addresses that are the hypervisor's (Xen: HYPERVISOR_VIRT_START to HYPERVISOR_VIRT_END, asm/config.h). Linux has nothing
/// there whether it runs on Xen or not (Documentation/arch/x86/x86_64/mm.rst: "guard hole, also reserved for hypervisor").
const HYPERVISORS: std::ops::Range<u64> = 0xffff_8000_0000_0000..0xffff_8800_0000_0000;

/// A triple fault that ended a domain, `dXvY` in Xen's message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// The domain's number.
    pub domid: u32,
    /// The vCPU's number.
    pub vcpu: u32,
    /// Where the vCPU was, if the registers were printed.
    pub rip: Option<u64>,
    rsp: Option<u64>,
}

/// Whose fault it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Culprit {
    /// The emulator's: the guest's registers were the hypervisor's.
    Emulator,
    /// The registers were the guest's own. Its kernel did it; or the emulator, which can also lose the guest's nested paging.
    GuestOrEmulator,
    /// The registers were not seen.
    NotSeen,
}

impl Fault {
    /// The fault that a line of Xen's console reports, without registers yet.
    pub fn of_line(line: &str) -> Option<Self> {
        let (before, _) = line.split_once(" Triple fault")?;
        let (domid, vcpu) = before.rsplit_once('d')?.1.split_once('v')?;
        Some(Self {
            domid: domid.parse().ok()?,
            vcpu: vcpu.parse().ok()?,
            ..Self::default()
        })
    }

    /// Takes a later line, in case it has the registers. The first of each counts.
    pub fn read(&mut self, line: &str) {
        // "RIP:    0010:[<ffffffff81000000>]" and "rbp: 0000000000000000   rsp: 0000000000000000   r8:  …"
        if let Some((_, rest)) = line.split_once("RIP:") {
            let address = rest.split_once("[<").and_then(|(_, a)| a.split_once(">]"));
            self.rip = self.rip.or(address.and_then(|(text, _)| hex(text)));
        }
        if let Some((_, rest)) = line.split_once(" rsp:") {
            self.rsp = self.rsp.or(rest.split_whitespace().next().and_then(hex));
        }
    }

    /// Whose fault it was, as far as the registers tell.
    pub fn culprit(&self) -> Culprit {
        let registers = [self.rip, self.rsp];
        if registers
            .iter()
            .flatten()
            .any(|value| HYPERVISORS.contains(value))
        {
            Culprit::Emulator
        } else if self.rip.is_some() {
            Culprit::GuestOrEmulator
        } else {
            Culprit::NotSeen
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "triple fault of d{}v{}", self.domid, self.vcpu)?;
        if let Some(rip) = self.rip {
            write!(f, " at RIP {rip:#x}")?;
        }
        f.write_str(match self.culprit() {
            Culprit::Emulator => ", with the hypervisor's registers in the guest's: the emulator's fault",
            Culprit::GuestOrEmulator => {
                ", with registers of its own: its kernel's fault, unless the emulator lost its nested paging"
            }
            Culprit::NotSeen => ": the emulator's fault or its kernel's",
        })
    }
}

/// What QEMU's log of resets tells of a machine's end, to be put behind it. QEMU has this line there only for a processor that
/// runs no guest (target/i386/tcg/system/excp_helper.c); a guest's triple fault it gives to the hypervisor.
pub fn of_machine(resets: &str) -> &'static str {
    match resets.lines().any(|line| line == "Triple fault") {
        true => {
            ", after a triple fault outside of any guest, which is the hypervisor's fault or the emulator's (registers.log)"
        }
        false => "",
    }
}

fn hex(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Xen 4.20 prints, with these two registers.
    fn fault(rip: &str, rsp: &str) -> Fault {
        let mut fault =
            Fault::of_line("(XEN) d12v1 Triple fault - invoking HVM shutdown action 1").unwrap();
        fault.read("(XEN) *** Dumping Dom12 vcpu#1 state: ***");
        fault.read("(XEN) ----[ Xen-4.20.2  x86_64  debug=n  Not tainted ]----");
        fault.read(&format!("(XEN) RIP:    0010:[<{rip}>]"));
        fault.read("(XEN) RFLAGS: 0000000000010006   CONTEXT: hvm guest (d12v1)");
        fault.read(&format!(
            "(XEN) rbp: 0000000080000000   rsp: {rsp}   r8:  0000000000000000"
        ));
        fault
    }

    #[test]
    fn a_triple_fault_names_its_domain() {
        let fault = fault("ffffffff81000000", "ffffc90000013f58");
        assert_eq!((fault.domid, fault.vcpu), (12, 1));
        assert_eq!(Fault::of_line("(XEN) d12v1 upcall vector f3"), None);
    }

    #[test]
    fn the_hypervisors_registers_acquit_the_guest() {
        let by = |rip, rsp| fault(rip, rsp).culprit();
        assert_eq!(
            by("ffff82d0402ab3c4", "ffffc90000013f58"),
            Culprit::Emulator
        );
        assert_eq!(
            by("ffffffff81000000", "ffff8300bfb27e80"),
            Culprit::Emulator
        );
    }

    #[test]
    fn a_machines_own_triple_fault_is_told() {
        assert!(
            of_machine("CPU Reset (CPU 0)\nTriple fault\nCPU Reset (CPU 0)\n")
                .contains("registers.log")
        );
        assert_eq!(of_machine("CPU Reset (CPU 0)\nEAX=00000000\n"), "");
    }

    #[test]
    fn the_guests_own_registers_acquit_nobody() {
        let own = fault("ffffffff81000000", "ffffc90000013f58");
        assert_eq!(own.culprit(), Culprit::GuestOrEmulator);
        // Where a kernel starts, and the first address of its memory's direct map.
        assert_eq!(
            fault("0000000001000000", "0000000001402e40").culprit(),
            Culprit::GuestOrEmulator
        );
        assert_eq!(
            fault("ffff888000000000", "0000000000000000").culprit(),
            Culprit::GuestOrEmulator
        );
        let unseen = Fault::of_line("(XEN) d1v0 Triple fault").unwrap();
        assert_eq!(unseen.culprit(), Culprit::NotSeen);
        assert!(own.to_string().contains("d12v1 at RIP 0xffffffff81000000"));
    }
}
