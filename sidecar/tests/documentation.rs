//! The examples of the documentation: each is quoted as it is, and does what it says.
//!
//! Where an interpreter is missing, its test says so and passes.

#![allow(clippy::disallowed_methods, reason = "these tests are about real processes")]

mod support;

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mock_node::Running;
use mock_node::chain::{ChainConfig, Samples};
use support::{PATIENCE, Place, Subscriber, node, ports};
use tokio::time::{sleep, timeout};

const EXAMPLES: [(&str, &str); 5] =
    [("bash", "sh"), ("python", "py"), ("js", "mjs"), ("html", "html"), ("rust", "rs")];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn example(extension: &str) -> PathBuf {
    root().join("docs/examples").join(format!("subscribe.{extension}"))
}

#[test]
fn each_example_is_quoted_as_it_is() {
    let page = std::fs::read_to_string(root().join("docs/event-stream.md")).expect("the page is there");
    for (language, extension) in EXAMPLES {
        let text = std::fs::read_to_string(example(extension)).expect("the example is there");
        let quote = format!("```{language}\n{text}```\n");
        assert!(page.contains(&quote), "docs/event-stream.md does not quote subscribe.{extension} as it is");
    }
}

/// Whether `program` is here; if not, says that a test is skipped.
fn is_here(program: &str) -> bool {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if found.is_err() {
        eprintln!("SKIPPED: there is no {program} on this machine");
    }
    found.is_ok()
}

/// An example that is running, and the file that it prints to.
struct Example {
    process: Child,
    output: PathBuf,
}

impl Example {
    fn start(command: &[&str], output: PathBuf) -> Self {
        let (program, arguments) = command.split_first().expect("a program");
        let file = File::create(&output).expect("the folder is ours");
        // A group of its own: a shell's children end with it.
        let process = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(file)
            .env("TMPDIR", output.parent().expect("a folder"))
            .process_group(0)
            .spawn()
            .expect("the example starts");
        Self { process, output }
    }

    /// All lines, once there are as many as this.
    async fn lines(&mut self, count: usize) -> Vec<String> {
        let printed = async {
            loop {
                let text = std::fs::read_to_string(&self.output).expect("it is there");
                if text.matches('\n').count() >= count {
                    return text.lines().map(str::to_owned).collect::<Vec<_>>();
                }
                let ended = self.process.try_wait().expect("the process can be asked");
                assert!(ended.is_none(), "the example ended with {ended:?} after printing {text:?}");
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, printed).await.expect("the example prints")
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // The whole group, and it may have ended by itself, which is no error here.
        let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", self.process.id())]).status();
        let _ = self.process.wait();
    }
}

/// A chain that grows when it is told to.
struct Chain {
    node: Running,
    samples: Samples,
}

impl Chain {
    async fn new() -> Self {
        Self { node: node().await, samples: Samples::new(ChainConfig::default()) }
    }

    /// Blocks, each with something else before and after it.
    fn grow(&mut self, blocks: usize) {
        for _ in 0..blocks {
            self.node.emit(self.samples.finality_signature());
            self.node.emit(self.samples.block_added());
            self.node.emit(self.samples.deploy_processed());
        }
    }
}

/// What an example has to print of this many blocks.
async fn expected(events: u16, blocks: usize) -> Vec<String> {
    let mut stream = Subscriber::connect(events, "/events/main?start_from=0", None).await;
    let mut lines = Vec::new();
    while lines.len() < blocks {
        let message = stream.take(1).await.remove(0);
        let event: serde_json::Value = serde_json::from_str(&message.data).expect("JSON");
        if let Some(height) = event.pointer("/BlockAdded/block/header/height") {
            lines.push(format!("{} block {height}", message.id.expect("it has one")));
        }
    }
    lines
}

/// Runs an example over a restart of the sidecar and, if it `remembers` its place in a file, over one of its own.
async fn check(command: &[&str], remembers: bool) {
    let mut chain = Chain::new().await;
    let place = Place::new().await;
    let config = place.configure(&[ports(&chain.node)], 100);
    let sidecar = place.start(&config).await;
    chain.node.wait_for_subscribers(3).await;
    chain.grow(3);

    let url = format!("http://127.0.0.1:{}/events/main", place.events);
    let file = place.folder.path().join("last-id").display().to_string();
    let mut arguments = [command, &[&url]].concat();
    if remembers {
        arguments.push(&file);
    }
    let mut running = Example::start(&arguments, place.folder.path().join("first"));
    running.lines(3).await;
    chain.grow(2);
    assert_eq!(running.lines(5).await, expected(place.events, 5).await);

    assert!(sidecar.terminate().await.success());
    let sidecar = place.start(&config).await;
    chain.grow(2);
    assert_eq!(running.lines(7).await, expected(place.events, 7).await);
    if !remembers {
        return;
    }

    // What follows the last block must have been seen, too, before it is stopped.
    let shown = expected(place.events, 7).await;
    let head = shown.last().and_then(|line| line.split(' ').next()?.parse::<u64>().ok());
    let saved = async {
        let saved = || std::fs::read_to_string(&file).ok()?.trim().parse::<u64>().ok();
        while saved() < head {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, saved).await.expect("the example writes down where it is");
    drop(running);
    chain.grow(2);
    let mut again = Example::start(&arguments, place.folder.path().join("second"));
    assert_eq!(again.lines(2).await, expected(place.events, 9).await[7..]);
    drop(again);
    assert!(sidecar.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_in_bash_goes_on_over_restarts() {
    if is_here("bash") && is_here("curl") {
        check(&["bash", &example("sh").display().to_string()], true).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_in_python_goes_on_over_restarts() {
    if is_here("python3") {
        check(&["python3", &example("py").display().to_string()], true).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_for_node_goes_on_over_restarts() {
    if is_here("node") {
        check(&["node", &example("mjs").display().to_string()], true).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_in_rust_goes_on_over_restarts() {
    check(&[&built_example().display().to_string()], true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_script_of_the_example_for_browsers_goes_on_over_a_restart() {
    if is_here("node") {
        let script = root().join("sidecar/tests/support/browser.mjs").display().to_string();
        check(&["node", &script, &example("html").display().to_string()], false).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_for_browsers_goes_on_over_a_restart_in_chromium() {
    if is_here("node") && is_here("chromium") {
        let script = root().join("sidecar/tests/support/chromium.mjs").display().to_string();
        check(&["node", &script, &example("html").display().to_string()], false).await;
    }
}

/// The example in Rust belongs to another crate: `cargo test` of the workspace builds it, that of this crate alone
/// does not.
fn built_example() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a file");
    let profile = test.ancestors().nth(2).expect("it is in deps of the folder of its profile");
    let built = profile.join("examples").join("subscribe");
    if !built.exists() {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--package", "conformance", "--example", "subscribe"]).current_dir(root());
        cargo.arg("--target-dir").arg(profile.parent().expect("it is in a target folder"));
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        assert!(cargo.status().expect("cargo is here").success(), "the example is not built");
    }
    built
}
