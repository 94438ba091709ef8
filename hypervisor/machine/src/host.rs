// SPDX-License-Identifier: GPL-2.0

//! Facts about the machine, for the toolstack.

use alloc::string::String;
use alloc::sync::Arc;

use paravane::build_id;
use paravane::cpuid::CpuidRegs;
use paravane::cpuid::policy::CpuPolicy;
use paravane::multiboot::Region;
use paravane::system::domain::E820Entry;
use paravane::system::{Cpu, HostInfo};

use crate::arch::image;
use crate::arch::{cpu, percpu, time};
use crate::boot::BootInfo;

/// Collects them, once all processors are up.
pub fn describe(boot: &BootInfo) -> HostInfo {
    let [signature, _, ecx, edx] = cpu::leaf(1, 0);
    let [_, _, ext_ecx, ext_edx] = cpu::leaf(0x8000_0001, 0);
    let [_, b, c, d] = cpu::leaf(7, 0);
    let [xsave, ..] = cpu::leaf(0xd, 1);
    let [_, v0, v2, v1] = cpu::leaf(0, 0);
    let mut vendor = [0; 12];
    for (to, from) in vendor.chunks_exact_mut(4).zip([v0, v1, v2]) {
        to.copy_from_slice(&from.to_le_bytes());
    }
    // The extended family and model are added for family 15 (AMD APM volume 3, CPUID function 1).
    let family = signature >> 8 & 15;
    let extended = family == 15;
    let family = family + if extended { signature >> 20 & 255 } else { 0 };
    let model = signature >> 4 & 15 | if extended { signature >> 12 & 0xf0 } else { 0 };
    let cpus = percpu::all().into_iter().zip(0..).map(|(cpu, number)| Cpu {
        apic_id: cpu.apic_id,
        acpi_id: number,
        topology: topology(cpu.apic_id),
        ..Cpu::default()
    });
    let processor_policy = CpuPolicy::of_processor(|leaf, sub| {
        let [a, b, c, d] = cpu::leaf(leaf, sub);
        CpuidRegs { a, b, c, d }
    });
    let entry = |region: &Region| E820Entry {
        address: region.start,
        size: region.end - region.start,
        kind: region.kind,
    };
    HostInfo {
        cpus: cpus.collect(),
        tsc_khz: (time::tsc_hz() / 1000) as u32,
        hw_cap: [edx, ecx, ext_edx, ext_ecx, xsave, b, c, d],
        processor: (vendor, family, model, signature & 15),
        signature,
        guest_policy: Arc::new(processor_policy.for_guests()),
        processor_policy,
        memory_map: boot.memory.iter().map(entry).collect(),
        command_line: boot.command_line.clone(),
        // Builder, place and date are left out, so that builds are reproducible.
        build: [
            String::from(env!("PARAVANE_COMPILER")),
            String::new(),
            String::new(),
            String::new(),
            String::from(env!("CARGO_PKG_VERSION")),
        ],
        build_id: build_id::of(image::build_id()).unwrap_or_default().to_vec(),
    }
}

/// Core, socket and node of a processor, from its APIC id. Leaf 0xb has the number of bits of the thread id and of the
/// package's part.
fn topology(apic_id: u32) -> [u32; 3] {
    let [smt, ..] = cpu::leaf(0xb, 0);
    let [package, ..] = cpu::leaf(0xb, 1);
    let (smt, package) = (smt & 31, package & 31);
    let core = apic_id >> smt;
    let cores = package.saturating_sub(smt);
    [core & ((1 << cores) - 1), core >> cores, 0]
}
