// SPDX-License-Identifier: GPL-2.0

//! A folder that holds packages with all that they depend on, unpacked and not configured: no script of theirs runs. So it
//! needs no privileges, and is bound by nothing but the disk and all processors.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

use crate::apt::Apt;
use crate::branches;
use crate::deb;
use crate::session::Session;
use crate::suite::Suite;
use crate::ui::Step;

/// The package that makes `/bin`, `/lib` and `/sbin` links into `/usr`; the others are unpacked through these.
const LINKS: &str = "base-files";

/// apt's pattern for what each Debian system has.
pub const ESSENTIAL: &str = "?essential";

/// Folders in `/usr/share` that nothing here reads.
pub const UNREAD: [&str; 6] = ["doc", "gtk-doc", "help", "info", "locale", "man"];

/// Unpacks `names` and their dependencies into `dir`. Files that match `left_out` stay in the packages: tar's patterns, in
/// which a folder stands for all that is in it, and a star does not match slashes. All files belong to the caller.
pub fn unpack_with_dependencies(
    session: &Session,
    step: &Step,
    suite: &Suite,
    names: &[String],
    left_out: &[&str],
    dir: &Path,
) -> Result<()> {
    let archive = Apt::new(session, suite)?;
    archive.update()?;
    step.note("asking apt what belongs to it");
    let mut packages = archive.with_dependencies(names)?;
    packages.sort_by_key(|package| package.name != LINKS);
    // They are of no use afterwards.
    let store = tempfile::tempdir_in(dir)?;
    step.note(&format!("downloading {} packages", packages.len()));
    let debs = archive.download_into(step, &packages, store.path())?;
    let mut options = [
        "--keep-directory-symlink",
        "--anchored",
        "--wildcards",
        "--no-wildcards-match-slash",
    ]
    .map(str::to_owned)
    .to_vec();
    let unread = UNREAD.map(|folder| format!("./usr/share/{folder}"));
    let patterns = unread.iter().map(String::as_str).chain(["./dev/*"]);
    let patterns = patterns.chain(left_out.iter().copied());
    options.extend(patterns.map(|pattern| format!("--exclude={pattern}")));
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    let (first, others) = debs.split_first().context("apt names no package")?;
    deb::unpack_some(first, dir, &options)?;
    let rest = Mutex::new(others.iter());
    branches::fork(|branches| {
        let work = || {
            loop {
                let next = rest.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some(deb) = next else { return Ok(()) };
                step.note(&format!("unpacking {}", crate::fsutil::name(deb)));
                deb::unpack_some(deb, dir, &options)?;
            }
        };
        let workers: Vec<_> = (0..session.jobs()).map(|_| branches.spawn(work)).collect();
        workers.into_iter().try_for_each(branches::Branch::join)
    })
}
