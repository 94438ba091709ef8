// SPDX-License-Identifier: GPL-2.0

//! Archives in the format of an initramfs ("newc", see the kernel's
//! Documentation/driver-api/early-userspace/buffer-format.rst). Everything belongs to root and has no time, so
//! the same content gives the same bytes.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

const DIRECTORY: u32 = 0o040_755;
const SYMLINK: u32 = 0o120_777;
const REGULAR: u32 = 0o100_000;

enum Node {
    Directory,
    Symlink(PathBuf),
    File { mode: u32, content: Vec<u8> },
    Host { mode: u32, path: PathBuf },
}

/// An archive in the making; entries are written in the order of their names, folders first.
#[derive(Default)]
pub struct Archive(BTreeMap<PathBuf, Node>);

impl Archive {
    /// Adds an empty folder and those above it. Paths have no leading slash.
    pub fn dir(&mut self, path: impl AsRef<Path>) -> &mut Self {
        for folder in path
            .as_ref()
            .ancestors()
            .filter(|p| !p.as_os_str().is_empty())
        {
            self.0.entry(folder.to_owned()).or_insert(Node::Directory);
        }
        self
    }

    /// Adds a symbolic link unless something has that name already.
    pub fn link(&mut self, path: impl AsRef<Path>, target: impl AsRef<Path>) -> &mut Self {
        self.parent(path.as_ref());
        let target = target.as_ref().to_owned();
        self.0
            .entry(path.as_ref().to_owned())
            .or_insert(Node::Symlink(target));
        self
    }

    /// Adds a file.
    pub fn file(
        &mut self,
        path: impl AsRef<Path>,
        mode: u32,
        content: impl Into<Vec<u8>>,
    ) -> &mut Self {
        self.parent(path.as_ref());
        self.0.insert(
            path.as_ref().to_owned(),
            Node::File {
                mode,
                content: content.into(),
            },
        );
        self
    }

    /// Adds a copy of a file of this machine, with its permissions; symbolic links are followed.
    pub fn host_file(&mut self, path: impl AsRef<Path>, from: &Path) -> Result<&mut Self> {
        self.parent(path.as_ref());
        let meta = fs::metadata(from).with_context(|| format!("{} is missing", from.display()))?;
        let node = Node::Host {
            mode: meta.permissions().mode() & 0o777,
            path: from.to_owned(),
        };
        self.0.insert(path.as_ref().to_owned(), node);
        Ok(self)
    }

    fn parent(&mut self, path: &Path) {
        if let Some(parent) = path.parent() {
            self.dir(parent);
        }
    }

    /// Writes the archive.
    pub fn write(&self, out: &mut dyn Write) -> Result<()> {
        for (number, (path, node)) in self.0.iter().enumerate() {
            let (mode, content) = match node {
                Node::Directory => (DIRECTORY, vec![]),
                Node::Symlink(target) => {
                    (SYMLINK, target.to_string_lossy().into_owned().into_bytes())
                }
                Node::File { mode, content } => (REGULAR | mode, content.clone()),
                Node::Host { mode, path } => {
                    let content = fs::read(path).with_context(|| path.display().to_string())?;
                    (REGULAR | mode, content)
                }
            };
            entry(out, number + 1, &path.to_string_lossy(), mode, &content)?;
        }
        entry(out, 0, "TRAILER!!!", 0, &[])?;
        Ok(())
    }

    /// Writes the archive to a new file.
    pub fn write_to(&self, path: &Path) -> Result<()> {
        let file =
            fs::File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        let mut out = io::BufWriter::new(file);
        self.write(&mut out)?;
        out.flush()
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

fn entry(
    out: &mut dyn Write,
    inode: usize,
    name: &str,
    mode: u32,
    content: &[u8],
) -> io::Result<()> {
    let links = if mode == DIRECTORY { 2 } else { 1 };
    let size = u32::try_from(content.len()).map_err(io::Error::other)?;
    // Magic, inode, mode, uid, gid, links, time, size, device numbers (4), name's length, checksum.
    write!(
        out,
        "070701{inode:08x}{mode:08x}{:08x}{:08x}{links:08x}{:08x}{size:08x}",
        0, 0, 0
    )?;
    write!(
        out,
        "{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}",
        0,
        0,
        0,
        0,
        name.len() + 1,
        0
    )?;
    write!(out, "{name}\0")?;
    // The header has 110 bytes; header and name together, and the content, are padded to four bytes.
    out.write_all(&[0; 4][..padding(110 + name.len() + 1)])?;
    out.write_all(content)?;
    out.write_all(&[0; 4][..padding(content.len())])
}

fn padding(len: usize) -> usize {
    len.next_multiple_of(4) - len
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_aligned_and_in_order() {
        let mut archive = Archive::default();
        archive
            .file("b/file", 0o644, "xyz")
            .link("a", "b/file")
            .link("a", "ignored");
        let mut bytes = Vec::new();
        archive.write(&mut bytes).unwrap();
        assert_eq!(bytes.len() % 4, 0);
        let text = String::from_utf8_lossy(&bytes);
        let names: Vec<_> = ["a\0", "b\0", "b/file\0", "TRAILER!!!\0"]
            .iter()
            .map(|name| text.find(&format!("{:08x}{name}", 0)).unwrap())
            .collect();
        assert!(names.is_sorted());
        assert_eq!(text.matches("070701").count(), 4);
        assert!(text.contains("xyz") && !text.contains("ignored"));
    }
}
