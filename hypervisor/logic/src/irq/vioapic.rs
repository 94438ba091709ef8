// SPDX-License-Identifier: GPL-2.0

//! The virtual I/O APIC of a domain (vIOAPIC; Intel 82093AA data sheet). It has the pins of a real I/O APIC, whose
//! redirection entries carry vectors of the hypervisor and go to the CPU that runs the vCPU that the domain chose. A
//! level-triggered pin that is never deasserted is paused ([`storm`]).

pub mod storm;

use alloc::vec::Vec;

use super::vlapic::Destination;
use storm::{IrqStorm, Pause};

/// Bit of a redirection entry: masked.
pub const MASKED: u64 = 1 << 16;
/// Bit of a redirection entry: level-triggered.
pub const LEVEL: u64 = 1 << 15;
/// Bit of a redirection entry: active low.
pub const LOW: u64 = 1 << 13;

const REMOTE_IRR: u64 = 1 << 14;
/// Bits of a redirection entry that a guest may set.
const WRITABLE: u64 = 0xff00_0000_0001_afff;

/// The writes that program a real redirection entry, as (half, value) with half 0 being the low one. The entry is
/// masked first, so that half an entry never takes effect, but has its trigger and polarity from the first write on.
pub fn writes(entry: u64) -> [(u32, u32); 3] {
    let low = entry as u32;
    [
        (0, low | MASKED as u32),
        (1, (entry >> 32) as u32),
        (0, low),
    ]
}

/// An interrupt to deliver to vLAPICs.
#[derive(Clone, Copy, Debug)]
pub struct Delivery {
    /// Its destination.
    pub to: Destination,
    /// The guest's vector.
    pub vector: u8,
    /// Whether it is level-triggered.
    pub level: bool,
    /// Whether the delivery mode is lowest priority.
    pub lowest: bool,
}

/// A pin of a vIOAPIC.
#[derive(Clone, Copy, Debug)]
struct Pin {
    /// The redirection entry as the guest wrote it, with Remote IRR.
    entry: u64,
    storm: IrqStorm,
}

/// The state of one vIOAPIC.
#[derive(Clone, Debug)]
pub struct VIoApic {
    /// Guest-physical address of its registers.
    pub address: u64,
    /// Its APIC id.
    pub id: u8,
    /// GSI of its first pin.
    pub gsi_base: u32,
    select: u8,
    pins: Vec<Pin>,
}

impl VIoApic {
    /// A vIOAPIC with all pins masked.
    pub fn new(address: u64, id: u8, gsi_base: u32, pins: u32) -> Self {
        let pin = Pin {
            entry: MASKED,
            storm: IrqStorm::default(),
        };
        Self {
            address,
            id,
            gsi_base,
            select: 0,
            pins: alloc::vec![pin; pins as usize],
        }
    }

    /// Reads 32 bits at an offset of its registers.
    pub fn read(&self, offset: u64) -> u32 {
        match offset {
            0 => u32::from(self.select),
            0x10 => match self.select {
                0 | 2 => u32::from(self.id) << 24,
                // Version 0x11, as Xen's: one without an EOI register.
                1 => 0x11 | (self.pins.len() as u32 - 1) << 16,
                select => self
                    .entry(select)
                    .map_or(!0, |entry| (entry >> (32 * (select & 1))) as u32),
            },
            _ => !0,
        }
    }

    fn entry(&self, select: u8) -> Option<u64> {
        self.pins
            .get(usize::from(select.checked_sub(0x10)? / 2))
            .map(|pin| pin.entry)
    }

    /// Writes 32 bits at an offset of its registers. Returns the pin whose real entry has to be programmed; a pause of
    /// it ends.
    pub fn write(&mut self, offset: u64, value: u32) -> Option<u32> {
        match offset {
            0 => self.select = value as u8,
            0x10 => {
                let index = usize::from(self.select.checked_sub(0x10)? / 2);
                let Pin { entry, storm } = self.pins.get_mut(index)?;
                storm.reset();
                let shift = 32 * u32::from(self.select & 1);
                let new = *entry & !(0xffff_ffff << shift) | u64::from(value) << shift;
                *entry = new & WRITABLE | *entry & REMOTE_IRR;
                if *entry & LEVEL == 0 {
                    *entry &= !REMOTE_IRR;
                }
                return Some(index as u32);
            }
            _ => {}
        }
        None
    }

    /// The guest's redirection entry of a pin.
    pub fn redir_entry(&self, pin: u32) -> u64 {
        self.pins.get(pin as usize).map_or(MASKED, |pin| pin.entry)
    }

    /// Whether a pin's last interrupt has not been ended by the guest (Remote IRR).
    pub fn remote_irr(&self, pin: u32) -> bool {
        self.redir_entry(pin) & REMOTE_IRR != 0
    }

    fn paused(&self, pin: u32) -> bool {
        let pin = self.pins.get(pin as usize);
        pin.is_some_and(|pin| pin.storm.paused_until().is_some())
    }

    /// The real redirection entry of a pin, with a vector of the hypervisor. It is masked as long as the guest has
    /// masked the pin or has not ended its interrupt, or the pin is paused. Trigger and polarity are those of the
    /// guest, also while it is masked: a real I/O APIC may follow a masked pin, and would take a level for an edge.
    pub fn hw_entry(&self, pin: u32, vector: u8, apic_id: u8) -> u64 {
        let entry = self.redir_entry(pin);
        let masked = self.remote_irr(pin) || self.paused(pin);
        let masked = if masked { MASKED } else { 0 };
        u64::from(vector) | entry & (LEVEL | LOW | MASKED) | masked | u64::from(apic_id) << 56
    }

    /// The destination in a pin's redirection entry.
    pub fn destination(&self, pin: u32) -> Destination {
        let entry = self.redir_entry(pin);
        Destination {
            id: (entry >> 56) as u32,
            logical: entry & 1 << 11 != 0,
        }
    }

    /// The real pin was asserted. `None` if the guest has masked it or has not ended the last interrupt, or the pin is
    /// paused: an interrupt that was in flight when a pause began comes again after it.
    pub fn assert_pin(&mut self, pin: u32) -> Option<Delivery> {
        let to = self.destination(pin);
        let Pin { entry, storm } = self.pins.get_mut(pin as usize)?;
        if *entry & (MASKED | REMOTE_IRR) != 0 || storm.paused_until().is_some() {
            return None;
        }
        // Fixed and lowest priority; the other modes have no vector, and devices of a guest do not use them.
        let mode = *entry >> 8 & 7;
        if mode > 1 {
            return None;
        }
        let level = *entry & LEVEL != 0;
        if level {
            *entry |= REMOTE_IRR;
        }
        Some(Delivery {
            to,
            vector: *entry as u8,
            level,
            lowest: mode == 1,
        })
    }

    /// EOI of a level-triggered interrupt's vector. Returns the pins that may be asserted again.
    pub fn eoi(&mut self, vector: u8) -> Vec<u32> {
        let mut pins = Vec::new();
        for (pin, Pin { entry, .. }) in (0..).zip(&mut self.pins) {
            if *entry as u8 == vector && *entry & REMOTE_IRR != 0 {
                *entry &= !REMOTE_IRR;
                pins.push(pin);
            }
        }
        pins
    }

    /// The real pin was unmasked after an EOI, and was or was not still asserted ([`storm::is_asserted`]). If this
    /// returns a pause, the caller masks the pin until [`VIoApic::resumed`] returns it.
    pub fn unmasked(&mut self, pin: u32, asserted: bool, now: u64) -> Option<Pause> {
        self.pins.get_mut(pin as usize)?.storm.eoi(asserted, now)
    }

    /// When the next pause of a pin ends, in nanoseconds of system time.
    pub fn deadline(&self) -> Option<u64> {
        let pauses = self.pins.iter().map(|pin| pin.storm.paused_until());
        pauses.flatten().min()
    }

    /// The pins whose pause has ended; the caller unmasks them.
    pub fn resumed(&mut self, now: u64) -> Vec<u32> {
        let mut pins = Vec::new();
        for (number, pin) in (0..).zip(&mut self.pins) {
            if pin.storm.resume(now) {
                pins.push(number);
            }
        }
        pins
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_entry(line: u8, entry: u64) -> VIoApic {
        let mut apic = VIoApic::new(0xfec0_0000, 0, 0, 24);
        for (half, value) in [(1, (entry >> 32) as u32), (0, entry as u32)] {
            apic.write(0, u32::from(0x10 + line * 2 + half));
            assert_eq!(apic.write(0x10, value), Some(u32::from(line)));
        }
        apic
    }

    #[test]
    fn a_level_line_waits_for_its_end() {
        let mut apic = with_entry(9, 0x41 | LEVEL | 2 << 56);
        let delivery = apic.assert_pin(9).unwrap();
        assert_eq!(
            (delivery.vector, delivery.level, delivery.to.id),
            (0x41, true, 2)
        );
        assert!(apic.remote_irr(9) && apic.assert_pin(9).is_none());
        assert_eq!(apic.eoi(0x40), []);
        assert_eq!(apic.eoi(0x41), [9]);
        assert!(apic.assert_pin(9).is_some());
    }

    #[test]
    fn an_edge_line_never_waits_and_a_masked_one_is_silent() {
        let mut apic = with_entry(4, 0x34);
        assert!(apic.assert_pin(4).is_some_and(|delivery| !delivery.level));
        assert!(!apic.remote_irr(4) && apic.assert_pin(4).is_some());
        assert!(with_entry(4, 0x34 | MASKED).assert_pin(4).is_none());
        // To the least busy; as an NMI.
        assert!(
            with_entry(4, 0x134)
                .assert_pin(4)
                .is_some_and(|delivery| delivery.lowest)
        );
        assert!(with_entry(4, 0x434).assert_pin(4).is_none());
    }

    #[test]
    fn the_real_line_keeps_trigger_and_polarity_while_it_is_masked() {
        let entry = 0x41 | LEVEL | LOW;
        let mut apic = with_entry(9, entry | MASKED);
        assert_eq!(
            apic.hw_entry(9, 0x55, 3),
            0x55 | LEVEL | LOW | MASKED | 3 << 56
        );
        apic = with_entry(9, entry);
        assert_eq!(apic.hw_entry(9, 0x55, 3), 0x55 | LEVEL | LOW | 3 << 56);
        apic.assert_pin(9);
        assert_eq!(apic.hw_entry(9, 0x55, 3) & (LEVEL | MASKED), LEVEL | MASKED);
        let writes = writes(apic.hw_entry(9, 0x55, 3));
        assert!(
            writes
                .iter()
                .all(|(half, low)| *half == 1 || u64::from(*low) & (LEVEL | LOW) == LEVEL | LOW)
        );
    }

    #[test]
    fn no_half_of_an_entry_is_in_force_alone() {
        let writes = writes(0x55 | LEVEL | 3 << 56);
        assert!(u64::from(writes[0].1) & MASKED != 0);
        assert_eq!(writes[1..], [(1, 3 << 24), (0, 0x55 | LEVEL as u32)]);
    }

    #[test]
    fn registers_read_back_and_none_lies_beyond() {
        let mut apic = with_entry(23, 0x77 | LEVEL | LOW | 3 << 56);
        apic.write(0, 0x10 + 23 * 2);
        assert_eq!(apic.read(0x10), (0x77 | LEVEL | LOW) as u32);
        apic.write(0, 0x10 + 23 * 2 + 1);
        assert_eq!(apic.read(0x10), 3 << 24);
        apic.write(0, 1);
        assert_eq!(apic.read(0x10), 0x17_0011);
        apic.write(0, 0x10 + 24 * 2);
        assert_eq!((apic.write(0x10, 0), apic.read(0x10)), (None, !0));
        // To edge and back: the way to end an interrupt without a register for it.
        let mut apic = with_entry(5, 0x41 | LEVEL);
        apic.assert_pin(5);
        apic.write(0, 0x10 + 10);
        apic.write(0x10, 0x41);
        assert!(!apic.remote_irr(5));
    }
    #[test]
    fn an_entry_holds_what_may_be_written_to_it() {
        let mut apic = with_entry(3, !0);
        assert_eq!(apic.redir_entry(3), WRITABLE);
        // Whether an interrupt is being served is not the guest's to say, and its halves are apart.
        let mut level = with_entry(9, 0x41 | LEVEL | 7 << 56);
        level.assert_pin(9);
        level.write(0, 0x10 + 9 * 2 + 1);
        level.write(0x10, 5 << 24);
        assert_eq!(level.redir_entry(9), 0x41 | LEVEL | REMOTE_IRR | 5 << 56);
        level.write(0, 0x10 + 9 * 2);
        level.write(0x10, 0x42 | LEVEL as u32);
        assert_eq!(level.redir_entry(9), 0x42 | LEVEL | REMOTE_IRR | 5 << 56);
        assert_eq!(level.redir_entry(24), MASKED, "there is none");
        assert!(!level.remote_irr(24) && level.assert_pin(24).is_none());
        for offset in [4, 0x20, 0x40] {
            assert_eq!((apic.read(offset), apic.write(offset, 0)), (!0, None));
        }
        for select in [3, 0x0f] {
            apic.write(0, select);
            assert_eq!((apic.read(0), apic.read(0x10)), (select, !0));
            assert_eq!(apic.write(0x10, 0), None);
        }
        let named = VIoApic::new(0xfec0_0000, 5, 24, 8);
        assert_eq!(named.read(0x10), 5 << 24);
        let mut other = named.clone();
        other.write(0, 2);
        assert_eq!(other.read(0x10), 5 << 24);
        other.write(0, 1);
        assert_eq!(other.read(0x10), 0x07_0011);
    }

    #[test]
    fn an_interrupt_goes_to_whom_the_entry_names() {
        for (entry, id, logical) in [
            (0x41 | 0xa5 << 56, 0xa5, false),
            (0x41 | 0x03 << 56 | 1 << 11, 3, true),
        ] {
            let mut apic = with_entry(2, entry);
            let to = Destination { id, logical };
            assert_eq!(apic.destination(2), to);
            let delivery = apic.assert_pin(2).expect("open");
            assert_eq!((delivery.to, delivery.vector), (to, 0x41));
            assert!(!delivery.lowest && !delivery.level);
        }
    }

    #[test]
    fn the_end_of_a_vector_ends_all_lines_that_share_it() {
        let mut apic = with_entry(3, 0x41 | LEVEL);
        for (line, entry) in [(4u32, 0x41 | LEVEL), (5, 0x42 | LEVEL), (6, 0x41)] {
            apic.write(0, 0x10 + line * 2);
            apic.write(0x10, entry as u32);
        }
        for line in 3..7 {
            assert!(apic.assert_pin(line).is_some());
        }
        assert_eq!(apic.eoi(0x41), [3, 4]);
        assert!(!apic.remote_irr(3) && !apic.remote_irr(4) && apic.remote_irr(5));
        assert_eq!(apic.eoi(0x41), []);
    }

    #[test]
    fn the_pause_that_ends_first_is_the_next_deadline() {
        let mut apic = VIoApic::new(0xfec0_0000, 0, 0, 3);
        assert_eq!(apic.deadline(), None);
        for (line, now) in [(2u32, 1000), (0, 2000)] {
            for _ in 0..storm::MAX_EOIS {
                apic.unmasked(line, true, now);
            }
        }
        let (first, second) = (1000 + storm::PAUSE, 2000 + storm::PAUSE);
        assert_eq!(apic.deadline(), Some(first));
        assert_eq!(apic.hw_entry(2, 0x55, 0) & MASKED, MASKED);
        assert_eq!(apic.resumed(first - 1), []);
        assert_eq!(apic.resumed(first), [2]);
        assert_eq!(
            (apic.resumed(first), apic.deadline()),
            (vec![], Some(second))
        );
        assert_eq!(apic.resumed(u64::MAX), [0]);
        assert!(apic.unmasked(3, true, 0).is_none(), "there is no such line");
    }
}
