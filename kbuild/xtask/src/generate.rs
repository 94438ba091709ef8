// SPDX-License-Identifier: GPL-2.0

//! `generate`: completions for shells, and the manual page.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;
use clap_complete::Shell;

use crate::cli::{self, Generate, Program};

/// Writes what is asked for to standard output.
pub fn run(args: &Generate, program: Program) -> Result<ExitCode> {
    io::stdout().write_all(&text(*args, program)?)?;
    Ok(ExitCode::SUCCESS)
}

fn text(args: Generate, program: Program) -> Result<Vec<u8>> {
    let mut command = cli::command(program);
    let mut text = Vec::new();
    let shell = match args.what {
        cli::Generated::Bash => Shell::Bash,
        cli::Generated::Fish => Shell::Fish,
        cli::Generated::Zsh => Shell::Zsh,
        cli::Generated::Man => {
            manual(command, &mut text)?;
            return Ok(text);
        }
    };
    clap_complete::generate(shell, &mut command, program.name(), &mut text);
    Ok(text)
}

/// One page with a section for each subcommand.
fn manual(command: clap::Command, text: &mut Vec<u8>) -> io::Result<()> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let shown = command
        .get_subcommands()
        .filter(|command| !command.is_hide_set());
    let subcommands: Vec<_> = shown.cloned().collect();
    let page = clap_mangen::Man::new(command);
    page.render_title(text)?;
    page.render_name_section(text)?;
    page.render_synopsis_section(text)?;
    page.render_description_section(text)?;
    page.render_options_section(text)?;
    for subcommand in subcommands {
        let name = subcommand.get_name().to_uppercase();
        writeln!(text, ".SH \"{name}\"")?;
        let page = clap_mangen::Man::new(subcommand);
        let mut part = Vec::new();
        page.render_synopsis_section(&mut part)?;
        page.render_description_section(&mut part)?;
        page.render_options_section(&mut part)?;
        // Sections of a page of their own are subsections here.
        text.extend(
            String::from_utf8_lossy(&part)
                .replace(".SH ", ".SS ")
                .bytes(),
        );
    }
    page.render_extra_section(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Generated;

    fn generated(what: Generated) -> String {
        let text = text(Generate { what }, Program::Installed).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn completions_and_manual_know_the_options() {
        for what in [Generated::Bash, Generated::Fish, Generated::Zsh] {
            let text = generated(what);
            for wanted in ["paravane", "no-snapshots", "dom0-pvh"] {
                assert!(text.contains(wanted), "{what:?} lacks {wanted}");
            }
        }
        let manual = generated(Generated::Man);
        for wanted in [
            ".TH paravane 1",
            ".SH \"RUN\"",
            ".SH \"DOCTOR\"",
            "PARAVANE_CACHE",
        ] {
            assert!(manual.contains(wanted), "the manual lacks {wanted}");
        }
        assert!(!manual.contains("cargo xtask"), "{manual}");
    }
}
