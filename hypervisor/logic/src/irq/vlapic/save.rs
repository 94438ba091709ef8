// SPDX-License-Identifier: GPL-2.0

//! The state of a local APIC in the form in which the toolstack saves and loads it: what is not in its registers, and the
//! page of registers as in xAPIC mode.

use super::{ADDRESS, BASE_ENABLE, BASE_X2APIC, Icr, LVT_BITS, LVT_MASKED, VERSION, VLapic};
use crate::error::{Errno, Result};
use xen_abi::hvm::save::{Lapic, LapicRegs};

/// It is disabled by the spurious vector register (`VLAPIC_SW_DISABLED`).
const SOFTWARE_DISABLED: u32 = 1 << 0;
/// It is disabled by the base register (`VLAPIC_HW_DISABLED`).
const HARDWARE_DISABLED: u32 = 1 << 1;
/// SVR bit 8: it is enabled by software.
const SPURIOUS_ENABLE: u32 = 1 << 8;

/// Offsets of registers in the page.
mod offset {
    pub const ID: usize = 0x20;
    pub const VERSION: usize = 0x30;
    pub const TPR: usize = 0x80;
    pub const PPR: usize = 0xa0;
    pub const LDR: usize = 0xd0;
    pub const DFR: usize = 0xe0;
    pub const SPURIOUS: usize = 0xf0;
    pub const ISR: usize = 0x100;
    pub const TMR: usize = 0x180;
    pub const IRR: usize = 0x200;
    pub const ERROR: usize = 0x280;
    pub const ICR_LOW: usize = 0x300;
    pub const ICR_HIGH: usize = 0x310;
    pub const LVT: usize = 0x320;
    pub const INITIAL_COUNT: usize = 0x380;
    pub const CURRENT_COUNT: usize = 0x390;
    pub const DIVIDE: usize = 0x3e0;
}

/// Whether a base register can be loaded.
///
/// # Errors
///
/// [`Errno::EINVAL`] for x2APIC mode of an APIC that is disabled, or for another address.
pub fn check_hidden(state: &Lapic) -> Result<()> {
    let base = state.apic_base_msr;
    let is_valid = base & (BASE_ENABLE | BASE_X2APIC) != BASE_X2APIC && base & !0xfff == ADDRESS;
    if is_valid { Ok(()) } else { Err(Errno::EINVAL) }
}

impl VLapic {
    /// What is not in the registers.
    pub fn save_hidden(&self) -> Lapic {
        let software = if self.spurious & SPURIOUS_ENABLE == 0 {
            SOFTWARE_DISABLED
        } else {
            0
        };
        let hardware = if self.is_on() { 0 } else { HARDWARE_DISABLED };
        Lapic {
            apic_base_msr: self.base,
            disabled: software | hardware,
            timer_divisor: self.timer_divisor() as u32,
            tdt_msr: self.tsc_deadline,
            pending_esr: 0,
            pad: 0,
        }
    }

    /// The registers at a system time.
    pub fn save_registers(&self, now: u64) -> LapicRegs {
        let mut data = [0; 1024];
        let mut put =
            |at: usize, value: u32| data[at..at + 4].copy_from_slice(&value.to_le_bytes());
        let high = |value: u32| if self.x2apic() { value } else { value << 24 };
        put(offset::ID, high(self.id));
        put(offset::VERSION, VERSION);
        put(offset::TPR, self.tpr);
        put(offset::PPR, self.ppr());
        put(offset::LDR, self.logical_id);
        put(offset::DFR, self.format);
        put(offset::SPURIOUS, self.spurious);
        for word in 0..8 {
            put(offset::ISR + 16 * word, self.isr[word]);
            put(offset::TMR + 16 * word, self.tmr[word]);
            put(offset::IRR + 16 * word, self.irr[word]);
        }
        put(offset::ERROR, self.error);
        put(offset::ICR_LOW, self.icr.low);
        put(offset::ICR_HIGH, high(self.icr.destination));
        for (index, entry) in self.lvt.iter().enumerate() {
            put(offset::LVT + 16 * index, *entry);
        }
        put(offset::INITIAL_COUNT, self.initial);
        put(offset::CURRENT_COUNT, self.current_count(now));
        put(offset::DIVIDE, self.divide);
        LapicRegs { data }
    }

    /// Loads what is not in the registers, which [`check_hidden`] has accepted. Whether it is the boot processor's stays.
    pub fn load_hidden(&mut self, state: &Lapic) {
        let mode = BASE_ENABLE | BASE_X2APIC;
        self.base = self.base & !mode | state.apic_base_msr & mode;
        self.tsc_deadline = state.tdt_msr;
        self.derive_logical_id();
    }

    /// Loads the registers, after what is not in them. Whatever a page says, it is one that a guest could have written: the
    /// id and the version stay. A timer that runs starts anew at `now`; `deadline_at` is the system time of a deadline by the
    /// time-stamp counter.
    pub fn load_registers(
        &mut self,
        registers: &LapicRegs,
        now: u64,
        deadline_at: impl FnOnce(u64) -> u64,
    ) {
        let get = |at: usize| {
            let bytes = registers.data.get(at..at + 4);
            bytes.map_or(0, |bytes| {
                bytes
                    .iter()
                    .rev()
                    .fold(0, |word, byte| word << 8 | u32::from(*byte))
            })
        };
        let x2apic = self.x2apic();
        self.tpr = get(offset::TPR) & 0xff;
        if !x2apic {
            self.logical_id = get(offset::LDR) & 0xff00_0000;
            self.format = get(offset::DFR) | 0x0fff_ffff;
        }
        self.spurious = get(offset::SPURIOUS) & 0x1ff;
        for word in 0..8 {
            self.isr[word] = get(offset::ISR + 16 * word);
            self.tmr[word] = get(offset::TMR + 16 * word);
            self.irr[word] = get(offset::IRR + 16 * word);
        }
        // Vectors below 16 are never delivered.
        for words in [&mut self.isr, &mut self.irr] {
            words[0] &= !0xffff;
        }
        self.error = get(offset::ERROR);
        let destination = get(offset::ICR_HIGH);
        self.icr = Icr {
            low: get(offset::ICR_LOW) & !(1 << 12),
            destination: if x2apic {
                destination
            } else {
                destination >> 24
            },
        };
        let masked = if self.spurious & SPURIOUS_ENABLE == 0 {
            LVT_MASKED
        } else {
            0
        };
        for (index, entry) in self.lvt.iter_mut().enumerate() {
            *entry = get(offset::LVT + 16 * index) & LVT_BITS | masked;
        }
        self.divide = get(offset::DIVIDE) & 0b1011;
        self.initial = get(offset::INITIAL_COUNT);
        self.started = now;
        self.deadline = match self.timer_mode() {
            2 => (self.tsc_deadline != 0).then(|| deadline_at(self.tsc_deadline)),
            _ => (self.initial != 0).then(|| now + self.timer_period()),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn loaded(from: &VLapic, now: u64) -> VLapic {
        let mut to = VLapic::new(from.id, from.base & 1 << 8 != 0);
        to.load_hidden(&from.save_hidden());
        to.load_registers(&from.save_registers(now), now, |tsc| tsc);
        to
    }

    #[test]
    fn what_is_saved_is_loaded() {
        for x2apic in [false, true] {
            let mut apic = VLapic::new(6, true);
            if x2apic {
                assert!(apic.set_base(apic.base | BASE_X2APIC));
            } else {
                apic.write(0xd0, 0x0400_0000, 0);
                apic.write(0xe0, 0xf000_0000, 0);
            }
            apic.write(0xf0, 0x1ff, 0);
            apic.write(0x80, 0x20, 0);
            // A periodic timer, an interrupt in service, others that are requested.
            apic.write(0x320, 0x2_00ef, 0);
            apic.write(0x3e0, 0b1011, 0);
            apic.write(0x380, 1_000_000, 0);
            for vector in [0x31, 0x41, 0xf3] {
                assert!(apic.set_irq(vector, vector == 0x41));
            }
            apic.ack_pending_irq(0x31);
            let after = loaded(&apic, 5_000);
            assert_eq!(after.save_hidden(), apic.save_hidden());
            let (old, new) = (apic.save_registers(5_000), after.save_registers(5_000));
            for at in (0..1024)
                .step_by(4)
                .filter(|at| *at != offset::CURRENT_COUNT)
            {
                assert_eq!(old.data[at..at + 4], new.data[at..at + 4], "{at:#x}");
            }
            // The timer begins a whole period.
            assert_eq!(after.deadline(), Some(5_000 + 10_000_000));
            assert_eq!(after.pending_irq(), apic.pending_irq());
            assert_eq!(after.id(), 6);
        }
    }

    #[test]
    fn a_deadline_by_the_counter_stays() {
        let mut apic = VLapic::new(0, true);
        apic.write(0xf0, 0x1ff, 0);
        apic.write(0x320, 0x4_00ec, 0);
        apic.set_tsc_deadline(123_456, 7_000);
        let mut after = VLapic::new(0, true);
        after.load_hidden(&apic.save_hidden());
        after.load_registers(&apic.save_registers(100), 100, |tsc| tsc + 1);
        assert_eq!(
            (after.tsc_deadline(), after.deadline()),
            (123_456, Some(123_457))
        );
    }

    #[test]
    fn base_registers_are_checked() {
        let with = |apic_base_msr| {
            check_hidden(&Lapic {
                apic_base_msr,
                ..Lapic::default()
            })
        };
        assert_eq!(with(0xfee0_0900), Ok(()));
        assert_eq!(with(0xfee0_0c00), Ok(()));
        assert_eq!(with(0xfee0_0400), Err(Errno::EINVAL));
        assert_eq!(with(0xfed0_0900), Err(Errno::EINVAL));
    }

    proptest! {
        /// A page of any bytes gives an APIC that works on, and whose page is then loaded as it is.
        #[test]
        fn any_page_can_be_loaded(bytes in proptest::collection::vec(any::<u8>(), 1024), x2apic: bool, deadline: u64) {
            let mut registers = LapicRegs { data: [0; 1024] };
            registers.data.copy_from_slice(&bytes);
            let mut apic = VLapic::new(2, false);
            let mode = if x2apic { BASE_X2APIC } else { 0 };
            apic.load_hidden(&Lapic { apic_base_msr: ADDRESS | BASE_ENABLE | mode, tdt_msr: deadline, ..Lapic::default() });
            apic.load_registers(&registers, 1_000, |tsc| tsc);
            prop_assert_eq!(apic.id(), 2);
            apic.check_timer(1 << 62);
            if let Some(vector) = apic.pending_irq() {
                prop_assert!(vector >= 16);
                apic.ack_pending_irq(vector);
            }
            apic.write(0xb0, 0, 0);
            let again = loaded(&apic, 2_000);
            prop_assert_eq!(again.save_hidden(), apic.save_hidden());
            prop_assert_eq!(again.irr, apic.irr);
            prop_assert_eq!(again.lvt, apic.lvt);
        }
    }
}
