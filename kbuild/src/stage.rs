// SPDX-License-Identifier: GPL-2.0

//! A copy of `linux-pv` to build in, so that the work tree stays clean: links become what they point at, and
//! files that did not change keep their time, so that make only builds what did.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use walkdir::WalkDir;

use crate::fsutil;

/// The list of what was staged last time, to know what has to go when it goes from the work tree.
pub(crate) const MANIFEST: &str = ".staged";

/// What makes a crate of a folder for the host's tests; a kernel's build has no use for it.
const HOST_ONLY: &str = "Cargo.toml";

/// Makes `to` hold what `from` holds, and keeps build products there.
pub fn sync(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    let mut staged = BTreeSet::new();
    for entry in WalkDir::new(from).follow_links(true).sort_by_file_name() {
        let entry = entry.with_context(|| format!("cannot read {}", from.display()))?;
        if !entry.file_type().is_file() || entry.file_name() == HOST_ONLY {
            continue;
        }
        let relative = entry.path().strip_prefix(from)?;
        let content = fs::read(entry.path())
            .with_context(|| format!("cannot read {}", entry.path().display()))?;
        fsutil::write_if_changed(&to.join(relative), &content)?;
        staged.insert(relative.to_string_lossy().into_owned());
    }
    let manifest = to.join(MANIFEST);
    for old in fs::read_to_string(&manifest).unwrap_or_default().lines() {
        if !staged.contains(old) {
            fsutil::remove_all(&to.join(old))?;
        }
    }
    let list: Vec<_> = staged.into_iter().collect();
    fs::write(manifest, list.join("\n"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_become_files_and_removed_files_go() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir_all(dir.path().join("shared")).unwrap();
        fs::create_dir_all(&from).unwrap();
        fs::write(dir.path().join("shared/a.rs"), "a").unwrap();
        fs::write(from.join("b.c"), "b").unwrap();
        fs::write(from.join("Cargo.toml"), "[package]").unwrap();
        std::os::unix::fs::symlink("../shared", from.join("abi")).unwrap();
        sync(&from, &to).unwrap();
        assert_eq!(fs::read_to_string(to.join("abi/a.rs")).unwrap(), "a");
        assert!(!to.join("abi").is_symlink());
        assert!(!to.join("Cargo.toml").exists());

        fs::write(to.join("b.o"), "built").unwrap();
        fs::remove_file(from.join("b.c")).unwrap();
        let before = fs::metadata(to.join("abi/a.rs"))
            .unwrap()
            .modified()
            .unwrap();
        sync(&from, &to).unwrap();
        assert!(!to.join("b.c").exists() && to.join("b.o").exists());
        assert_eq!(
            fs::metadata(to.join("abi/a.rs"))
                .unwrap()
                .modified()
                .unwrap(),
            before
        );
    }
}
