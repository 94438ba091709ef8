// SPDX-License-Identifier: GPL-2.0

//! Emulation of IN, OUT, INS and OUTS on intercepted ports.

use paravane::mem::MachineMemory;
use paravane::mem::walk::{Access, Paging};
use paravane::mistake::Mistake;
use paravane::strings::{self, Guest, Instruction, PageFault, Segment, StringResult};

use super::SvmVcpu;
use crate::arch::svm::vmcb;
use crate::io::decode;
use crate::platform::system;

/// Bits of EXITINFO1 (APM volume 2, 15.10.2).
mod info {
    pub const INPUT: u32 = 1 << 0;
    pub const STRING: u32 = 1 << 2;
    pub const REPEATED: u32 = 1 << 3;
}

/// RFLAGS.DF: string instructions go down.
const RFLAGS_DF: u64 = 1 << 10;
/// RFLAGS.AC: alignment is checked at CPL 3; a supervisor may access user pages despite SMAP.
const RFLAGS_AC: u64 = 1 << 18;
/// CR0.AM: alignment checking is possible.
const CR0_AM: u64 = 1 << 18;
/// CR4.SMAP: a supervisor may not access user pages.
const CR4_SMAP: u64 = 1 << 21;

impl SvmVcpu {
    /// Emulates an access to an intercepted port. `next` is the address of the next instruction (EXITINFO2).
    pub fn io_port(&mut self, info: u32, next: u64) {
        let port = (info >> 16) as u16;
        let size = (info >> 4 & 7) as u8;
        if info & info::STRING != 0 {
            self.string_io(info, next);
        } else if info & info::INPUT != 0 {
            let (value, rax) = (self.read_port(port, size), self.vmcb().rax);
            self.vmcb().rax = match size {
                4 => u64::from(value),
                _ => rax & !u64::from(mask(size)) | u64::from(value),
            };
            self.set_rip(next);
        } else {
            let value = self.vmcb().rax as u32 & mask(size);
            self.write_port(port, size, value);
            self.set_rip(next);
        }
    }

    /// Reports an access to a port that the domain does not have.
    fn note_port(&self, port: u16, how: &str) {
        if !self.domain.policy.is_there(port) {
            self.report(
                Mistake::Port,
                format_args!("port {port:#x} is {how} and not there"),
            );
        }
    }

    fn read_port(&mut self, port: u16, size: u8) -> u32 {
        self.note_port(port, "read");
        self.domain.policy.read_port(&self.domain, port, size) & mask(size)
    }

    fn write_port(&mut self, port: u16, size: u8, value: u32) {
        self.note_port(port, "written");
        self.domain
            .policy
            .write_port(&self.domain, port, size, value);
    }

    /// Emulates INS or OUTS. Not every processor has address size and segment in EXITINFO1, so both are decoded from
    /// the instruction. If that is no longer the one that exited, another vCPU has changed it, and the guest executes
    /// the new one.
    fn string_io(&mut self, info: u32, next: u64) {
        let (bytes, len) = self.fetch_instruction();
        let (rip, bits) = (self.vmcb().rip, self.bits());
        let input = info & info::INPUT != 0;
        let decoded = decode::decode(&bytes[..len], rip, bits);
        let Some((address_bits, segment)) =
            decoded.and_then(|instruction| decode::string(&instruction, input))
        else {
            return;
        };
        let paging = self.paging();
        let user = self.vmcb().cpl == 3;
        let wide = self.long_mode();
        let segment = self.segment(segment, wide);
        let vmcb = self.vmcb();
        let alignment = vmcb.rflags & RFLAGS_AC != 0;
        let of = Instruction {
            port: (info >> 16) as u16,
            size: (info >> 4 & 7) as u8,
            input,
            repeated: info & info::REPEATED != 0,
            address_bits,
            segment,
            canonical: wide.then(|| paging.address_bits()),
            down: vmcb.rflags & RFLAGS_DF != 0,
            aligned: user && alignment && vmcb.cr0 & CR0_AM != 0,
        };
        let smap = vmcb.cr4 & CR4_SMAP != 0 && !user && !alignment;
        let registers = &self.context.registers;
        let mut after = strings::StringRegs {
            count: registers.rcx,
            index: if input { registers.rdi } else { registers.rsi },
        };
        let mut guest = StringIo {
            svm_vcpu: self,
            paging,
            user,
            smap,
        };
        let result = strings::run(&of, &mut after, &mut guest);
        let registers = &mut self.context.registers;
        registers.rcx = after.count;
        let index = match input {
            true => &mut registers.rdi,
            false => &mut registers.rsi,
        };
        *index = after.index;
        match result {
            StringResult::Done => self.set_rip(next),
            // Interrupts are taken between elements.
            StringResult::Unfinished => self.vmcb().interrupt_shadow &= !1,
            StringResult::Fault(exception) => {
                if let Some(address) = exception.address {
                    self.vmcb().cr2 = address;
                }
                self.inject_exception(exception.vector, Some(exception.code));
            }
        }
    }

    /// A segment, as far as an access depends on it. In 64-bit mode only FS and GS have a base.
    fn segment(&mut self, which: decode::Segment, wide: bool) -> Segment {
        use decode::Segment as Name;
        let vmcb = self.vmcb();
        let vmcb::Segment {
            attributes,
            limit,
            base,
            ..
        } = match which {
            Name::Es => vmcb.es,
            Name::Cs => vmcb.cs,
            Name::Ss => vmcb.ss,
            Name::Ds => vmcb.ds,
            Name::Fs => vmcb.fs,
            Name::Gs => vmcb.gs,
        };
        let has_base = !wide || matches!(which, Name::Fs | Name::Gs);
        Segment {
            base: if has_base { base } else { 0 },
            limit,
            attributes,
            stack: which == Name::Ss,
        }
    }
}

/// Mask of a value of `size` bytes.
fn mask(size: u8) -> u32 {
    match size {
        1 => 0xff,
        2 => 0xffff,
        _ => u32::MAX,
    }
}

/// Ports and memory of the guest for a string instruction.
struct StringIo<'a> {
    svm_vcpu: &'a mut SvmVcpu,
    paging: Paging,
    user: bool,
    smap: bool,
}

impl StringIo<'_> {
    fn access(&self, write: bool) -> Access {
        Access {
            write,
            user: self.user,
            smap: self.smap,
        }
    }
}

/// Memory operands that are not RAM read as all ones, and writes to them are lost.
impl Guest for StringIo<'_> {
    fn input(&mut self, port: u16, size: u8) -> u32 {
        self.svm_vcpu.read_port(port, size)
    }

    fn output(&mut self, port: u16, size: u8, value: u32) {
        self.svm_vcpu.write_port(port, size, value);
    }

    fn probe(&mut self, address: u64, length: usize) -> Result<(), PageFault> {
        let (id, access) = (self.svm_vcpu.vcpu.id.domain, self.access(true));
        system().access_virtual(id, &self.paging, address, length, access, |_, _, _| ())
    }

    fn read(&mut self, address: u64, to: &mut [u8]) -> Result<(), PageFault> {
        let (id, access) = (self.svm_vcpu.vcpu.id.domain, self.access(false));
        let length = to.len();
        system().access_virtual(
            id,
            &self.paging,
            address,
            length,
            access,
            |machine, at, part| match at {
                Some(at) => machine.read(at, &mut to[part]),
                None => to[part].fill(0xff),
            },
        )
    }

    fn write(&mut self, address: u64, from: &[u8]) -> Result<(), PageFault> {
        let (id, access) = (self.svm_vcpu.vcpu.id.domain, self.access(true));
        system().access_virtual(
            id,
            &self.paging,
            address,
            from.len(),
            access,
            |machine, at, part| {
                if let Some(at) = at {
                    machine.write(at, &from[part]);
                }
            },
        )
    }
}
