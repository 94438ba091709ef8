// SPDX-License-Identifier: GPL-2.0

//! A vCPU's local APIC, as xAPIC registers in memory and as x2APIC model-specific registers (Intel SDM volume 3,
//! chapter 11). It decides what is pending and what a register holds; sending to other vCPUs and the end of a level
//! interrupt are told to the caller.

/// Nanoseconds of a tick of the timer before division: 100 MHz, as Xen's.
pub const TICK: u64 = 10;

const VERSION: u32 = 0x0005_0014;
const LVT_MASKED: u32 = 1 << 16;
/// Bits of an LVT entry a guest may set: vector, delivery mode, polarity, trigger, mask, timer mode.
const LVT_BITS: u32 = 0x0007_a7ff;

/// What a write asks of the rest of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    None,
    /// An interrupt command is to be sent.
    Send(Command),
    /// The level interrupt of this vector was served.
    LevelEnded(u8),
}

/// An interrupt command (11.6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// Low half: vector, delivery mode, destination mode, level, shorthand.
    pub low: u32,
    /// The destination, an APIC id or a set.
    pub destination: u32,
}

/// Whom an interrupt is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination {
    /// An APIC id, or a logical set.
    pub id: u32,
    /// Whether it is a logical set.
    pub logical: bool,
}

/// The state of one local APIC.
#[derive(Clone, Debug)]
pub struct VLapic {
    id: u32,
    /// The APIC base register: address, enable, x2APIC, boot processor.
    pub base: u64,
    task_priority: u32,
    spurious: u32,
    logical_id: u32,
    format: u32,
    error: u32,
    icr: Command,
    requested: [u32; 8],
    in_service: [u32; 8],
    level: [u32; 8],
    /// Timer, thermal, performance, LINT0, LINT1, error.
    lvt: [u32; 6],
    divide: u32,
    initial: u32,
    /// When the counter was started, in nanoseconds.
    started: u64,
    /// When the timer fires next, in nanoseconds.
    deadline: Option<u64>,
    /// The TSC-deadline register.
    tsc_deadline: u64,
}

/// The base register's bits.
const BASE_BSP: u64 = 1 << 8;
const BASE_X2APIC: u64 = 1 << 10;
const BASE_ENABLE: u64 = 1 << 11;
/// Where the registers are, for every guest.
pub const ADDRESS: u64 = 0xfee0_0000;

fn highest(bits: &[u32; 8]) -> Option<u8> {
    (0..8)
        .rev()
        .find(|&word| bits[word] != 0)
        .map(|word| (word as u32 * 32 + 31 - bits[word].leading_zeros()) as u8)
}

fn bit(vector: u8) -> (usize, u32) {
    (usize::from(vector) / 32, 1 << (vector % 32))
}

impl VLapic {
    /// The APIC with an id, as after a reset.
    pub fn new(id: u32, boot: bool) -> Self {
        Self {
            id,
            base: ADDRESS | BASE_ENABLE | if boot { BASE_BSP } else { 0 },
            task_priority: 0,
            spurious: 0xff,
            logical_id: 0,
            format: !0,
            error: 0,
            icr: Command {
                low: 0,
                destination: 0,
            },
            requested: [0; 8],
            in_service: [0; 8],
            level: [0; 8],
            lvt: [LVT_MASKED; 6],
            divide: 0,
            initial: 0,
            started: 0,
            deadline: None,
            tsc_deadline: 0,
        }
    }

    /// As after INIT: everything but the ids and the base register.
    pub fn reset(&mut self) {
        *self = Self {
            base: self.base,
            ..Self::new(self.id, false)
        };
        self.derive_logical_id();
    }

    /// Model-specific registers have a logical id that comes of the id (11.12.10.2).
    fn derive_logical_id(&mut self) {
        if self.x2apic() {
            self.logical_id = (self.id >> 4) << 16 | 1 << (self.id & 15);
        }
    }

    /// Whether the registers are model-specific ones now.
    pub fn x2apic(&self) -> bool {
        self.base & BASE_X2APIC != 0
    }

    /// Whether the base register has it on.
    pub fn is_on(&self) -> bool {
        self.base & BASE_ENABLE != 0
    }

    /// The APIC id.
    pub fn id(&self) -> u32 {
        self.id
    }

    fn enabled(&self) -> bool {
        self.base & BASE_ENABLE != 0 && self.spurious & 0x100 != 0
    }

    /// Writes the base register; false if the value is not allowed (a #GP).
    pub fn set_base(&mut self, value: u64) -> bool {
        let mode = BASE_ENABLE | BASE_X2APIC;
        let allowed = match (self.base & mode, value & mode) {
            (_, BASE_X2APIC) => false,
            (old, BASE_ENABLE) => old != mode,
            _ => true,
        };
        // The registers stay where they are: nobody moves them.
        if !allowed || value & !(mode | BASE_BSP) != ADDRESS {
            return false;
        }
        self.base = value;
        self.derive_logical_id();
        true
    }

    /// Whether an interrupt with this destination is for this APIC.
    pub fn matches(&self, to: Destination) -> bool {
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

    /// Marks a vector as requested. False if the APIC is off.
    pub fn request(&mut self, vector: u8, level: bool) -> bool {
        if !self.enabled() || vector < 16 {
            return false;
        }
        let (word, bit) = bit(vector);
        self.requested[word] |= bit;
        if level {
            self.level[word] |= bit;
        } else {
            self.level[word] &= !bit;
        }
        true
    }

    /// Marks a vector of the hypervisor's as requested; while the APIC is off it waits.
    pub fn request_event(&mut self, vector: u8) {
        let (word, bit) = bit(vector);
        self.requested[word] |= bit;
        self.level[word] &= !bit;
    }

    /// The priority class below which nothing is delivered.
    fn processor_priority(&self) -> u32 {
        let serving = highest(&self.in_service).map_or(0, u32::from);
        if self.task_priority & 0xf0 >= serving & 0xf0 {
            self.task_priority
        } else {
            serving & 0xf0
        }
    }

    /// The vector to be delivered now, if the processor takes interrupts.
    pub fn pending(&self) -> Option<u8> {
        let vector = highest(&self.requested)?;
        (self.enabled() && u32::from(vector) & 0xf0 > self.processor_priority() & 0xf0)
            .then_some(vector)
    }

    /// A vector is being delivered.
    pub fn accept(&mut self, vector: u8) {
        let (word, bit) = bit(vector);
        self.requested[word] &= !bit;
        self.in_service[word] |= bit;
    }

    fn end(&mut self) -> Effect {
        let Some(vector) = highest(&self.in_service) else {
            return Effect::None;
        };
        let (word, bit) = bit(vector);
        self.in_service[word] &= !bit;
        if self.level[word] & bit != 0 {
            Effect::LevelEnded(vector)
        } else {
            Effect::None
        }
    }

    /// The task priority, which the processor's CR8 shows the high half of.
    pub fn task_priority(&self) -> u32 {
        self.task_priority
    }

    /// Sets the task priority.
    pub fn set_task_priority(&mut self, value: u32) {
        self.task_priority = value & 0xff;
    }

    fn timer_period(&self) -> u64 {
        // The divisor's three bits are 0, 1 and 3: 2, 4, …, 128, 1.
        let code = (self.divide & 3) | (self.divide >> 1 & 4);
        let divisor = if code == 7 { 1 } else { 2u64 << code };
        u64::from(self.initial) * divisor * TICK
    }

    fn timer_mode(&self) -> u32 {
        self.lvt[0] >> 17 & 3
    }

    fn current_count(&self, now: u64) -> u32 {
        let period = self.timer_period();
        if period == 0
            || self.timer_mode() == 2
            || (self.deadline.is_none() && self.timer_mode() == 0)
        {
            return 0;
        }
        let past = now.saturating_sub(self.started) % period;
        ((period - past) * u64::from(self.initial) / period) as u32
    }

    /// When the timer fires next, in nanoseconds.
    pub fn deadline(&self) -> Option<u64> {
        self.deadline
    }

    /// Fires the timer if it is due.
    pub fn tick(&mut self, now: u64) {
        if self.deadline.is_none_or(|deadline| deadline > now) {
            return;
        }
        self.tsc_deadline = 0;
        let period = self.timer_period();
        self.deadline = match self.timer_mode() {
            1 if period > 0 => {
                let due = self.deadline.unwrap_or(now);
                // Periods that nobody could take count as one.
                Some(due + ((now - due) / period + 1) * period)
            }
            _ => None,
        };
        if self.lvt[0] & LVT_MASKED == 0 {
            self.request(self.lvt[0] as u8, false);
        }
    }

    /// The TSC-deadline register.
    pub fn tsc_deadline(&self) -> u64 {
        self.tsc_deadline
    }

    /// Writes the TSC-deadline register; `at` is the same in nanoseconds.
    pub fn set_tsc_deadline(&mut self, value: u64, at: u64) {
        if self.timer_mode() == 2 {
            self.tsc_deadline = value;
            self.deadline = (value != 0).then_some(at);
        }
    }

    /// Reads the register at an offset; `None` if there is none (a #GP for x2APIC).
    pub fn read(&self, offset: u32, now: u64) -> Option<u32> {
        let word = (offset >> 4 & 7) as usize;
        Some(match offset {
            0x20 if self.x2apic() => self.id,
            0x20 => self.id << 24,
            0x30 => VERSION,
            0x80 => self.task_priority,
            0xa0 => self.processor_priority(),
            0xd0 => self.logical_id,
            0xe0 if !self.x2apic() => self.format,
            0xf0 => self.spurious,
            0x100..=0x170 => self.in_service[word],
            0x180..=0x1f0 => self.level[word],
            0x200..=0x270 => self.requested[word],
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
            0x80 => self.task_priority = value & 0xff,
            0xb0 => return Some(self.end()),
            0xd0 if !self.x2apic() => self.logical_id = value & 0xff00_0000,
            0xe0 if !self.x2apic() => self.format = value | 0x0fff_ffff,
            0xf0 => {
                self.spurious = value & 0x1ff;
                if value & 0x100 == 0 {
                    self.lvt.iter_mut().for_each(|entry| *entry |= LVT_MASKED);
                }
            }
            0x280 => self.error = 0,
            0x300 => {
                self.icr.low = value & !(1 << 12);
                return Some(Effect::Send(self.icr));
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
            // A self-interrupt exists only as an x2APIC register.
            0x3f0 if self.x2apic() => {
                self.request(value as u8, false);
            }
            0x20 | 0x30 | 0xa0 | 0xd0 | 0x390 if !self.x2apic() => {}
            _ => return None,
        }
        Some(Effect::None)
    }

    /// Writes the interrupt command in one piece, as x2APIC does.
    pub fn write_command(&mut self, value: u64) -> Effect {
        self.icr = Command {
            low: value as u32,
            destination: (value >> 32) as u32,
        };
        Effect::Send(self.icr)
    }

    /// The interrupt command in one piece.
    pub fn command(&self) -> u64 {
        u64::from(self.icr.destination) << 32 | u64::from(self.icr.low)
    }
}

#[cfg(test)]
mod tests;
