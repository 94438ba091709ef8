// SPDX-License-Identifier: GPL-2.0

//! The sources that an installed program carries: everything is built from them, so that it works without a clone.

use std::path::Path;

use anyhow::{Context, Result};
use flate2::read::GzDecoder;

use crate::cache::{Cache, CacheEntry};
use crate::digest::Digest;

/// Room for them, in bytes.
const ROOM: u64 = 50_000_000;

/// A work tree as a tar archive, compressed by gzip.
pub struct CarriedSources(pub &'static [u8]);

impl CarriedSources {
    /// Finds the work tree in the cache or unpacks it there. Its folder is the same as long as the program is.
    pub fn unpack(&self) -> Result<CacheEntry> {
        self.unpack_into(&Cache::from_env()?)
    }

    /// As [`Self::unpack`], in a certain cache.
    pub fn unpack_into(&self, cache: &Cache) -> Result<CacheEntry> {
        let key = Digest::new("source", 1).with("archive", self.0).hex();
        cache.get_or_make("source", &key, ROOM, |dir| {
            unpack(self.0, dir).context("the sources in this program cannot be unpacked")
        })
    }
}

fn unpack(archive: &[u8], to: &Path) -> Result<()> {
    Ok(tar::Archive::new(GzDecoder::new(archive)).unpack(to)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    #[test]
    fn sources_are_unpacked_once() {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(3);
        header.set_mode(0o644);
        tar.append_data(&mut header, "kernels.toml", &b"abc"[..])
            .unwrap();
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(&tar.into_inner().unwrap()).unwrap();
        let archive: &'static [u8] = packed.finish().unwrap().leak();

        let root = tempfile::tempdir().unwrap();
        let cache = Cache::at(root.path().join("cache")).unwrap();
        let first = CarriedSources(archive).unpack_into(&cache).unwrap();
        assert_eq!(fs::read(first.join("kernels.toml")).unwrap(), b"abc");
        let second = CarriedSources(archive).unpack_into(&cache).unwrap();
        assert!(first.path() == second.path() && !second.is_fresh());
        assert!(CarriedSources(b"none").unpack_into(&cache).is_err());
    }
}
