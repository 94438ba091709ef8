// SPDX-License-Identifier: GPL-2.0

//! The I/O APIC a domain sees over a real one: the same lines, whose real entries carry vectors of the hypervisor's
//! and go to the processor that runs the vCPU the domain chose (Intel 82093AA data sheet). One that is up all the time is
//! paused ([`storm`]).

pub mod storm;

use alloc::vec::Vec;

use super::vlapic::Destination;
use storm::{Pause, Storm};

/// A line's entry is masked.
pub const MASKED: u64 = 1 << 16;
/// A line is level-triggered.
pub const LEVEL: u64 = 1 << 15;
/// A line is active when low.
pub const LOW: u64 = 1 << 13;

const REMOTE_IRR: u64 = 1 << 14;
/// Bits of an entry a guest may set.
const WRITABLE: u64 = 0xff00_0000_0001_afff;

/// How a real entry is written, by halves, 0 being the low one: masked first, so that no half of an entry is ever in force, but
/// with its trigger and polarity from the first write on.
pub fn writes(entry: u64) -> [(u32, u32); 3] {
    let low = entry as u32;
    [
        (0, low | MASKED as u32),
        (1, (entry >> 32) as u32),
        (0, low),
    ]
}

/// An interrupt for a vLAPIC.
#[derive(Clone, Copy, Debug)]
pub struct Delivery {
    /// Whom it is for.
    pub to: Destination,
    /// Its vector.
    pub vector: u8,
    /// Whether it is a level interrupt.
    pub level: bool,
    /// Whether it goes to the least busy of those it is for alone.
    pub lowest: bool,
}

/// A line of a virtual I/O APIC.
#[derive(Clone, Copy, Debug)]
struct Line {
    /// The domain's entry.
    entry: u64,
    storm: Storm,
}

/// The state of one virtual I/O APIC.
#[derive(Clone, Debug)]
pub struct VIoApic {
    /// Physical address of its registers.
    pub address: u64,
    /// Its id.
    pub id: u8,
    /// First global interrupt.
    pub gsi_base: u32,
    select: u8,
    lines: Vec<Line>,
}

impl VIoApic {
    /// With all lines masked.
    pub fn new(address: u64, id: u8, gsi_base: u32, lines: u32) -> Self {
        let line = Line {
            entry: MASKED,
            storm: Storm::default(),
        };
        Self {
            address,
            id,
            gsi_base,
            select: 0,
            lines: alloc::vec![line; lines as usize],
        }
    }

    /// Reads 32 bits at an offset of its registers.
    pub fn read(&self, offset: u64) -> u32 {
        match offset {
            0 => u32::from(self.select),
            0x10 => match self.select {
                0 | 2 => u32::from(self.id) << 24,
                // Version 0x11, as Xen's: one without an EOI register.
                1 => 0x11 | (self.lines.len() as u32 - 1) << 16,
                select => self
                    .entry(select)
                    .map_or(!0, |entry| (entry >> (32 * (select & 1))) as u32),
            },
            _ => !0,
        }
    }

    fn entry(&self, select: u8) -> Option<u64> {
        self.lines
            .get(usize::from(select.checked_sub(0x10)? / 2))
            .map(|line| line.entry)
    }

    /// Writes 32 bits at an offset of its registers. Tells the line whose real entry has to follow; a pause of it is over.
    pub fn write(&mut self, offset: u64, value: u32) -> Option<u32> {
        match offset {
            0 => self.select = value as u8,
            0x10 => {
                let index = usize::from(self.select.checked_sub(0x10)? / 2);
                let Line { entry, storm } = self.lines.get_mut(index)?;
                storm.forget();
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

    /// The domain's entry of a line.
    pub fn line(&self, line: u32) -> u64 {
        self.lines
            .get(line as usize)
            .map_or(MASKED, |line| line.entry)
    }

    /// Whether a line waits for the domain to end the interrupt before.
    pub fn waits(&self, line: u32) -> bool {
        self.line(line) & REMOTE_IRR != 0
    }

    fn paused(&self, line: u32) -> bool {
        let line = self.lines.get(line as usize);
        line.is_some_and(|line| line.storm.paused_until().is_some())
    }

    /// The real line's entry, which interrupts a processor by a vector of the hypervisor's: masked as long as the domain has
    /// masked it or has an interrupt of it to end, or it is paused. A masked one has its trigger and polarity, too: a real I/O
    /// APIC may follow a line while it is masked, and would take its level for an edge.
    pub fn real(&self, line: u32, vector: u8, apic_id: u8) -> u64 {
        let entry = self.line(line);
        let silent = self.waits(line) || self.paused(line);
        let silent = if silent { MASKED } else { 0 };
        u64::from(vector) | entry & (LEVEL | LOW | MASKED) | silent | u64::from(apic_id) << 56
    }

    /// Whom the domain wants a line's interrupts to go to.
    pub fn destination(&self, line: u32) -> Destination {
        let entry = self.line(line);
        Destination {
            id: (entry >> 56) as u32,
            logical: entry & 1 << 11 != 0,
        }
    }

    /// The real line was asserted. `None` if the domain does not want to know, or not now: what was on its way when a pause
    /// began comes again after it.
    pub fn asserted(&mut self, line: u32) -> Option<Delivery> {
        let to = self.destination(line);
        let Line { entry, storm } = self.lines.get_mut(line as usize)?;
        if *entry & (MASKED | REMOTE_IRR) != 0 || storm.paused_until().is_some() {
            return None;
        }
        // Fixed and lowest priority: what else there is has no vector, and no device of a guest's sends it.
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

    /// The domain ended the level interrupt of a vector: the lines that may be asserted again.
    pub fn ended(&mut self, vector: u8) -> Vec<u32> {
        let mut lines = Vec::new();
        for (line, Line { entry, .. }) in (0..).zip(&mut self.lines) {
            if *entry as u8 == vector && *entry & REMOTE_IRR != 0 {
                *entry &= !REMOTE_IRR;
                lines.push(line);
            }
        }
        lines
    }

    /// The real line was unmasked after an end, and was or was not still `up` ([`storm::is_up`]). If it is paused now, it
    /// has to be masked until [`VIoApic::resumed`] names it.
    pub fn unmasked(&mut self, line: u32, up: bool, now: u64) -> Option<Pause> {
        self.lines.get_mut(line as usize)?.storm.ended(up, now)
    }

    /// When the next pause of a line is over, in nanoseconds.
    pub fn deadline(&self) -> Option<u64> {
        let pauses = self.lines.iter().map(|line| line.storm.paused_until());
        pauses.flatten().min()
    }

    /// The lines whose pause is over: they are to be unmasked.
    pub fn resumed(&mut self, now: u64) -> Vec<u32> {
        let mut lines = Vec::new();
        for (number, line) in (0..).zip(&mut self.lines) {
            if line.storm.resume(now) {
                lines.push(number);
            }
        }
        lines
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
        let delivery = apic.asserted(9).unwrap();
        assert_eq!(
            (delivery.vector, delivery.level, delivery.to.id),
            (0x41, true, 2)
        );
        assert!(apic.waits(9) && apic.asserted(9).is_none());
        assert_eq!(apic.ended(0x40), []);
        assert_eq!(apic.ended(0x41), [9]);
        assert!(apic.asserted(9).is_some());
    }

    #[test]
    fn an_edge_line_never_waits_and_a_masked_one_is_silent() {
        let mut apic = with_entry(4, 0x34);
        assert!(apic.asserted(4).is_some_and(|delivery| !delivery.level));
        assert!(!apic.waits(4) && apic.asserted(4).is_some());
        assert!(with_entry(4, 0x34 | MASKED).asserted(4).is_none());
        // To the least busy; as an NMI.
        assert!(
            with_entry(4, 0x134)
                .asserted(4)
                .is_some_and(|delivery| delivery.lowest)
        );
        assert!(with_entry(4, 0x434).asserted(4).is_none());
    }

    #[test]
    fn the_real_line_keeps_trigger_and_polarity_while_it_is_masked() {
        let entry = 0x41 | LEVEL | LOW;
        let mut apic = with_entry(9, entry | MASKED);
        assert_eq!(apic.real(9, 0x55, 3), 0x55 | LEVEL | LOW | MASKED | 3 << 56);
        apic = with_entry(9, entry);
        assert_eq!(apic.real(9, 0x55, 3), 0x55 | LEVEL | LOW | 3 << 56);
        apic.asserted(9);
        assert_eq!(apic.real(9, 0x55, 3) & (LEVEL | MASKED), LEVEL | MASKED);
        let writes = writes(apic.real(9, 0x55, 3));
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
        apic.asserted(5);
        apic.write(0, 0x10 + 10);
        apic.write(0x10, 0x41);
        assert!(!apic.waits(5));
    }
    #[test]
    fn an_entry_holds_what_may_be_written_to_it() {
        let mut apic = with_entry(3, !0);
        assert_eq!(apic.line(3), WRITABLE);
        // Whether an interrupt is being served is not the guest's to say, and its halves are apart.
        let mut level = with_entry(9, 0x41 | LEVEL | 7 << 56);
        level.asserted(9);
        level.write(0, 0x10 + 9 * 2 + 1);
        level.write(0x10, 5 << 24);
        assert_eq!(level.line(9), 0x41 | LEVEL | REMOTE_IRR | 5 << 56);
        level.write(0, 0x10 + 9 * 2);
        level.write(0x10, 0x42 | LEVEL as u32);
        assert_eq!(level.line(9), 0x42 | LEVEL | REMOTE_IRR | 5 << 56);
        assert_eq!(level.line(24), MASKED, "there is none");
        assert!(!level.waits(24) && level.asserted(24).is_none());
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
            let delivery = apic.asserted(2).expect("open");
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
            assert!(apic.asserted(line).is_some());
        }
        assert_eq!(apic.ended(0x41), [3, 4]);
        assert!(!apic.waits(3) && !apic.waits(4) && apic.waits(5));
        assert_eq!(apic.ended(0x41), []);
    }

    #[test]
    fn the_pause_that_ends_first_is_the_next_deadline() {
        let mut apic = VIoApic::new(0xfec0_0000, 0, 0, 3);
        assert_eq!(apic.deadline(), None);
        for (line, now) in [(2u32, 1000), (0, 2000)] {
            for _ in 0..storm::ENDS {
                apic.unmasked(line, true, now);
            }
        }
        let (first, second) = (1000 + storm::PAUSE, 2000 + storm::PAUSE);
        assert_eq!(apic.deadline(), Some(first));
        assert_eq!(apic.real(2, 0x55, 0) & MASKED, MASKED);
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
