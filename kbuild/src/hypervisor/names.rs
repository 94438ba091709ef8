// SPDX-License-Identifier: GPL-2.0

//! The functions' names in the hypervisor's image, for its crash reports: they are known when it is linked, and written
//! to the room that the linker script leaves for them.

use anyhow::{Context, Result, ensure};
use object::elf::FileHeader64;
use object::read::elf::ElfFile;
use object::{LittleEndian, Object, ObjectSection, ObjectSymbol, SymbolKind};
use paravane::symbols;

/// The section with the room.
const SECTION: &str = ".symbols";
/// The section with the functions.
const CODE: &str = ".text";

/// Writes the names into the image.
pub fn write(image: &mut [u8]) -> Result<()> {
    let (table, start, room) = {
        let file = ElfFile::<FileHeader64<LittleEndian>>::parse(&*image)
            .context("the hypervisor's image is no ELF file")?;
        let code = file
            .section_by_name(CODE)
            .with_context(|| format!("the hypervisor's image has no section {CODE}"))?;
        let functions = file.symbols().filter(|symbol| {
            // Assembly's labels have no kind.
            let is_code = matches!(symbol.kind(), SymbolKind::Text | SymbolKind::Unknown);
            is_code && symbol.section_index() == Some(code.index())
        });
        let named = functions.filter_map(|symbol| {
            let at = u32::try_from(symbol.address().checked_sub(code.address())?).ok()?;
            let name = symbol.name().ok().filter(|name| !name.is_empty())?;
            Some((at, format!("{:#}", rustc_demangle::demangle(name))))
        });
        let table = symbols::encode(named.collect());
        let section = file
            .section_by_name(SECTION)
            .with_context(|| format!("the hypervisor's image has no section {SECTION}"))?;
        let (start, room) = section
            .file_range()
            .with_context(|| format!("the section {SECTION} has no bytes"))?;
        (table, usize::try_from(start)?, usize::try_from(room)?)
    };
    ensure!(
        table.len() <= room,
        "the names of the hypervisor's functions need {} bytes, and {SECTION} in hypervisor.ld has {room}",
        table.len()
    );
    image
        .get_mut(start..start + table.len())
        .context("the hypervisor's image is cut off")?
        .copy_from_slice(&table);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_image_is_refused() {
        assert!(write(&mut b"#!/bin/sh".to_vec()).is_err());
        // This test's own program has code and functions, but no room for their names.
        let own = std::env::current_exe().unwrap();
        let mut own = std::fs::read(own).unwrap();
        let error = write(&mut own).unwrap_err().to_string();
        assert!(error.contains(SECTION), "{error}");
    }
}
