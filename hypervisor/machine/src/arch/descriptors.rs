// SPDX-License-Identifier: GPL-2.0

//! A processor's segment and task-state descriptors, with stacks of their own for what may strike at any time.

use alloc::boxed::Box;

use x86_64::VirtAddr;
use x86_64::instructions::segmentation::{CS, DS, ES, SS, Segment};
use x86_64::instructions::tables::load_tss;
use x86_64::structures::gdt::{Descriptor, GlobalDescriptorTable, SegmentSelector};
use x86_64::structures::tss::TaskStateSegment;

use super::{paging, traps};

/// The interrupt stacks in the TSS: of double fault, NMI and machine check, each with a guard page below.
const STACKS: usize = 3;

/// A processor's GDT, which points at its TSS.
pub struct Descriptors {
    gdt: &'static GlobalDescriptorTable,
    code: SegmentSelector,
    data: SegmentSelector,
    task: SegmentSelector,
}

impl Descriptors {
    /// Makes the tables and the interrupt stacks; they stay for ever.
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

    /// Loads all of them, and the interrupt table that the processors share, on the calling processor.
    pub fn load(&self) {
        self.gdt.load();
        // SAFETY: the code segment of the table just loaded, flat and of ring 0.
        unsafe { CS::set_reg(self.code) };
        // SAFETY: its data segment.
        unsafe { SS::set_reg(self.data) };
        // SAFETY: the same.
        unsafe { DS::set_reg(self.data) };
        // SAFETY: the same.
        unsafe { ES::set_reg(self.data) };
        // SAFETY: its task segment, which is never freed.
        unsafe { load_tss(self.task) };
        traps::load();
    }
}
