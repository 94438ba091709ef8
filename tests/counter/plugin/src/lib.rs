// SPDX-License-Identifier: GPL-2.0

//! A plugin of QEMU's TCG: counts the instructions of every block that any processor executes between two
//! [marks](counter::mark), and writes a [record](counter::record) for each such interval.
//!
//! `-plugin FILE.so,out=RECORD`. Every block adds its length to a counter of the processor that executes it, inline: no
//! function is called. A block that is left in its middle, by an exception, is counted as a whole.

mod qemu;

use std::ffi::{c_char, c_int};
use std::fs::File;
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use counter::mark::{LENGTH, Mark};
use counter::record::{Counted, Interval};
use counter::table::{Block, Event, Loops, Table};
use qemu::{Counters, Info};

/// Blocks that have counters: a boot of Xen and Debian's dom0, and a guest, are some 150,000.
const MAX_BLOCKS: u32 = 1 << 19;

/// The counter in which each processor has the number of the block that it executed last, plus 1.
const LAST: u32 = MAX_BLOCKS;

/// What QEMU looks for first.
#[unsafe(no_mangle)]
pub static qemu_plugin_version: c_int = qemu::VERSION;

static PLUGIN: OnceLock<Plugin> = OnceLock::new();

struct Plugin {
    counters: Counters,
    state: Mutex<State>,
}

struct State {
    table: Table,
    loops: Loops,
    record: File,
    /// The counters' sums when the interval began, if one has.
    begin: Option<Vec<u64>>,
    /// Intervals that have ended.
    intervals: u32,
}

/// Called by QEMU when it has loaded the plugin; 0 if it can stay.
///
/// # Safety
///
/// `args` is an array of `count` texts that live as long as the plugin.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qemu_plugin_install(
    id: qemu::Id,
    info: &Info,
    count: c_int,
    args: *const *const c_char,
) -> c_int {
    // SAFETY: QEMU calls this as its interface says.
    let path = unsafe { qemu::texts(count, args) }
        .filter_map(|arg| arg.strip_prefix("out=").map(str::to_owned))
        .next_back();
    let problem = match path {
        _ if !info.is_machine() => "it counts what a machine executes, not a program".to_owned(),
        None => "it needs a file to write to: out=FILE".to_owned(),
        Some(path) => match File::create(&path) {
            Ok(record) => {
                install(id, record);
                return 0;
            }
            Err(error) => format!("it cannot write to {path}: {error}"),
        },
    };
    eprintln!("counter plugin: {problem}");
    1
}

fn install(id: qemu::Id, record: File) {
    let plugin = Plugin {
        counters: Counters::new(MAX_BLOCKS + 1),
        state: Mutex::new(State {
            table: Table::new(MAX_BLOCKS),
            loops: Loops::default(),
            record,
            begin: None,
            intervals: 0,
        }),
    };
    // It is loaded once.
    let _ = PLUGIN.set(plugin);
    qemu::know_processors(id);
    qemu::call_when_translated::<Translated>(id);
}

impl Plugin {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sums of the first counters.
    fn sums(&self, count: usize) -> Vec<u64> {
        (0..self.counters.len())
            .take(count)
            .map(|number| self.counters.get(number).map_or(0, |counter| counter.sum()))
            .collect()
    }
}

/// Gives blocks their counters.
struct Translated;

impl qemu::OnTranslated for Translated {
    fn translated(block: &qemu::Block<'_>) {
        let (Some(plugin), Some(first)) = (PLUGIN.get(), block.instructions().next()) else {
            return;
        };
        let last = plugin.counters.get(LAST);
        let before = last.and_then(|last| last.of_this_processor());
        let before = before.and_then(|number| u32::try_from(number).ok()?.checked_sub(1));
        let mut state = plugin.state();
        let mut buffers = vec![[0; 16]; block.len()];
        let instructions = block.instructions().zip(&mut buffers);
        let instructions: Vec<_> = instructions
            .map(|(instruction, buffer)| {
                let bytes = instruction.bytes(buffer);
                (instruction, bytes)
            })
            .collect();
        let bytes = instructions.iter().map(|(_, bytes)| *bytes);
        let event = state.loops.event(first.address(), bytes);
        let mut counter = |event, instruction: &qemu::Instruction<'_>| {
            let block = Block {
                event,
                address: instruction.address(),
                page: instruction.page(),
            };
            let number = state.table.number(block, before)?;
            Some((number, plugin.counters.get(number)?))
        };
        if let Some((number, counter)) = counter(event, &first) {
            block.add_when_executed(counter, block.len() as u64);
            if let Some(last) = last {
                block.store_when_executed(last, u64::from(number) + 1);
            }
        }
        for (instruction, bytes) in instructions {
            if let Some(event) = Event::of(bytes) {
                if let Some((_, counter)) = counter(event, &instruction) {
                    instruction.add_when_executed(counter, 1);
                }
            } else if bytes.len() == LENGTH {
                if let Some(mark) = Mark::of(bytes) {
                    instruction.call_when_executed::<Marked>(mark as u8);
                }
            }
        }
    }
}

/// Takes the marks.
struct Marked;

impl qemu::OnExecuted for Marked {
    fn executed(word: u8) {
        let Some(plugin) = PLUGIN.get() else {
            return;
        };
        let mut state = plugin.state();
        match word {
            word if word == Mark::Begin as u8 => {
                state.begin = Some(plugin.sums(state.table.seen().len()));
            }
            word if word == Mark::End as u8 => {
                let sums = plugin.sums(state.table.seen().len());
                if let Err(error) = state.end(&sums) {
                    eprintln!("counter plugin: the record cannot be written: {error}");
                }
            }
            _ => state.table.next_epoch(),
        }
    }
}

impl State {
    /// Writes what has been counted since the interval began, if one has.
    fn end(&mut self, sums: &[u64]) -> io::Result<()> {
        let Some(begin) = self.begin.take() else {
            return Ok(());
        };
        self.intervals += 1;
        // Blocks that are new had 0.
        let begin = begin.into_iter().chain(std::iter::repeat(0));
        let counted = self.table.seen().iter().zip(sums.iter().zip(begin));
        let interval = Interval {
            number: self.intervals,
            lost: self.table.lost(),
            counted: counted
                .map(|(seen, (now, then))| Counted {
                    seen: *seen,
                    count: now.wrapping_sub(then),
                })
                .filter(|counted| counted.count != 0)
                .collect(),
        };
        self.record.write_all(interval.to_text().as_bytes())
    }
}
