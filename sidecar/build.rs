//! Tells the binary which commit it is built from, for `--version`.
//!
//! The variable `SIDECAR_COMMIT` says it; else a release build asks git. In a source archive there is neither, and the
//! version stands alone. Debug builds do not ask: they would be linked anew after every commit.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=SIDECAR_COMMIT");
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var_os("SIDECAR_COMMIT").is_some() || std::env::var("PROFILE").as_deref() != Ok("release") {
        return;
    }
    // Only if this very source is in the repository: an archive may have been unpacked within another one.
    if git(&["ls-files", "--error-unmatch", "build.rs"]).is_none() {
        return;
    }
    // What changes with a commit: the log of HEAD, and HEAD itself where no log is kept.
    for file in ["logs/HEAD", "HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", file]).filter(|path| Path::new(path).exists()) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    if let Some(commit) = git(&["rev-parse", "--short=7", "HEAD"]) {
        println!("cargo::rustc-env=SIDECAR_COMMIT={commit}");
    }
}

/// What git answers; `None` without git, or if it refuses.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (output.status.success() && !text.is_empty()).then(|| text.to_owned())
}
