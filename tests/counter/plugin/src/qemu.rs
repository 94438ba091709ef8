// SPDX-License-Identifier: GPL-2.0

//! QEMU's plugin interface, version 7 (QEMU 11.1), as far as it is used here; `include/plugins/qemu-plugin.h` documents it.
//!
//! The only unsafe code. Handles of blocks and instructions live as long as the callback that got them, which
//! their lifetimes say.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::marker::PhantomData;

/// The version of the interface. QEMU refuses a plugin of another one.
pub const VERSION: c_int = 7;

/// A plugin's number.
pub type Id = u64;

/// What QEMU says of the machine.
#[repr(C)]
pub struct Info {
    target: *const c_char,
    version: [c_int; 2],
    system: bool,
}

impl Info {
    /// Whether a whole machine is emulated, not a program.
    pub fn is_machine(&self) -> bool {
        self.system
    }
}

/// The texts of an array.
///
/// # Safety
///
/// `array` has `count` pointers to texts, which nobody changes while they are read.
pub unsafe fn texts(
    count: c_int,
    array: *const *const c_char,
) -> impl DoubleEndedIterator<Item = String> {
    (0..usize::try_from(count).unwrap_or(0)).map(move |index| {
        // SAFETY: the array has more than `index` pointers, as the caller says.
        let text = unsafe { std::ptr::read(array.wrapping_add(index)) };
        // SAFETY: it is a text, as the caller says.
        let text = unsafe { CStr::from_ptr(text) };
        text.to_string_lossy().into_owned()
    })
}

#[repr(C)]
struct RawBlock([u8; 0]);

#[repr(C)]
struct RawInstruction([u8; 0]);

#[repr(C)]
struct RawScoreboard([u8; 0]);

/// A counter of all processors, as C has it.
#[repr(C)]
#[derive(Clone, Copy)]
struct RawCounter {
    board: *mut RawScoreboard,
    offset: usize,
}

/// The inline operation that adds.
const ADD: c_int = 0;
/// The inline operation that stores.
const STORE: c_int = 1;

/// The callback needs no registers.
const NO_REGISTERS: c_int = 0;

type OnBlock = extern "C" fn(*mut RawBlock, *mut c_void);
type OnInstruction = extern "C" fn(c_uint, *mut c_void);
type OnProcessor = extern "C" fn(c_uint, *mut c_void);

unsafe extern "C" {
    fn qemu_plugin_register_vcpu_tb_trans_cb(id: Id, callback: OnBlock, data: *mut c_void);
    fn qemu_plugin_register_vcpu_init_cb(id: Id, callback: OnProcessor, data: *mut c_void);
    fn qemu_plugin_tb_n_insns(block: *const RawBlock) -> usize;
    fn qemu_plugin_tb_get_insn(block: *const RawBlock, index: usize) -> *mut RawInstruction;
    fn qemu_plugin_insn_data(
        instruction: *const RawInstruction,
        data: *mut c_void,
        len: usize,
    ) -> usize;
    fn qemu_plugin_insn_vaddr(instruction: *const RawInstruction) -> u64;
    fn qemu_plugin_insn_haddr(instruction: *const RawInstruction) -> *mut c_void;
    fn qemu_plugin_scoreboard_new(element: usize) -> *mut RawScoreboard;
    fn qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(
        block: *mut RawBlock,
        operation: c_int,
        counter: RawCounter,
        operand: u64,
    );
    fn qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(
        instruction: *mut RawInstruction,
        operation: c_int,
        counter: RawCounter,
        operand: u64,
    );
    fn qemu_plugin_register_vcpu_insn_exec_cb(
        instruction: *mut RawInstruction,
        callback: OnInstruction,
        flags: c_int,
        data: *mut c_void,
    );
    fn qemu_plugin_u64_sum(counter: RawCounter) -> u64;
    fn qemu_plugin_u64_get(counter: RawCounter, processor: c_uint) -> u64;
}

/// A block that is being translated.
///
/// # Invariants
///
/// QEMU's handle is valid as long as `'t`, which is within the callback that got it.
pub struct Block<'t> {
    raw: *mut RawBlock,
    of_callback: PhantomData<&'t ()>,
}

/// An instruction of a block.
///
/// # Invariants
///
/// QEMU's handle is valid as long as its block's.
pub struct Instruction<'t> {
    raw: *mut RawInstruction,
    of_block: PhantomData<&'t ()>,
}

impl Block<'_> {
    /// Its instructions in their order.
    pub fn instructions(&self) -> impl Iterator<Item = Instruction<'_>> {
        (0..self.len()).map(|index| Instruction {
            // SAFETY: the handle is valid by the type's invariant, and QEMU has an instruction of each index below `len`.
            raw: unsafe { qemu_plugin_tb_get_insn(self.raw, index) },
            of_block: PhantomData,
        })
    }

    /// How many instructions it has.
    pub fn len(&self) -> usize {
        // SAFETY: the handle is valid by the type's invariant.
        unsafe { qemu_plugin_tb_n_insns(self.raw) }
    }

    /// Adds to a counter whenever a processor begins to execute the block.
    pub fn add_when_executed(&self, counter: Counter, operand: u64) {
        // SAFETY: both handles are valid by their types' invariants; the counter is never freed.
        unsafe {
            qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(self.raw, ADD, counter.0, operand);
        }
    }

    /// Stores into a processor's counter whenever it begins to execute the block.
    pub fn store_when_executed(&self, counter: Counter, value: u64) {
        // SAFETY: both handles are valid by their types' invariants; the counter is never freed.
        unsafe {
            qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(self.raw, STORE, counter.0, value);
        }
    }
}

impl Instruction<'_> {
    /// Its virtual address.
    pub fn address(&self) -> u64 {
        // SAFETY: the handle is valid by the type's invariant.
        unsafe { qemu_plugin_insn_vaddr(self.raw) }
    }

    /// The number of the page of memory that it begins in, by where QEMU has it; 0 if it is in no memory.
    pub fn page(&self) -> u64 {
        // SAFETY: the handle is valid by the type's invariant.
        let place = unsafe { qemu_plugin_insn_haddr(self.raw) };
        (place as u64) >> 12
    }

    /// Its bytes, as many as fit.
    pub fn bytes<'b>(&self, buffer: &'b mut [u8; 16]) -> &'b [u8] {
        // SAFETY: the handle is valid by the type's invariant, and QEMU writes as many bytes as it is told that there are.
        let len =
            unsafe { qemu_plugin_insn_data(self.raw, buffer.as_mut_ptr().cast(), buffer.len()) };
        &buffer[..len.min(buffer.len())]
    }

    /// Adds to a counter whenever a processor executes it.
    pub fn add_when_executed(&self, counter: Counter, operand: u64) {
        // SAFETY: both handles are valid by their types' invariants; the counter is never freed.
        unsafe {
            qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(self.raw, ADD, counter.0, operand);
        }
    }

    /// Has a function called whenever a processor executes it, with `word`.
    pub fn call_when_executed<F: OnExecuted>(&self, word: u8) {
        // SAFETY: the handle is valid by the type's invariant; the word is no pointer, and the function takes it for none.
        unsafe {
            qemu_plugin_register_vcpu_insn_exec_cb(
                self.raw,
                executed::<F>,
                NO_REGISTERS,
                usize::from(word) as *mut c_void,
            );
        }
    }
}

/// What is called by [`Instruction::call_when_executed`], on the thread of the processor that executes the instruction.
pub trait OnExecuted {
    /// Takes the word.
    fn executed(word: u8);
}

extern "C" fn executed<F: OnExecuted>(_processor: c_uint, word: *mut c_void) {
    F::executed(word as usize as u8);
}

thread_local! {
    /// The processor that a thread of QEMU's emulates.
    static PROCESSOR: Cell<Option<c_uint>> = const { Cell::new(None) };
}

/// Has each thread that emulates a processor know which one: QEMU initialises a processor on its own thread.
pub fn know_processors(id: Id) {
    // SAFETY: the function is there as long as the plugin, which is never taken out.
    unsafe { qemu_plugin_register_vcpu_init_cb(id, initialised, std::ptr::null_mut()) };
}

extern "C" fn initialised(processor: c_uint, _data: *mut c_void) {
    PROCESSOR.set(Some(processor));
}

/// What is called for each block that is translated, on the thread of the processor that needs it.
pub trait OnTranslated {
    /// Takes the block.
    fn translated(block: &Block<'_>);
}

/// Has a function called for each block that is translated from now on.
pub fn call_when_translated<F: OnTranslated>(id: Id) {
    // SAFETY: the function is there as long as the plugin, which is never taken out.
    unsafe { qemu_plugin_register_vcpu_tb_trans_cb(id, translated::<F>, std::ptr::null_mut()) };
}

extern "C" fn translated<F: OnTranslated>(block: *mut RawBlock, _data: *mut c_void) {
    F::translated(&Block {
        raw: block,
        of_callback: PhantomData,
    });
}

/// Counters, each of which QEMU keeps for every processor of its own.
///
/// # Invariants
///
/// `raw` is a scoreboard whose elements have room for `len` counters; it is never freed.
pub struct Counters {
    raw: *mut RawScoreboard,
    len: u32,
}

// SAFETY: QEMU locks what it changes of a scoreboard; its counters are words that are read and written as a whole.
unsafe impl Send for Counters {}
// SAFETY: QEMU locks what it changes of a scoreboard; its counters are words that are read and written as a whole.
unsafe impl Sync for Counters {}

/// One counter.
///
/// # Invariants
///
/// It lies within an element of its scoreboard.
#[derive(Clone, Copy)]
pub struct Counter(RawCounter);

impl Counters {
    /// So many counters, all 0.
    pub fn new(len: u32) -> Self {
        // SAFETY: there are no conditions; QEMU ends if there is no memory.
        let raw = unsafe { qemu_plugin_scoreboard_new(len as usize * size_of::<u64>()) };
        Self { raw, len }
    }

    /// How many there are.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// A counter by its number; none if there is none.
    pub fn get(&self, number: u32) -> Option<Counter> {
        (number < self.len).then(|| {
            Counter(RawCounter {
                board: self.raw,
                offset: number as usize * size_of::<u64>(),
            })
        })
    }
}

impl Counter {
    /// What all processors have added.
    pub fn sum(self) -> u64 {
        // SAFETY: the counter lies within its scoreboard by the type's invariant.
        unsafe { qemu_plugin_u64_sum(self.0) }
    }

    /// What the processor of this thread has; none on a thread of no processor.
    pub fn of_this_processor(self) -> Option<u64> {
        let processor = PROCESSOR.get()?;
        // SAFETY: the counter lies within its scoreboard by the type's invariant, and QEMU has begun to use the processor.
        Some(unsafe { qemu_plugin_u64_get(self.0, processor) })
    }
}
