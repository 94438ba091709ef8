// SPDX-License-Identifier: GPL-2.0

//! Interrupts of a domain: from its I/O APICs' lines, devices' messages, its vCPUs' commands and the console to local
//! APICs.

use core::sync::atomic::Ordering;

use paravane::irq::vioapic::{MASKED, VIoApic, storm};
use paravane::irq::vlapic::{Command, Destination};
use xen_abi::xen::virq;

use super::{Activity, Domain, Vcpu};
use crate::arch::{ioapic, percpu, serial, time};
use crate::io::msi::{self, Source};
use crate::platform::system;

impl Domain {
    /// Brings an interrupt to the vCPUs it is for, or to the least busy of them.
    pub fn deliver(&self, to: Destination, vector: u8, level: bool, lowest: bool) {
        let meant = self
            .vcpus
            .iter()
            .filter(|vcpu| vcpu.apic.lock().matches(to));
        let bring = |vcpu: &Vcpu| {
            let taken = vcpu.apic.lock().request(vector, level);
            if taken {
                vcpu.kick();
            }
        };
        if lowest {
            let least = meant.min_by_key(|vcpu| vcpu.apic.lock().task_priority());
            least.into_iter().for_each(bring);
        } else {
            meant.for_each(bring);
        }
    }

    /// Carries out an interrupt command of a vCPU's (Intel SDM volume 3, 11.6.1).
    pub fn command(&self, sender: &Vcpu, command: Command) {
        let (vector, kind, shorthand) = (
            command.low as u8,
            command.low >> 8 & 7,
            command.low >> 18 & 3,
        );
        let to = Destination {
            id: command.destination,
            logical: command.low & 1 << 11 != 0,
        };
        for vcpu in &self.vcpus {
            let myself = vcpu.id == sender.id;
            let meant = match shorthand {
                0 => vcpu.apic.lock().matches(to),
                1 => myself,
                2 => true,
                _ => !myself,
            };
            if !meant {
                continue;
            }
            match kind {
                0 | 1 => {
                    vcpu.apic.lock().request(vector, false);
                }
                4 => vcpu.nmi.store(true, Ordering::SeqCst),
                // INIT: a de-assert is a relic that does nothing.
                5 => {
                    let mut activity = vcpu.activity.lock();
                    // One that waits already keeps its APIC: it may have been told of events before its start.
                    if command.low & 1 << 14 != 0 && *activity == Activity::On {
                        *activity = Activity::WaitForStart;
                        drop(activity);
                        vcpu.apic.lock().reset();
                    }
                }
                6 => {
                    let mut activity = vcpu.activity.lock();
                    if *activity == Activity::WaitForStart {
                        *activity = Activity::Start(vector);
                    }
                }
                _ => log::warn!(
                    "d0v{}: interrupt command {:#x} is not carried out",
                    sender.id.vcpu,
                    command.low
                ),
            }
            vcpu.kick();
        }
    }

    /// A global interrupt came. Its level line is masked until [`Domain::level_ended`].
    pub fn line_asserted(&self, gsi: u32) {
        let mut io_apics = self.io_apics.lock();
        let Some(io_apic) = io_apics.iter_mut().rev().find(|apic| apic.gsi_base <= gsi) else {
            return;
        };
        let line = gsi - io_apic.gsi_base;
        let delivery = io_apic.asserted(line);
        if delivery.is_none_or(|delivery| delivery.level) {
            ioapic::mask(gsi);
        }
        drop(io_apics);
        if let Some(delivery) = delivery {
            self.deliver(
                delivery.to,
                delivery.vector,
                delivery.level,
                delivery.lowest,
            );
        }
    }

    /// A vCPU ended a level interrupt. A line that is up every time is paused; the vCPU's timers see to its going on.
    pub fn level_ended(&self, by: &Vcpu, vector: u8) {
        for io_apic in self.io_apics.lock().iter_mut() {
            for line in io_apic.ended(vector) {
                if io_apic.line(line) & MASKED != 0 {
                    continue;
                }
                let gsi = io_apic.gsi_base + line;
                let up = ioapic::unmask(gsi);
                let Some(pause) = io_apic.unmasked(line, up, time::now()) else {
                    continue;
                };
                // The interrupt that has come by now finds the line paused.
                ioapic::mask(gsi);
                by.lines_resume.fetch_min(pause.until, Ordering::SeqCst);
                if pause.news {
                    log::warn!(
                        "GSI {gsi} was up at {} ends of its interrupt in a row: a device holds its line up, and no driver \
                         of dom0's makes it stop. From now on the line is masked for {} ms each time",
                        storm::ENDS,
                        storm::PAUSE / 1_000_000
                    );
                }
            }
        }
    }

    /// Unmasks the lines whose pause is over. Returns when the next one's is, in nanoseconds.
    pub fn resume_lines(&self, now: u64) -> Option<u64> {
        let mut io_apics = self.io_apics.lock();
        for io_apic in io_apics.iter_mut() {
            for line in io_apic.resumed(now) {
                ioapic::unmask(io_apic.gsi_base + line);
            }
        }
        io_apics.iter().filter_map(VIoApic::deadline).min()
    }

    /// Writes a register of a virtual I/O APIC, and what follows from it to the real one.
    pub fn write_io_apic(&self, index: usize, offset: u64, value: u32) {
        let mut io_apics = self.io_apics.lock();
        let Some(io_apic) = io_apics.get_mut(index) else {
            return;
        };
        let Some(line) = io_apic.write(offset, value) else {
            return;
        };
        let gsi = io_apic.gsi_base + line;
        if gsi == serial::GSI {
            return;
        }
        let mut vectors = self.gsi_vectors.lock();
        let Some(slot) = vectors.get_mut(gsi as usize) else {
            return;
        };
        let masked = io_apic.line(line) & MASKED != 0;
        if slot.is_none() && !masked {
            *slot = msi::take(1, |_| Source::Gsi(gsi));
        }
        // A masked one needs none.
        let Some(vector) = slot.or(masked.then_some(0)) else {
            log::error!("no vector for GSI {gsi}");
            return;
        };
        let to = io_apic.destination(line);
        let cpu = self
            .vcpus
            .iter()
            .find(|vcpu| vcpu.apic.lock().matches(to))
            .and_then(|vcpu| percpu::get(vcpu.cpu.load(Ordering::Relaxed)))
            .map_or(0, |cpu| cpu.apic_id);
        ioapic::set(gsi, io_apic.real(line, vector, cpu as u8));
    }

    /// Which virtual I/O APIC an address belongs to.
    pub fn io_apic_at(&self, gpa: u64) -> Option<(usize, u64)> {
        let io_apics = self.io_apics.lock();
        let index = io_apics
            .iter()
            .position(|apic| (apic.address..apic.address + 4096).contains(&gpa))?;
        Some((index, gpa - io_apics.get(index)?.address))
    }

    /// Reads a register of a virtual I/O APIC.
    pub fn read_io_apic(&self, index: usize, offset: u64) -> u32 {
        self.io_apics
            .lock()
            .get(index)
            .map_or(!0, |apic| apic.read(offset))
    }

    /// Bytes came on the console: dom0 may read them.
    pub fn console_input(&self) {
        system().raise_virq(self.id, virq::CONSOLE);
    }
}
