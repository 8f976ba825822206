//! The command: what it prints and with which status it ends.

use std::process::Output;

use tokio::process::Command;

use crate::{
    mutation::{Mutation, Server},
    toy::{Toy, Wrong},
};

async fn conformance(arguments: &[&str]) -> Output {
    let command = Command::new(env!("CARGO_BIN_EXE_conformance")).args(arguments).output().await;
    command.expect("the command can be run")
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("the command prints text")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_is_0_if_nothing_failed() {
    let toy = Toy::start(Wrong::Nothing, 0).await;
    let output =
        conformance(&["--events", &toy.events(), "--only", "stream.endpoint", "--only", "metrics.served"])
            .await;
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("PASS    stream.endpoint.main | Main events: curl -sN"), "{text}");
    assert!(
        text.contains("SKIPPED metrics.served") && text.contains("no --admin address was given"),
        "{text}"
    );
    assert!(text.contains("7 checks: 6 passed, 0 failed, 1 skipped"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_is_1_if_a_check_failed_and_the_json_report_says_which() {
    let wrong = Mutation::Header(Server::Events, "/events/main", "content-type", Some("text/plain"));
    let toy = Toy::start(wrong.into(), 0).await;
    let output =
        conformance(&["--events", &toy.events(), "--only", "stream.endpoint", "--format", "json"]).await;
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_str(stdout(&output)).expect("a JSON report");
    assert_eq!(report["summary"]["failed"], 1);
    let checks = report["checks"].as_array().expect("a list of checks");
    let failed: Vec<_> =
        checks.iter().filter(|check| check["outcome"] == "fail").map(|check| &check["id"]).collect();
    assert_eq!(failed, ["stream.endpoint.main"]);
}

#[tokio::test]
async fn wrong_arguments_end_with_status_2_and_say_what_is_right() {
    for (arguments, expected) in [
        (&[] as &[&str], "give at least one of --events, --rest, --admin"),
        (&["--events", "https://localhost:1"], "expected http://HOST:PORT"),
        (&["--events", "http://localhost:1", "--only", "stream.nonsense"], "no check 'stream.nonsense'"),
        (&["--events", "http://localhost:1", "--end-sidecar"], "--node-control"),
        (&["--events", "http://localhost:1", "--format", "yaml"], "text, json, junit"),
    ] {
        let output = conformance(arguments).await;
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert!(error.contains(expected), "{arguments:?}: {error}");
    }
}
