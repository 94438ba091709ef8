// SPDX-License-Identifier: GPL-2.0

//! How many inputs each target has run in all runs on this machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Inputs by target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record(BTreeMap<String, u64>);

impl Record {
    /// The record in a file; an empty one if there is no file.
    ///
    /// # Errors
    ///
    /// If the file is none.
    pub fn read(file: &Path) -> Result<Self> {
        if !file.exists() {
            return Ok(Self::default());
        }
        let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let record = toml::from_str(&text);
        Ok(Self(record.with_context(|| {
            format!("{} is no record of inputs: remove it", file.display())
        })?))
    }

    /// Adds inputs of a run to the record in a file. The caller keeps others away.
    pub fn add_to(file: &Path, target: &str, inputs: u64) -> Result<()> {
        let mut record = Self::read(file)?;
        record.add(target, inputs);
        record.write(file)
    }

    fn write(&self, file: &Path) -> Result<()> {
        let text = toml::to_string(&self.0)?;
        fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
    }

    /// Adds inputs of a run.
    pub fn add(&mut self, target: &str, inputs: u64) {
        let sum = self.0.entry(target.to_owned()).or_default();
        *sum = sum.saturating_add(inputs);
    }

    /// Inputs of a target.
    pub fn of(&self, target: &str) -> u64 {
        self.0.get(target).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_add_up_over_runs() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("inputs.toml");
        for sum in [5, 10] {
            Record::add_to(&file, "front_ring", 5).unwrap();
            assert_eq!(Record::read(&file).unwrap().of("front_ring"), sum);
        }
        assert_eq!(Record::read(&file).unwrap().of("back_ring"), 0);
        fs::write(&file, "front_ring = 'many'").unwrap();
        assert!(Record::read(&file).is_err());
    }
}
