// SPDX-License-Identifier: GPL-2.0

//! The virtual local APIC of a vCPU (vLAPIC), as xAPIC registers in memory and as x2APIC MSRs (Intel SDM volume 3,
//! chapter 11). What a write means to others (an IPI, the EOI of a level-triggered interrupt) is returned to the caller as
//! an [`Effect`].

pub mod save;
mod timer;

const VERSION: u32 = 0x0005_0014;
const LVT_MASKED: u32 = 1 << 16;
/// Bits of an LVT entry that a guest may set: vector, delivery mode, polarity, trigger, mask, timer mode.
const LVT_BITS: u32 = 0x0007_a7ff;

/// What the caller has to do after a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    None,
    /// Send an IPI.
    SendIpi(Icr),
    /// Signal the EOI of the level-triggered interrupt of this vector to the I/O APICs.
    LevelEoi(u8),
    /// Deliver the upcall that is pending: the APIC is enabled, and INIT may have cleared the vector's bit in the IRR.
    Enabled,
}

/// The interrupt command register (11.6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Icr {
    /// Low half: vector, delivery mode, destination mode, level, shorthand.
    pub low: u32,
    /// The destination: an APIC id or a logical set.
    pub destination: u32,
}

/// The destination of an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination {
    /// An APIC id, or a logical set.
    pub id: u32,
    /// Whether it is a logical set.
    pub logical: bool,
}

/// The state of one vLAPIC.
#[derive(Clone, Debug)]
pub struct VLapic {
    id: u32,
    /// IA32_APIC_BASE: address, enable, x2APIC, BSP.
    pub base: u64,
    tpr: u32,
    spurious: u32,
    logical_id: u32,
    format: u32,
    error: u32,
    icr: Icr,
    irr: [u32; 8],
    isr: [u32; 8],
    tmr: [u32; 8],
    /// Timer, thermal, performance, LINT0, LINT1, error.
    lvt: [u32; 6],
    divide: u32,
    initial: u32,
    /// When the timer's counter was started, in nanoseconds of system time.
    started: u64,
    /// When the timer fires next, in nanoseconds of system time.
    deadline: Option<u64>,
    /// IA32_TSC_DEADLINE.
    tsc_deadline: u64,
}

/// Bits of IA32_APIC_BASE.
const BASE_BSP: u64 = 1 << 8;
const BASE_X2APIC: u64 = 1 << 10;
const BASE_ENABLE: u64 = 1 << 11;
/// Guest-physical address of the registers, which cannot be moved.
pub const ADDRESS: u64 = 0xfee0_0000;

/// The highest vector whose bit is set.
fn highest(bits: &[u32; 8]) -> Option<u8> {
    (0..8)
        .rev()
        .find(|&word| bits[word] != 0)
        .map(|word| (word as u32 * 32 + 31 - bits[word].leading_zeros()) as u8)
}

/// Word and bit of a vector in the IRR, ISR and TMR.
fn bit(vector: u8) -> (usize, u32) {
    (usize::from(vector) / 32, 1 << (vector % 32))
}

impl VLapic {
    /// A vLAPIC as after a reset; `boot` for the BSP.
    pub fn new(id: u32, boot: bool) -> Self {
        Self {
            id,
            base: ADDRESS | BASE_ENABLE | if boot { BASE_BSP } else { 0 },
            tpr: 0,
            spurious: 0xff,
            logical_id: 0,
            format: !0,
            error: 0,
            icr: Icr {
                low: 0,
                destination: 0,
            },
            irr: [0; 8],
            isr: [0; 8],
            tmr: [0; 8],
            lvt: [LVT_MASKED; 6],
            divide: 0,
            initial: 0,
            started: 0,
            deadline: None,
            tsc_deadline: 0,
        }
    }

    /// Resets all but the ids and the base register, as INIT does.
    pub fn reset(&mut self) {
        *self = Self {
            base: self.base,
            ..Self::new(self.id, false)
        };
        self.derive_logical_id();
    }

    /// In x2APIC mode the logical id follows from the APIC id (11.12.10.2).
    fn derive_logical_id(&mut self) {
        if self.x2apic() {
            self.logical_id = (self.id >> 4) << 16 | 1 << (self.id & 15);
        }
    }

    /// Whether it is in x2APIC mode.
    pub fn x2apic(&self) -> bool {
        self.base & BASE_X2APIC != 0
    }

    /// Whether the base register enables it.
    pub fn is_on(&self) -> bool {
        self.base & BASE_ENABLE != 0
    }

    /// The APIC id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Whether it is enabled by the base register and by software (SVR bit 8).
    fn enabled(&self) -> bool {
        self.base & BASE_ENABLE != 0 && self.spurious & 0x100 != 0
    }

    /// Writes the base register. False if the value is not allowed, which is a #GP.
    pub fn set_base(&mut self, value: u64) -> bool {
        let mode = BASE_ENABLE | BASE_X2APIC;
        let allowed = match (self.base & mode, value & mode) {
            (_, BASE_X2APIC) => false,
            (old, BASE_ENABLE) => old != mode,
            _ => true,
        };
        // The registers cannot be moved.
        if !allowed || value & !(mode | BASE_BSP) != ADDRESS {
            return false;
        }
        self.base = value;
        self.derive_logical_id();
        true
    }

    /// Whether this APIC is in a destination (`vlapic_match_dest`).
    pub fn match_dest(&self, to: Destination) -> bool {
        let broadcast = if self.x2apic() { !0 } else { 0xff };
        if !to.logical {
            return to.id == self.id || to.id == broadcast || to.id == 0xff;
        }
        if self.x2apic() {
            return to.id >> 16 == self.logical_id >> 16 && to.id & self.logical_id & 0xffff != 0;
        }
        let mine = self.logical_id >> 24;
        if self.format >> 28 == 0xf {
            mine & to.id != 0
        } else {
            mine >> 4 == to.id >> 4 && mine & to.id & 0xf != 0
        }
    }

    /// Sets a vector's bit in the IRR (`vlapic_set_irq`). False if the APIC is disabled.
    pub fn set_irq(&mut self, vector: u8, level: bool) -> bool {
        if !self.enabled() || vector < 16 {
            return false;
        }
        let (word, bit) = bit(vector);
        self.irr[word] |= bit;
        if level {
            self.tmr[word] |= bit;
        } else {
            self.tmr[word] &= !bit;
        }
        true
    }

    /// Sets the bit of an upcall's vector in the IRR. If the APIC is disabled, it is delivered once it is enabled.
    pub fn set_evtchn_irq(&mut self, vector: u8) {
        let (word, bit) = bit(vector);
        self.irr[word] |= bit;
        self.tmr[word] &= !bit;
    }

    /// The processor priority (11.8.3.1).
    fn ppr(&self) -> u32 {
        let in_service = highest(&self.isr).map_or(0, u32::from);
        if self.tpr & 0xf0 >= in_service & 0xf0 {
            self.tpr
        } else {
            in_service & 0xf0
        }
    }

    /// The vector to deliver next, if the processor accepts interrupts.
    pub fn pending_irq(&self) -> Option<u8> {
        let vector = highest(&self.irr)?;
        (self.enabled() && u32::from(vector) & 0xf0 > self.ppr() & 0xf0).then_some(vector)
    }

    /// Moves a vector that is being delivered from the IRR to the ISR.
    pub fn ack_pending_irq(&mut self, vector: u8) {
        let (word, bit) = bit(vector);
        self.irr[word] &= !bit;
        self.isr[word] |= bit;
    }

    /// Ends the interrupt of the highest vector in the ISR.
    fn eoi(&mut self) -> Effect {
        let Some(vector) = highest(&self.isr) else {
            return Effect::None;
        };
        let (word, bit) = bit(vector);
        self.isr[word] &= !bit;
        if self.tmr[word] & bit != 0 {
            Effect::LevelEoi(vector)
        } else {
            Effect::None
        }
    }

    /// The task priority register, whose bits 7:4 are CR8.
    pub fn tpr(&self) -> u32 {
        self.tpr
    }

    /// Sets the task priority register.
    pub fn set_tpr(&mut self, value: u32) {
        self.tpr = value & 0xff;
    }

    /// Reads the register at an offset; `None` if there is none (a #GP for x2APIC).
    pub fn read(&self, offset: u32, now: u64) -> Option<u32> {
        let word = (offset >> 4 & 7) as usize;
        Some(match offset {
            0x20 if self.x2apic() => self.id,
            0x20 => self.id << 24,
            0x30 => VERSION,
            0x80 => self.tpr,
            0xa0 => self.ppr(),
            0xd0 => self.logical_id,
            0xe0 if !self.x2apic() => self.format,
            0xf0 => self.spurious,
            0x100..=0x170 => self.isr[word],
            0x180..=0x1f0 => self.tmr[word],
            0x200..=0x270 => self.irr[word],
            0x280 => self.error,
            0x300 => self.icr.low,
            0x310 if self.x2apic() => self.icr.destination,
            0x310 => self.icr.destination << 24,
            0x320..=0x370 => self.lvt[((offset - 0x320) >> 4) as usize],
            0x380 => self.initial,
            0x390 => self.current_count(now),
            0x3e0 => self.divide,
            _ => return None,
        })
    }

    /// Writes the register at an offset; `None` if there is none or it cannot be written (a #GP for x2APIC).
    pub fn write(&mut self, offset: u32, value: u32, now: u64) -> Option<Effect> {
        match offset {
            0x80 => self.tpr = value & 0xff,
            0xb0 => return Some(self.eoi()),
            0xd0 if !self.x2apic() => self.logical_id = value & 0xff00_0000,
            0xe0 if !self.x2apic() => self.format = value | 0x0fff_ffff,
            0xf0 => {
                self.spurious = value & 0x1ff;
                if value & 0x100 != 0 {
                    return Some(Effect::Enabled);
                }
                self.lvt.iter_mut().for_each(|entry| *entry |= LVT_MASKED);
            }
            0x280 => self.error = 0,
            0x300 => {
                self.icr.low = value & !(1 << 12);
                return Some(Effect::SendIpi(self.icr));
            }
            0x310 if !self.x2apic() => self.icr.destination = value >> 24,
            0x320..=0x370 if offset & 0xf == 0 => {
                let index = ((offset - 0x320) >> 4) as usize;
                let masked = if self.spurious & 0x100 == 0 {
                    LVT_MASKED
                } else {
                    0
                };
                let before = self.timer_mode();
                self.lvt[index] = value & LVT_BITS | masked;
                if index == 0 && before != self.timer_mode() {
                    self.deadline = None;
                    self.tsc_deadline = 0;
                }
            }
            0x380 if self.timer_mode() != 2 => {
                self.initial = value;
                self.started = now;
                self.deadline = (value != 0).then(|| now + self.timer_period());
            }
            0x380 => {}
            0x3e0 => self.divide = value & 0b1011,
            // The self-IPI register exists in x2APIC mode only.
            0x3f0 if self.x2apic() => {
                self.set_irq(value as u8, false);
            }
            0x20 | 0x30 | 0xa0 | 0xd0 | 0x390 if !self.x2apic() => {}
            _ => return None,
        }
        Some(Effect::None)
    }

    /// Writes the whole ICR, as x2APIC does.
    pub fn write_icr(&mut self, value: u64) -> Effect {
        self.icr = Icr {
            low: value as u32,
            destination: (value >> 32) as u32,
        };
        Effect::SendIpi(self.icr)
    }

    /// The whole ICR.
    pub fn icr(&self) -> u64 {
        u64::from(self.icr.destination) << 32 | u64::from(self.icr.low)
    }
}

#[cfg(test)]
mod tests;
