// SPDX-License-Identifier: GPL-2.0

//! A processor's GDT and TSS, with separate stacks for double faults, NMIs and machine checks.

use alloc::boxed::Box;

use x86_64::VirtAddr;
use x86_64::instructions::segmentation::{CS, DS, ES, SS, Segment};
use x86_64::instructions::tables::load_tss;
use x86_64::structures::gdt::{Descriptor, GlobalDescriptorTable, SegmentSelector};
use x86_64::structures::tss::TaskStateSegment;

use super::{paging, traps};

/// Number of interrupt stacks in the TSS: for double fault, NMI and machine check, each with a guard page below.
const STACKS: usize = 3;

/// The GDT and its selectors.
pub struct Descriptors {
    gdt: &'static GlobalDescriptorTable,
    code: SegmentSelector,
    data: SegmentSelector,
    task: SegmentSelector,
}

impl Descriptors {
    /// Allocates the tables and the interrupt stacks, which are never freed.
    pub fn new() -> Self {
        let mut tss = Box::new(TaskStateSegment::new());
        let mut stacks = tss.interrupt_stack_table;
        for slot in stacks.iter_mut().take(STACKS) {
            *slot = VirtAddr::new(paging::make_stack(4));
        }
        tss.interrupt_stack_table = stacks;
        let mut gdt = Box::new(GlobalDescriptorTable::new());
        let code = gdt.append(Descriptor::kernel_code_segment());
        let data = gdt.append(Descriptor::kernel_data_segment());
        let task = gdt.append(Descriptor::tss_segment(Box::leak(tss)));
        Self {
            gdt: Box::leak(gdt),
            code,
            data,
            task,
        }
    }

    /// Loads GDT, segments and TSS, and the IDT that all processors share, on the calling processor.
    pub fn load(&self) {
        self.gdt.load();
        // SAFETY: the selector is that of the 64-bit ring 0 code segment in the GDT just loaded.
        unsafe { CS::set_reg(self.code) };
        // SAFETY: the selector is that of the ring 0 data segment in the GDT just loaded.
        unsafe { SS::set_reg(self.data) };
        // SAFETY: the selector is that of the ring 0 data segment in the GDT just loaded.
        unsafe { DS::set_reg(self.data) };
        // SAFETY: the selector is that of the ring 0 data segment in the GDT just loaded.
        unsafe { ES::set_reg(self.data) };
        // SAFETY: the selector is that of the TSS in the GDT just loaded, which `new` has leaked.
        unsafe { load_tss(self.task) };
        traps::load();
    }
}
