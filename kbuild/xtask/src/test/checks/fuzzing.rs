// SPDX-License-Identifier: GPL-2.0

//! Whether the fuzz targets find something in a moment, with the inputs that earlier runs on this machine kept.

use std::time::Duration;

use anyhow::Result;

use super::super::tools::HostTools;
use crate::fuzz;

/// How long each target runs.
const TIME: Duration = Duration::from_secs(2);

/// An error if an input breaks a promise.
pub fn briefly(tools: &HostTools) -> Result<()> {
    fuzz::briefly(tools.session, &tools.sandbox, TIME)
}
