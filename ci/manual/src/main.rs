//! `manual FOLDER`: writes the man pages and shell completions of both commands, as the packages carry them.
//!
//! A program of its own, so that the installed ones need not carry what is used once, when a package is built. What it
//! writes comes from the commands' own descriptions of their arguments.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap_complete::Shell;

fn main() -> anyhow::Result<()> {
    let folder: PathBuf = std::env::args_os().nth(1).context("usage: manual FOLDER")?.into();
    for command in [casper_event_sidecar::command::arguments(), mock_node::arguments::arguments()] {
        write(command, &folder)?;
    }
    Ok(())
}

/// Writes what there is to say of one command, in a folder of its name.
fn write(mut command: clap::Command, folder: &Path) -> anyhow::Result<()> {
    let name = command.get_name().to_owned();
    let folder = folder.join(&name);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    // By the names under which each shell looks for them.
    for (shell, file) in
        [(Shell::Bash, name.clone()), (Shell::Zsh, format!("_{name}")), (Shell::Fish, format!("{name}.fish"))]
    {
        let path = folder.join(file);
        let mut file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        clap_complete::generate(shell, &mut command, &name, &mut file);
    }
    // A page for each way to ask for help would say nothing.
    clap_mangen::generate_to(command.disable_help_subcommand(true), &folder)
        .context("cannot write the man pages")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_commands_have_a_page_and_completions_for_three_shells() {
        let folder = tempfile::tempdir().expect("a folder");
        for (command, option, page) in [
            (casper_event_sidecar::command::arguments(), "--check-config", "casper-event-sidecar.1"),
            (mock_node::arguments::arguments(), "generate", "mock-node-generate.1"),
        ] {
            let name = command.get_name().to_owned();
            write(command, folder.path()).expect("written");
            let read = |file: &str| {
                let path = folder.path().join(&name).join(file);
                fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
            };
            for file in [name.clone(), format!("_{name}"), format!("{name}.fish")] {
                let text = read(&file);
                assert!(text.contains(option.trim_start_matches('-')), "{file}:\n{text}");
            }
            assert!(read(page).starts_with(".ie"), "{page} is a man page");
            // The option's dashes are escaped there.
            assert!(read(&format!("{name}.1")).contains(option.replace('-', "\\-").as_str()));
        }
    }
}
