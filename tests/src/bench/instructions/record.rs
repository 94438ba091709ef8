// SPDX-License-Identifier: GPL-2.0

//! Reading what the emulator has counted, while it writes on.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use counter::record::Interval;

/// The file that the emulator writes.
pub struct Record {
    path: PathBuf,
    /// How much has been read, up to the end of an interval.
    read: u64,
}

impl Record {
    /// A file of which nothing has been read. It need not exist yet.
    pub fn open(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            read: 0,
        }
    }

    /// The last of the intervals that were written since the last call. They are written before the instruction that
    /// follows the mark is executed.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn last(&mut self) -> Result<Interval> {
        let name = self.path.display().to_string();
        let mut file = File::open(&self.path).with_context(|| name.clone())?;
        file.seek(SeekFrom::Start(self.read))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let end = text.rfind("\nend\n").map_or(0, |at| at + "\nend\n".len());
        let intervals = Interval::read(&text[..end]).with_context(|| name.clone())?;
        self.read += end as u64;
        intervals
            .into_iter()
            .next_back()
            .with_context(|| format!("{name} has no new interval: nobody made the marks"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn only_whole_new_intervals_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("counts.log");
        let mut record = Record::open(&path);
        assert!(record.last().is_err());
        let text = |number| {
            Interval {
                number,
                ..Interval::default()
            }
            .to_text()
        };
        fs::write(&path, text(1) + &text(2) + "interval 3 lost").unwrap();
        assert_eq!(record.last().unwrap().number, 2);
        assert!(record.last().is_err());
        fs::write(&path, text(1) + &text(2) + &text(3)).unwrap();
        assert_eq!(record.last().unwrap().number, 3);
    }
}
