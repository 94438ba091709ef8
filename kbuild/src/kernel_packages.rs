// SPDX-License-Identifier: GPL-2.0

//! Downloading the packages of a kernel that others are built against. Which those are is in [`resolve`](crate::resolve).

use std::path::PathBuf;

use anyhow::Result;

use crate::apt::Apt;
use crate::config::Profile;
use crate::resolve::KernelPackages;
use crate::session::Session;

/// Downloads what is built against: the source, the headers, the kernel's own tools if the suite has them. What is here is not
/// asked for again.
pub fn fetch(
    session: &Session,
    profile: &Profile,
    packages: &KernelPackages,
) -> Result<Vec<PathBuf>> {
    let apt = Apt::new(session, session.config.suite(&profile.suite)?)?;
    let mut all = vec![packages.source.clone(), packages.headers.clone()];
    all.extend(packages.tools.clone());
    apt.download(&all)
}
