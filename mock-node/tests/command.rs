//! The command as a user meets it, on real sockets.

use std::{
    io::{BufRead as _, BufReader, Lines, Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
    process::{Child, ChildStdout, Command, Output, Stdio},
};

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn mock_node() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mock-node"));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn finished(arguments: &[&str]) -> Output {
    mock_node().args(arguments).output().expect("it starts")
}

/// A process that ends with the test, however that ends.
struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        self.lines.next().expect("another line").expect("text")
    }

    /// The address in the next line.
    fn url(&mut self) -> String {
        let line = self.line();
        line[line.find("http://").expect("a URL")..].to_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// What a server says to a request up to the end of the connection.
fn get(url: &str) -> String {
    let (host, path) = url["http://".len()..].split_once('/').expect("a path");
    let mut stream = TcpStream::connect(host).expect("it listens");
    write!(stream, "GET /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    answer
}

#[test]
fn check_tells_file_line_and_what_is_allowed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wrong.toml");
    std::fs::write(&path, "steps = [\n  { wait = \"1s\" },\n  { emitt = \"Step\" },\n]\n").expect("writable");
    let path = path.to_str().expect("text");
    let output = finished(&["check", path]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        error.contains(&format!("{path}:3: unknown field `emitt`, expected one of `node`, `emit`")),
        "{error}"
    );
    std::fs::write(path, "steps = [\n  { wait_control = \"go\" },\n]\n").expect("writable");
    let error = finished(&["run", path]).stderr;
    assert!(String::from_utf8_lossy(&error).contains(":2: the step waits for a control call"));
    let right = self::folder("scripts/every-event.toml");
    assert!(finished(&["check", right.to_str().expect("text")]).status.success());
}

#[test]
fn generate_serves_several_nodes_of_one_chain_and_ends_in_order() {
    let arguments =
        ["generate", "--nodes", "2", "--blocks", "3", "--rate", "max", "--wait-subscribers", "1", "--exit"];
    let mut process = Running::start(mock_node().args(arguments));
    let (first, _, second, _) = (process.url(), process.url(), process.url(), process.url());
    // Each begins when it is asked, and both end together.
    let streams = std::thread::scope(|scope| {
        let readers = [&first, &second].map(|url| scope.spawn(|| get(url)));
        readers.map(|reader| reader.join().expect("it reads to the end"))
    });
    for stream in &streams {
        assert!(stream.starts_with("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"), "{stream}");
        assert!(stream.ends_with("0\r\n\r\n") && stream.contains("data:\"Shutdown\"\nid:"));
        assert_eq!(stream.matches("data:{\"BlockAdded\"").count(), 3);
    }
    let block = |stream: &str| {
        stream.lines().find(|line| line.starts_with("data:{\"BlockAdded\"")).map(str::to_owned)
    };
    assert_eq!(block(&streams[0]), block(&streams[1]));
    assert!(process.child.wait().expect("it ends").success());
}

#[test]
fn processes_with_one_genesis_send_one_chain() {
    let genesis =
        ["generate", "--genesis", "2020-01-01T00:00:00Z", "--start-height", "now", "--block-time", "250ms"];
    let of = |more: &[&str]| Running::start(mock_node().args(genesis).args(more));
    let mut first = of(&["--blocks", "8", "--exit"]);
    let mut second = of(&["--blocks", "8", "--exit", "--first-node", "2", "--node-version", "1.5.7"]);
    let (one, _) = (first.url(), first.url());
    let (two, status) = (second.url(), second.url());
    assert!(get(&status).contains("\"api_version\":\"1.5.7\""));
    let streams = std::thread::scope(|scope| {
        let readers = [one, two].map(|url| scope.spawn(move || get(&format!("{url}?start_from=0"))));
        readers.map(|reader| reader.join().expect("it reads to the end"))
    });
    let blocks = |stream: &str| -> std::collections::BTreeSet<String> {
        stream.lines().filter(|line| line.starts_with("data:{\"BlockAdded\"")).map(str::to_owned).collect()
    };
    let [one, two] = [&streams[0], &streams[1]].map(|stream| blocks(stream));
    assert_eq!((one.len(), two.len()), (8, 8));
    // The second may have begun some blocks later.
    assert!(one.intersection(&two).count() >= 1);
    assert!(one.iter().all(|block| block.contains("\"protocol_version\":\"1.5.8\"")));
    assert!(streams[1].contains("data:{\"ApiVersion\":\"1.5.7\"}"));
}

#[test]
fn the_chain_of_now_needs_a_genesis() {
    let output = finished(&["generate", "--start-height", "now"]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && error.contains("needs the --genesis"), "{error}");
}

#[test]
fn a_script_is_driven_over_the_control_api() {
    let script = folder("scripts/every-event.toml");
    let arguments = ["run", "--control-port", "0", "--step", script.to_str().expect("text")];
    let mut process = Running::start(mock_node().args(arguments));
    let (_, status, control) = (process.url(), process.url(), process.url());
    assert!(get(&status).contains("\"build_version\":\"1.5.8\""));
    let api = control.trim_end_matches("swagger-ui/");
    assert!(get(&format!("{api}script")).contains("\"stepped\":true"));
    assert!(get(&format!("{api}nodes")).contains("\"name\":\"node\""));
    assert!(get(&control).contains("200 OK"));
}

#[test]
fn a_taken_port_is_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("bound").port().to_string();
    let output = finished(&["generate", "--sse-port", &port]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && error.contains("cannot have its ports"), "{error}");
}

#[test]
fn the_readmes_consumer_passes_its_script() {
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("skipped: there is no python3");
        return;
    }
    let readme = std::fs::read_to_string(folder("README.md")).expect("readable");
    let block = |language: &str| {
        let (_, rest) = readme.split_once(&format!("```{language}\n")).expect("the README shows it");
        rest.split_once("```").expect("it ends").0.to_owned()
    };
    let temporary = tempfile::tempdir().expect("a folder");
    let consumer = temporary.path().join("consumer.py");
    std::fs::write(&consumer, block("python")).expect("writable");
    // The second breaks off within an event.
    let cut = concat!(
        "steps = [ { wait_subscribers = 1 }, { emit = 'BlockAdded' }, { emit = 'BlockAdded', cut_after = 200 },",
        "{ repeat = 4, steps = [ { emit = 'BlockAdded' } ] } ]"
    );
    for text in [block("toml").as_str(), cut] {
        let script = temporary.path().join("script.toml");
        std::fs::write(&script, text).expect("writable");
        let mut node = Running::start(mock_node().arg("run").arg(&script));
        let mut python = Command::new("python3");
        python.arg(&consumer).arg(node.url()).env("no_proxy", "*").stdout(Stdio::piped());
        let mut consumer = Running::start(&mut python);
        let heights: Vec<String> = (0..6).map(|_| consumer.line()).collect();
        assert_eq!(heights, ["1", "2", "3", "4", "5", "6"]);
    }
}
