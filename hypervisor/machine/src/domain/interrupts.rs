// SPDX-License-Identifier: GPL-2.0

//! Interrupt delivery to the vLAPICs of a domain: from I/O APIC pins, MSIs, IPIs and the console.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use paravane::irq::vioapic::{MASKED, VIoApic, storm};
use paravane::irq::vlapic::{Destination, Icr};
use paravane::mistake::Mistake;
use xen_abi::xen::virq;

use super::{Domain, MpState, Vcpu};
use crate::arch::{ioapic, percpu, serial, time};
use crate::io::vectors::{self, IrqSource};
use crate::platform::system;

impl Domain {
    /// Delivers an interrupt to the vCPUs in its destination, or to the one of them with the lowest priority.
    pub fn deliver_irq(&self, to: Destination, vector: u8, level: bool, lowest: bool) {
        let targets = self.vcpus().filter(|vcpu| vcpu.apic.lock().match_dest(to));
        let deliver = |vcpu: &Arc<Vcpu>| {
            let accepted = vcpu.apic.lock().set_irq(vector, level);
            if accepted {
                vcpu.kick();
            }
        };
        if lowest {
            let lowest = targets.min_by_key(|vcpu| vcpu.apic.lock().tpr());
            lowest.into_iter().for_each(deliver);
        } else {
            targets.for_each(deliver);
        }
    }

    /// Sends the IPI that a vCPU has written to its ICR (Intel SDM volume 3, 11.6.1).
    pub fn send_ipi(&self, sender: &Vcpu, icr: Icr) {
        let (vector, mode, shorthand) = (icr.low as u8, icr.low >> 8 & 7, icr.low >> 18 & 3);
        let to = Destination {
            id: icr.destination,
            logical: icr.low & 1 << 11 != 0,
        };
        for vcpu in self.vcpus() {
            let is_self = vcpu.id == sender.id;
            let targeted = match shorthand {
                0 => vcpu.apic.lock().match_dest(to),
                1 => is_self,
                2 => true,
                _ => !is_self,
            };
            if !targeted {
                continue;
            }
            // A vCPU that takes no notice of it is not kicked.
            let accepted = match mode {
                0 | 1 => vcpu.apic.lock().set_irq(vector, false),
                4 => {
                    vcpu.nmi.store(true, Ordering::SeqCst);
                    true
                }
                // INIT; a de-assert does nothing.
                5 => {
                    let mut mp_state = vcpu.mp_state.lock();
                    // A vCPU that waits already keeps its vLAPIC: it may have upcalls from before its start.
                    let waits =
                        matches!(*mp_state, MpState::InitReceived | MpState::SipiReceived(_));
                    let resets = icr.low & 1 << 14 != 0 && !waits;
                    if resets {
                        *mp_state = MpState::InitReceived;
                        drop(mp_state);
                        vcpu.apic.lock().reset();
                    }
                    resets
                }
                6 => {
                    let mut mp_state = vcpu.mp_state.lock();
                    let starts = *mp_state == MpState::InitReceived;
                    if starts {
                        *mp_state = MpState::SipiReceived(vector);
                    }
                    starts
                }
                _ => {
                    let low = icr.low;
                    self.report(
                        sender.id,
                        Mistake::Ipi,
                        format_args!("IPI with ICR {low:#x} is not supported"),
                    );
                    false
                }
            };
            if accepted {
                vcpu.kick();
            }
        }
    }

    /// A GSI was asserted. A level-triggered one is masked until [`Domain::eoi_level`].
    pub fn assert_gsi(&self, gsi: u32) {
        let mut io_apics = self.io_apics.lock();
        let Some(io_apic) = io_apics.iter_mut().rev().find(|apic| apic.gsi_base <= gsi) else {
            return;
        };
        let pin = gsi - io_apic.gsi_base;
        let delivery = io_apic.assert_pin(pin);
        if delivery.is_none_or(|delivery| delivery.level) {
            ioapic::mask(gsi);
        }
        drop(io_apics);
        if let Some(delivery) = delivery {
            self.deliver_irq(
                delivery.to,
                delivery.vector,
                delivery.level,
                delivery.lowest,
            );
        }
    }

    /// EOI of a level-triggered interrupt by a vCPU. A pin that is asserted at every EOI is paused; a timer of the vCPU
    /// resumes it.
    pub fn eoi_level(&self, by: &Vcpu, vector: u8) {
        for io_apic in self.io_apics.lock().iter_mut() {
            for pin in io_apic.eoi(vector) {
                if io_apic.redir_entry(pin) & MASKED != 0 {
                    continue;
                }
                let gsi = io_apic.gsi_base + pin;
                let asserted = ioapic::unmask(gsi);
                let Some(pause) = io_apic.unmasked(pin, asserted, time::now()) else {
                    continue;
                };
                // An interrupt that is pending by now is dropped by the pause.
                ioapic::mask(gsi);
                by.gsi_resume.fetch_min(pause.until, Ordering::SeqCst);
                if pause.log {
                    log::warn!(
                        "GSI {gsi} was still asserted at {} EOIs in a row: a device holds its INTx asserted, and no driver of \
                         dom0 makes it stop. From now on the GSI is masked for {} ms each time",
                        storm::MAX_EOIS,
                        storm::PAUSE / 1_000_000
                    );
                }
            }
        }
    }

    /// Unmasks the GSIs whose pause is over. Returns when the next pause ends, in nanoseconds of system time.
    pub fn resume_gsis(&self, now: u64) -> Option<u64> {
        let mut io_apics = self.io_apics.lock();
        for io_apic in io_apics.iter_mut() {
            for pin in io_apic.resumed(now) {
                ioapic::unmask(io_apic.gsi_base + pin);
            }
        }
        io_apics.iter().filter_map(VIoApic::deadline).min()
    }

    /// Writes a register of a vIOAPIC, and programs the real I/O APIC accordingly.
    pub fn write_io_apic(&self, index: usize, offset: u64, value: u32) {
        let mut io_apics = self.io_apics.lock();
        let Some(io_apic) = io_apics.get_mut(index) else {
            return;
        };
        let Some(pin) = io_apic.write(offset, value) else {
            return;
        };
        let gsi = io_apic.gsi_base + pin;
        if gsi == serial::GSI {
            return;
        }
        let mut vectors = self.gsi_vectors.lock();
        let Some(slot) = vectors.get_mut(gsi as usize) else {
            return;
        };
        let masked = io_apic.redir_entry(pin) & MASKED != 0;
        if slot.is_none() && !masked {
            *slot = vectors::alloc(1, |_| IrqSource::Gsi(gsi));
        }
        // A masked entry needs no vector.
        let Some(vector) = slot.or(masked.then_some(0)) else {
            log::error!("no vector for GSI {gsi}");
            return;
        };
        let to = io_apic.destination(pin);
        let cpu = self
            .vcpus()
            .find(|vcpu| vcpu.apic.lock().match_dest(to))
            .and_then(|vcpu| percpu::get(vcpu.run.cpu()))
            .map_or(0, |cpu| cpu.apic_id);
        ioapic::set(gsi, io_apic.hw_entry(pin, vector, cpu as u8));
    }

    /// The vIOAPIC at a guest-physical address, and the offset of its register.
    pub fn io_apic_at(&self, gpa: u64) -> Option<(usize, u64)> {
        let io_apics = self.io_apics.lock();
        let index = io_apics
            .iter()
            .position(|apic| (apic.address..apic.address + 4096).contains(&gpa))?;
        Some((index, gpa - io_apics.get(index)?.address))
    }

    /// Reads a register of a vIOAPIC.
    pub fn read_io_apic(&self, index: usize, offset: u64) -> u32 {
        self.io_apics
            .lock()
            .get(index)
            .map_or(!0, |apic| apic.read(offset))
    }

    /// There is input on the console: sends `VIRQ_CONSOLE`.
    pub fn console_input(&self) {
        system().send_global_virq(self.id, virq::CONSOLE);
    }
}
