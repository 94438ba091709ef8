// SPDX-License-Identifier: GPL-2.0

//! Makes sure the table is complete: walks through the crate's source and looks up each public
//! constant and structure. (That a listed structure has all its fields in the table is seen to
//! by the compiler.)

use crate::{table, Outcome};
use std::collections::BTreeSet;
use std::path::Path;

/// Items without a counterpart in C, or whose parts are in the table.
const OURS: [&str; 6] = [
    // The hypervisor's own, not in its public headers.
    "memory::EXTENT_SHIFT",
    // Names of others.
    "compat::SAME_LAYOUT",
    // Pages of 4 KiB are written as numbers in C.
    "PAGE_SIZE",
    // Sectors of 512 bytes are, too.
    "io::blkif::SECTOR_SIZE",
    "io::blkif::SECTORS_PER_PAGE",
    // The one that is compiled for is one of the others.
    "io::protocols::NATIVE",
];

pub fn check() -> Outcome {
    let known: BTreeSet<String> = table::entries().into_iter().map(|e| e.what).collect();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut items = Vec::new();
    if let Err(e) = walk(&source, "", &mut items) {
        return Outcome::Ignored(format!("the source is not here: {e}"));
    }
    let missing: Vec<&String> = items
        .iter()
        .filter(|item| !OURS.contains(&item.as_str()))
        .filter(|item| !known.contains(*item) && !known.contains(&format!("{item}: size")))
        .collect();
    if items.len() < 300 {
        return Outcome::Failed(format!(
            "only {} items were found in the source",
            items.len()
        ));
    }
    if missing.is_empty() {
        Outcome::Passed
    } else {
        Outcome::Failed(format!("not in the table: {missing:#?}"))
    }
}

/// Collects the paths of the public items below a module's folder.
fn walk(folder: &Path, module: &str, items: &mut Vec<String>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let inner = match stem.as_ref() {
            "xen_abi" => String::new(),
            stem => format!("{module}{stem}::"),
        };
        if path.is_dir() {
            walk(&path, &inner, items)?;
        } else {
            scan(&std::fs::read_to_string(&path)?, &inner, items);
        }
    }
    Ok(())
}

/// Collects the items of one file, which rustfmt has laid out: a module's braces stand at the
/// start of a line, and so does what is not in one.
fn scan(text: &str, module: &str, items: &mut Vec<String>) {
    let mut inline = None;
    for line in text.lines() {
        if let Some(name) = line
            .strip_prefix("pub mod ")
            .and_then(|l| l.strip_suffix(" {"))
        {
            inline = Some(name);
        } else if line == "}" {
            inline = None;
        }
        let (item, path) = match (inline, line.strip_prefix("    ")) {
            (Some(name), Some(item)) => (item, format!("{module}{name}::")),
            _ => (line, module.to_owned()),
        };
        let name = item
            .strip_prefix("pub const ")
            .or(item.strip_prefix("pub struct "))
            // What the `args!` macros make structures of.
            .or(item
                .trim_start()
                .strip_suffix(" {")
                .filter(|item| is_name(item)))
            .and_then(|rest| rest.split(|c| !in_name(c)).next())
            .filter(|name| name.starts_with(|c: char| c.is_ascii_uppercase()));
        if let Some(name) = name {
            items.push(format!("{path}{name}"));
        }
    }
}

fn in_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn is_name(text: &str) -> bool {
    text.chars().all(in_name)
}
