// SPDX-License-Identifier: GPL-2.0

//! `paravane`: the tool with its sources in it.

use std::process::ExitCode;

use kbuild::CarriedSources;

/// The work tree that this was built in.
static SOURCES: CarriedSources =
    CarriedSources(include_bytes!(concat!(env!("OUT_DIR"), "/sources.tar.gz")));

fn main() -> ExitCode {
    xtask::main(Some(&SOURCES))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kbuild::Cache;

    #[test]
    fn the_program_carries_what_it_builds_from() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path().join("cache")).unwrap();
        let entry = SOURCES.unpack_into(&cache).unwrap();
        let manifest = std::fs::read_to_string(entry.join("Cargo.toml")).unwrap();
        let manifest: toml::Table = manifest.parse().unwrap();
        let members = manifest["workspace"]["members"].as_array().unwrap();
        assert!(members.len() > 10);
        for member in members {
            let name = member.as_str().unwrap();
            let file = entry.join(name).join("Cargo.toml");
            assert!(file.is_file(), "{name} is missing");
        }
        for name in [
            "kernels.toml",
            "Cargo.lock",
            ".cargo/config.toml",
            "linux-pv/Kbuild",
        ] {
            assert!(entry.join(name).is_file(), "{name} is missing");
        }
        // A link leads to where it led.
        assert!(entry.join("linux-pv/abi").is_symlink());
        assert!(entry.join("linux-pv/abi/args.rs").is_file());
        assert!(!entry.join("target").exists());
    }
}
