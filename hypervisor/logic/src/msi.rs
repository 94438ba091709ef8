// SPDX-License-Identifier: GPL-2.0

//! Messages of MSI and MSI-X: what an address and a word of data mean to local APICs (Intel SDM volume 3, 11.11; AMD64
//! manual volume 2, 16.5).

/// Bits 31:20 of the address of a message to local APICs.
const ADDRESS_BASE: u64 = 0xfee;

/// The delivery mode of an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryMode {
    /// To all APICs in the destination.
    Fixed,
    /// To the APIC in the destination with the lowest priority.
    LowestPriority,
    /// SMI, NMI, INIT or ExtINT, by its number: devices of a guest may not send these.
    Other(u8),
}

/// A message, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MsiMessage {
    /// The destination: the low eight bits of an APIC id, or a logical set.
    pub destination: u8,
    /// The destination is a logical set.
    pub logical: bool,
    /// The redirection hint.
    pub hint: bool,
    /// The delivery mode.
    pub delivery: DeliveryMode,
    /// The vector of the interrupt.
    pub vector: u8,
    /// Whether it is level-triggered.
    pub level: bool,
}

impl MsiMessage {
    /// Decodes a message. `None` if the address is not that of local APICs, or the vector is illegal (below 16).
    pub fn decode(address: u64, data: u32) -> Option<Self> {
        if address >> 20 != ADDRESS_BASE {
            return None;
        }
        let delivery = match data >> 8 & 7 {
            0 => DeliveryMode::Fixed,
            1 => DeliveryMode::LowestPriority,
            other => DeliveryMode::Other(other as u8),
        };
        let vector = data as u8;
        let vectored = !matches!(delivery, DeliveryMode::Other(_));
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

    /// The address and data of the message.
    pub fn encode(&self) -> (u64, u32) {
        let mode = match self.delivery {
            DeliveryMode::Fixed => 0,
            DeliveryMode::LowestPriority => 1,
            DeliveryMode::Other(other) => u32::from(other & 7),
        };
        let address = ADDRESS_BASE << 20
            | u64::from(self.destination) << 12
            | u64::from(self.hint) << 3
            | u64::from(self.logical) << 2;
        // A level-triggered message asserts; none deasserts.
        let level = if self.level { 1 << 15 | 1 << 14 } else { 0 };
        (address, u32::from(self.vector) | mode << 8 | level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_message_is_what_linux_writes() {
        let message = MsiMessage::decode(0xfee0_300c, 0x4041).expect("a message");
        assert_eq!((message.destination, message.vector), (3, 0x41));
        assert!(message.logical && message.hint && !message.level);
        assert_eq!(message.delivery, DeliveryMode::Fixed);
        assert_eq!(MsiMessage::decode(0xfec0_0000, 0x41), None);
        assert_eq!(MsiMessage::decode(0x1_fee0_0000, 0x41), None);
        assert_eq!(
            MsiMessage::decode(0xfee0_0000, 0x0f),
            None,
            "an illegal vector"
        );
    }

    #[test]
    fn what_no_device_may_send_is_told_apart() {
        for mode in 2..8u8 {
            let data = u32::from(mode) << 8 | 0x05;
            let message = MsiMessage::decode(0xfeef_f000, data).expect("it has no vector");
            assert_eq!(message.delivery, DeliveryMode::Other(mode));
            assert_eq!(message.destination, 0xff);
            assert_eq!(message.encode(), (0xfeef_f000, data));
        }
        let sixteen = MsiMessage::decode(0xfee0_0000, 0x10).expect("the first vector");
        assert!(!sixteen.logical && !sixteen.hint);
        let hint = MsiMessage::decode(0xfee0_0008, 0x4110).expect("a message");
        assert_eq!((hint.logical, hint.hint, hint.level), (false, true, false));
        assert_eq!(hint.delivery, DeliveryMode::LowestPriority);
        let level = MsiMessage::decode(0xfee0_0004, 0xc010).expect("a message");
        assert!(level.logical && !level.hint && level.level);
        assert_eq!(level.encode(), (0xfee0_0004, 0xc010));
    }

    proptest! {
        #[test]
        fn messages_are_read_as_they_were_written(
            destination in any::<u8>(), logical in any::<bool>(), hint in any::<bool>(), vector in 16u8.., level in any::<bool>()
        ) {
            for delivery in [DeliveryMode::Fixed, DeliveryMode::LowestPriority] {
                let message = MsiMessage { destination, logical, hint, delivery, vector, level };
                let (address, data) = message.encode();
                prop_assert_eq!(MsiMessage::decode(address, data), Some(message));
            }
        }
    }
}
