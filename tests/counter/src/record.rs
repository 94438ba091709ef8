// SPDX-License-Identifier: GPL-2.0

//! The text that the plugin writes for every interval, and its reader.
//!
//! ```text
//! interval 1 lost 0
//! i ffffffff81234560 7f0012345 0 ffffffff81234500 7f0012345 120
//! end
//! ```
//!
//! A line of a block has its event's letter, its address and page in hexadecimal, its epoch, address and page of the block
//! that was executed before it (two zeros for none), and the count.

use std::fmt::Write as _;
use std::fmt::{self, Display};

use crate::table::{Block, Event, Seen};

/// A block's count in an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The block, as it was seen first.
    pub seen: Seen,
    /// How many instructions of it were executed, or how often the event took place.
    pub count: u64,
}

/// What was executed between two marks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interval {
    /// Its number, from 1 on.
    pub number: u32,
    /// How many blocks had no counter since the machine was started; then the counts are too low.
    pub lost: u64,
    /// Blocks that were executed.
    pub counted: Vec<Counted>,
}

/// A text that is no record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoRecord {
    /// The line, from 1 on.
    pub line: usize,
    /// What is there.
    pub text: String,
}

impl Display for NoRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} of the record is {:?}", self.line, self.text)
    }
}

impl std::error::Error for NoRecord {}

impl Interval {
    /// The text.
    pub fn to_text(&self) -> String {
        let mut text = format!("interval {} lost {}\n", self.number, self.lost);
        for counted in &self.counted {
            let Seen {
                block,
                epoch,
                before,
            } = counted.seen;
            let before = before.map_or((0, 0), |block| (block.address, block.page));
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "{} {:x} {:x} {epoch} {:x} {:x} {}",
                block.event.letter(),
                block.address,
                block.page,
                before.0,
                before.1,
                counted.count
            );
        }
        text + "end\n"
    }

    /// Reads a text of intervals. The last one may be incomplete, if it is being written; it is left out then.
    ///
    /// # Errors
    ///
    /// If a line makes no sense.
    pub fn read(text: &str) -> Result<Vec<Self>, NoRecord> {
        let mut all = Vec::new();
        let mut open: Option<Self> = None;
        // A line without an end is being written.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        for (index, line) in whole.lines().enumerate() {
            let wrong = || NoRecord {
                line: index + 1,
                text: line.to_owned(),
            };
            match &mut open {
                None => open = Some(Self::head(line).ok_or_else(wrong)?),
                Some(_) if line == "end" => all.extend(open.take()),
                Some(interval) => interval
                    .counted
                    .push(Counted::of_line(line).ok_or_else(wrong)?),
            }
        }
        Ok(all)
    }

    fn head(line: &str) -> Option<Self> {
        let words: Vec<_> = line.split(' ').collect();
        let ["interval", number, "lost", lost] = words[..] else {
            return None;
        };
        Some(Self {
            number: number.parse().ok()?,
            lost: lost.parse().ok()?,
            counted: Vec::new(),
        })
    }
}

impl Counted {
    fn of_line(line: &str) -> Option<Self> {
        let words: Vec<_> = line.split(' ').collect();
        let [letter, address, page, epoch, before, page_before, count] = words[..] else {
            return None;
        };
        let number = |text| u64::from_str_radix(text, 16).ok();
        let before = Block {
            event: Event::Instruction,
            address: number(before)?,
            page: number(page_before)?,
        };
        let event = Event::ALL
            .into_iter()
            .find(|event| letter.len() == 1 && letter.starts_with(event.letter()))?;
        Some(Self {
            seen: Seen {
                block: Block {
                    event,
                    address: number(address)?,
                    page: number(page)?,
                },
                epoch: epoch.parse().ok()?,
                before: (before.address != 0 || before.page != 0).then_some(before),
            },
            count: count.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(number: u32) -> Interval {
        let block = |event, address| Block {
            event,
            address,
            page: 0x7f00,
        };
        let counted = |event, address, count| Counted {
            seen: Seen {
                block: block(event, address),
                epoch: 1,
                before: (count == 1).then(|| block(Event::Instruction, 0x1000)),
            },
            count,
        };
        Interval {
            number,
            lost: 3,
            counted: vec![
                counted(Event::Instruction, 0xffff_ffff_8100_0000, u64::MAX),
                counted(Event::Vmmcall, 0x40_1000, 1),
            ],
        }
    }

    #[test]
    fn a_record_reads_back_as_written() {
        let text = interval(1).to_text() + &interval(2).to_text();
        assert_eq!(Interval::read(&text), Ok(vec![interval(1), interval(2)]));
        assert_eq!(Interval::read(""), Ok(vec![]));
    }

    #[test]
    fn an_interval_that_is_being_written_is_left_out() {
        let text = interval(1).to_text() + &interval(2).to_text();
        let first = interval(1).to_text().len();
        for end in first..text.len() {
            assert_eq!(Interval::read(&text[..end]), Ok(vec![interval(1)]), "{end}");
        }
    }

    #[test]
    fn a_line_that_makes_no_sense_is_named() {
        for wrong in [
            "x 1 2 3 4 5 6",
            "i 1 2 3",
            "i g 2 3 4 5 6",
            "interval 2 lost 0",
            "ii 1 2 3 4 5 6",
        ] {
            let text = format!("interval 1 lost 0\n{wrong}\nend\n");
            let error = Interval::read(&text).unwrap_err();
            assert_eq!((error.line, error.text.as_str()), (2, wrong));
        }
        assert!(Interval::read("end\n").is_err());
    }
}
