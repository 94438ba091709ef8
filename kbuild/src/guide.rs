// SPDX-License-Identifier: GPL-2.0

//! The recipes of docs/guides/distribution.md, which tests run to the letter: what the guide tells a user to type was tried.
//!
//! A recipe is the block of indented lines after a line `<!-- tried: NAME -->`.

use anyhow::{Context, Result, ensure};

const GUIDE: &str = include_str!("../../docs/guides/distribution.md");

/// A recipe as a shell script.
pub fn recipe(name: &str) -> Result<String> {
    find(GUIDE, name)
}

fn find(guide: &str, name: &str) -> Result<String> {
    let mark = format!("<!-- tried: {name} -->\n");
    let (_, rest) = guide
        .split_once(&mark)
        .with_context(|| format!("docs/guides/distribution.md has no recipe {name}"))?;
    let lines = rest.lines().skip_while(|line| line.is_empty());
    let script: String = lines
        .map_while(|line| line.strip_prefix("    "))
        .flat_map(|line| [line, "\n"])
        .collect();
    ensure!(
        !script.is_empty(),
        "the recipe {name} of docs/guides/distribution.md is empty"
    );
    Ok(script)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_is_the_block_after_its_mark() {
        let guide =
            "    not this\n<!-- tried: a -->\n\n    one\n        two\nText.\n\n    nor this\n";
        assert_eq!(find(guide, "a").unwrap(), "one\n    two\n");
        assert!(find(guide, "b").is_err());
        assert!(find("<!-- tried: a -->\nText.\n", "a").is_err());
    }

    #[test]
    fn the_guide_has_the_recipes_that_are_tried() {
        for name in ["modprobe", "initramfs-tools", "dracut"] {
            assert!(recipe(name).unwrap().contains("$rel"), "{name}");
        }
    }
}
