//! Message-signalled interrupts: what an address and a word of data mean (Intel SDM volume 3, 11.11; AMD64 manual
//! volume 2, 16.5), and what a guest has written to a device's MSI-X table, of which the device never sees more than
//! the hypervisor routes.

use alloc::vec;
use alloc::vec::Vec;

/// Addresses of messages to local APICs: bits 31 to 20.
const WINDOW: u64 = 0xfee;
/// Bytes of an entry of an MSI-X table.
pub const ENTRY: u64 = 16;
/// Bit of an entry's control word: no interrupts, please.
const MASKED: u32 = 1;

/// How an interrupt is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// To all destinations.
    Fixed,
    /// To the least busy one.
    LowestPriority,
    /// System management, NMI, INIT or an external controller's, by its number: no device may send these for a guest.
    Other(u8),
}

/// A message as the local APICs understand it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// The destination: the low eight bits of an APIC's number, or a logical set.
    pub destination: u8,
    /// The destination is a logical set.
    pub logical: bool,
    /// The redirection hint.
    pub hint: bool,
    /// How it is delivered.
    pub delivery: Delivery,
    /// The vector.
    pub vector: u8,
    /// Level-triggered.
    pub level: bool,
}

impl Message {
    /// Reads a message. `None` if the address is not that of local APICs, or the vector one that they refuse (below
    /// 16).
    pub fn decode(address: u64, data: u32) -> Option<Self> {
        if address >> 20 != WINDOW {
            return None;
        }
        let delivery = match data >> 8 & 7 {
            0 => Delivery::Fixed,
            1 => Delivery::LowestPriority,
            other => Delivery::Other(other as u8),
        };
        let vector = data as u8;
        let vectored = !matches!(delivery, Delivery::Other(_));
        if vectored && vector < 16 {
            return None;
        }
        Some(Self {
            destination: (address >> 12) as u8,
            logical: address & 1 << 2 != 0,
            hint: address & 1 << 3 != 0,
            delivery,
            vector,
            level: data & 1 << 15 != 0,
        })
    }

    /// The address and the data.
    pub fn encode(&self) -> (u64, u32) {
        let mode = match self.delivery {
            Delivery::Fixed => 0,
            Delivery::LowestPriority => 1,
            Delivery::Other(other) => u32::from(other & 7),
        };
        let address = WINDOW << 20
            | u64::from(self.destination) << 12
            | u64::from(self.hint) << 3
            | u64::from(self.logical) << 2;
        // A level message asserts; there is none that deasserts.
        let level = if self.level { 1 << 15 | 1 << 14 } else { 0 };
        (address, u32::from(self.vector) | mode << 8 | level)
    }
}

/// An entry of a device's MSI-X table as the guest wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where.
    pub address: u64,
    /// What.
    pub data: u32,
    /// Not now.
    pub masked: bool,
}

impl Entry {
    /// As a device has it after a reset.
    const RESET: Self = Self {
        address: 0,
        data: 0,
        masked: true,
    };

    fn word(&self, place: u64) -> u32 {
        match place {
            0 => self.address as u32,
            1 => (self.address >> 32) as u32,
            2 => self.data,
            _ => u32::from(self.masked),
        }
    }

    fn set_word(&mut self, place: u64, value: u32) {
        match place {
            // The lowest two bits are not there.
            0 => self.address = self.address & !0xffff_ffff | u64::from(value & !3),
            1 => self.address = self.address & 0xffff_ffff | u64::from(value) << 32,
            2 => self.data = value,
            _ => self.masked = value & MASKED != 0,
        }
    }
}

/// What has to be done at the device after a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing: what changed is masked.
    None,
    /// The entry is to be masked.
    Mask(u16),
    /// The entry is to be routed to where it says now, and unmasked.
    Route(u16),
}

/// What a guest sees as a device's MSI-X table.
#[derive(Clone, Debug)]
pub struct Table {
    entries: Vec<Entry>,
}

impl Table {
    /// A table of so many entries, 2048 at most.
    pub fn new(entries: u16) -> Self {
        Self {
            entries: vec![Entry::RESET; usize::from(entries.min(2048))],
        }
    }

    /// An entry.
    pub fn entry(&self, index: u16) -> Option<&Entry> {
        self.entries.get(usize::from(index))
    }

    /// Reads 4 or 8 aligned bytes; `None` for any other access, or one beyond the table.
    pub fn read(&self, offset: u64, size: u8) -> Option<u64> {
        let (index, place) = self.place(offset, size)?;
        let entry = &self.entries[index];
        let low = u64::from(entry.word(place));
        Some(if size == 8 {
            low | u64::from(entry.word(place + 1)) << 32
        } else {
            low
        })
    }

    /// Writes 4 or 8 aligned bytes.
    pub fn write(&mut self, offset: u64, size: u8, value: u64) -> Option<Change> {
        let (index, place) = self.place(offset, size)?;
        let entry = &mut self.entries[index];
        let before = *entry;
        entry.set_word(place, value as u32);
        if size == 8 {
            entry.set_word(place + 1, (value >> 32) as u32);
        }
        let index = index as u16;
        Some(match (before.masked, entry.masked) {
            (false, true) => Change::Mask(index),
            (true, true) => Change::None,
            (_, false) if before == *entry => Change::None,
            // A guest that changes an entry that is not masked gets what it wrote, word by word, as on hardware.
            (_, false) => Change::Route(index),
        })
    }

    fn place(&self, offset: u64, size: u8) -> Option<(usize, u64)> {
        if !matches!(size, 4 | 8) || offset % u64::from(size) != 0 {
            return None;
        }
        let index = usize::try_from(offset / ENTRY).ok()?;
        (index < self.entries.len()).then_some((index, offset % ENTRY / 4))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_message_is_what_linux_writes() {
        let message = Message::decode(0xfee0_300c, 0x4041).expect("a message");
        assert_eq!((message.destination, message.vector), (3, 0x41));
        assert!(message.logical && message.hint && !message.level);
        assert_eq!(message.delivery, Delivery::Fixed);
        assert_eq!(Message::decode(0xfec0_0000, 0x41), None);
        assert_eq!(Message::decode(0x1_fee0_0000, 0x41), None);
        assert_eq!(
            Message::decode(0xfee0_0000, 0x0f),
            None,
            "an illegal vector"
        );
    }

    #[test]
    fn only_what_is_not_masked_is_routed() {
        let mut table = Table::new(3);
        assert_eq!(table.write(16, 4, 0xfee0_1003), Some(Change::None));
        assert_eq!(table.write(24, 4, 0x55), Some(Change::None));
        assert_eq!(table.write(28, 4, 0), Some(Change::Route(1)));
        let entry = Entry {
            address: 0xfee0_1000,
            data: 0x55,
            masked: false,
        };
        assert_eq!(table.entry(1), Some(&entry));
        assert_eq!(table.write(28, 4, 0), Some(Change::None));
        assert_eq!(table.write(24, 8, 1 << 32 | 0x56), Some(Change::Mask(1)));
        assert_eq!(table.read(24, 8), Some(1 << 32 | 0x56));
        assert_eq!(table.write(48, 4, 0), None);
        assert_eq!(table.read(2, 4), None);
        assert_eq!(table.read(0, 2), None);
    }

    #[test]
    fn what_no_device_may_send_is_told_apart() {
        for mode in 2..8u8 {
            let data = u32::from(mode) << 8 | 0x05;
            let message = Message::decode(0xfeef_f000, data).expect("it has no vector");
            assert_eq!(message.delivery, Delivery::Other(mode));
            assert_eq!(message.destination, 0xff);
            assert_eq!(message.encode(), (0xfeef_f000, data));
        }
        let sixteen = Message::decode(0xfee0_0000, 0x10).expect("the first vector");
        assert!(!sixteen.logical && !sixteen.hint);
        let hint = Message::decode(0xfee0_0008, 0x4110).expect("a message");
        assert_eq!((hint.logical, hint.hint, hint.level), (false, true, false));
        assert_eq!(hint.delivery, Delivery::LowestPriority);
        let level = Message::decode(0xfee0_0004, 0xc010).expect("a message");
        assert!(level.logical && !level.hint && level.level);
        assert_eq!(level.encode(), (0xfee0_0004, 0xc010));
    }

    #[test]
    fn an_entry_is_written_and_read_by_words_of_either_size() {
        let mut table = Table::new(2);
        assert_eq!(table.read(28, 4), Some(1), "masked at first");
        let address = 0x1234_5678_9abc_deff;
        assert_eq!(table.write(16, 8, address), Some(Change::None));
        assert_eq!(table.read(16, 8), Some(address & !3));
        assert_eq!(table.read(16, 4), Some(0x9abc_defc));
        assert_eq!(table.read(20, 4), Some(0x1234_5678));
        assert_eq!(table.write(20, 4, 0), Some(Change::None));
        assert_eq!(table.read(16, 8), Some(0x9abc_defc));
        assert_eq!(
            table.write(24, 8, 0xffff_fffe << 32 | 0x77),
            Some(Change::Route(1))
        );
        assert_eq!(table.read(24, 8), Some(0x77));
        // Each word of one that is not masked counts at once; the same again does not.
        assert_eq!(table.write(20, 4, 1), Some(Change::Route(1)));
        assert_eq!(table.write(20, 4, 1), Some(Change::None));
        assert_eq!(table.write(24, 4, 0x78), Some(Change::Route(1)));
        assert_eq!(table.write(28, 4, 1), Some(Change::Mask(1)));
        assert_eq!(table.write(28, 4, 1), Some(Change::None));
        assert_eq!(table.entry(0), Some(&Entry::RESET), "the other one");
        for (offset, size) in [(32, 4), (u64::MAX - 3, 4), (4, 8), (12, 8), (6, 4), (0, 1)] {
            assert_eq!(table.read(offset, size), None, "{offset} {size}");
            assert_eq!(table.write(offset, size, 0), None, "{offset} {size}");
        }
        assert!(table.entry(2).is_none());
        let large = Table::new(u16::MAX);
        assert!(large.entry(2047).is_some() && large.entry(2048).is_none());
    }

    proptest! {
        #[test]
        fn messages_are_read_as_they_were_written(
            destination in any::<u8>(), logical in any::<bool>(), hint in any::<bool>(), vector in 16u8.., level in any::<bool>()
        ) {
            for delivery in [Delivery::Fixed, Delivery::LowestPriority] {
                let message = Message { destination, logical, hint, delivery, vector, level };
                let (address, data) = message.encode();
                prop_assert_eq!(Message::decode(address, data), Some(message));
            }
        }

        #[test]
        fn a_table_holds_what_is_written_and_nothing_else(
            writes in proptest::collection::vec((any::<u8>(), any::<bool>(), any::<u64>()), 0..60)
        ) {
            let mut table = Table::new(4);
            for (offset, wide, value) in writes {
                let size = if wide { 8 } else { 4 };
                let others: Vec<Entry> = table.entries.clone();
                let done = table.write(offset.into(), size, value);
                if done.is_some() {
                    // Of an address the lowest two bits are not there, of a control word only the lowest is.
                    let kept = [!3, !0, !0, 1].map(u64::from as fn(u32) -> u64);
                    let at = usize::from(offset) % 16 / 4;
                    let kept = if wide { kept[at + 1] << 32 | kept[at] } else { kept[at] };
                    prop_assert_eq!(table.read(offset.into(), size), Some(value & kept));
                }
                for (index, entry) in table.entries.iter().enumerate() {
                    if done.is_none() || index as u64 != u64::from(offset) / ENTRY {
                        prop_assert_eq!(*entry, others[index]);
                    }
                }
            }
        }
    }
}
