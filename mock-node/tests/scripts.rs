//! Scripts: what is wrong with them is told by line, the schema is the committed one, and the ready ones play.

mod memory;

use std::{path::PathBuf, time::Duration};

use memory::{SSE, Served, lines};
use mock_node::script::{Player, Script, schema};

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn ready_scripts() -> Vec<PathBuf> {
    let mut paths: Vec<_> = std::fs::read_dir(folder("scripts"))
        .expect("the scripts are committed")
        .map(|entry| entry.expect("readable").path())
        .collect();
    paths.sort();
    assert!(paths.len() >= 7);
    paths
}

#[track_caller]
fn check(steps: &str, line: usize, parts: &[&str]) {
    let error = Script::parse(steps).expect_err("it is wrong");
    assert_eq!(error.line, Some(line), "{error}");
    for part in parts {
        assert!(error.message.contains(part), "no `{part}` in: {error}");
    }
}

#[test]
fn a_wrong_script_is_told_by_line_and_with_what_is_allowed() {
    check("steps = [\n{ emitt = 'Step' },\n]", 2, &["unknown field `emitt`", "`emit`", "`wait_control`"]);
    check("steps = [\n{ emit = 'Steps' },\n]", 2, &["unknown variant `Steps`", "`BlockAdded`"]);
    check("steps = [\n{ wait = '1s' },\n{ wait = 'soon' },\n]", 3, &["`soon` is no duration", "`2s`"]);
    check("steps = [\n{ node = 'x' },\n]", 2, &["no node `x`", "`node`"]);
    check("steps = [\n\n{ filter = 'main' },\n]", 3, &["does nothing", "`emit`"]);
    check("steps = [\n{ emit = 'Step', crash = true },\n]", 2, &["does one thing", "`crash`"]);
    check("steps = [\n{ wait = '1s', set = { a = 1 } },\n]", 2, &["`set` does not go with `wait`", "`emit`"]);
    check("steps = [\n{ json = '{' },\n]", 2, &["no JSON", "use `text`"]);
    check("steps = [\n{ file = 'nowhere.json' },\n]", 2, &["nowhere.json cannot be read"]);
    check("steps = [\n{ repeat = 2, steps = [\n{ set_id = -1 } ] },\n]", 3, &["-1", "u32"]);
    check("steps = [\n{ repeat = 2 },\n]", 2, &["`repeat` needs `steps"]);
    check("steps = [\n{ repeat = 'often', steps = [] },\n]", 2, &["number of times or `forever`"]);
    check("steps = [\n{ status = 200 },\n]", 2, &["400 to 599"]);
    check("steps = [\n{ status = 'bad' },\n]", 2, &["expected `normal`, `garbage`, `silent`"]);
    check("steps = [\n{ shutdown = false },\n]", 2, &["only `true`"]);
    check("steps = [\n{ emit = 'Step', id = 1, cut_after = 2 },\n]", 2, &["only one of"]);
    check("nodes = [\n{ name = 'a' },\n{ name = 'a' },\n]\nsteps = []", 3, &["two nodes called `a`"]);
    check("steps = [\n{ emit = 'Step' \n", 2, &[]);
    check(
        "steps = [\n{ emit = 'BlockAdded', set = { 'block.heather.height' = 1 } },\n]",
        2,
        &["no `heather` in `BlockAdded.block`", "`header`"],
    );
    check(
        "steps = [\n{ emit = 'BlockAdded', set = { 'block.hash2' = 1 } },\n]",
        2,
        &["no `hash2` in `BlockAdded.block`", "`hash`", "`add` for a new field"],
    );
    check("steps = [\n{ emit = 'Fault', add = { era_id = 1 } },\n]", 2, &["already: use `set`"]);
    check("steps = [\n{ emit = 'Shutdown', set = { a = 1 } },\n]", 2, &["a Shutdown has no fields"]);
}

#[test]
fn the_committed_schema_is_the_one_of_the_format() {
    let path = folder("script.schema.json");
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        committed,
        schema(),
        "{} is not up to date: write the output of `mock-node schema` to it",
        path.display()
    );
}

#[test]
fn the_ready_scripts_are_right_and_fit_the_schema() {
    let schema = serde_json::from_str(&schema()).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a JSON Schema");
    for path in ready_scripts() {
        Script::load(&path).unwrap_or_else(|error| panic!("{error}"));
        let text = std::fs::read_to_string(&path).expect("readable");
        let value: toml::Table = toml::from_str(&text).expect("TOML");
        let value = serde_json::to_value(value).expect("JSON");
        let errors: Vec<_> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert_eq!(errors, Vec::<String>::new(), "{}", path.display());
    }
    let wrong = serde_json::json!({ "steps": [{ "emit": "Step", "crash": true }] });
    assert!(!validator.is_valid(&wrong), "the schema tells that a step does one thing");
    let both = serde_json::json!({ "steps": [{ "build_version": "1", "api_version": "2" }] });
    assert!(validator.is_valid(&both));
}

/// Plays a ready script in virtual time; per node one client for each filter that comes back as soon as it is
/// disconnected. Returns what the clients of each node read.
async fn play(name: &str) -> Vec<String> {
    let script = Script::load(folder("scripts").join(name)).expect("a right script");
    let mut hosts = Vec::new();
    for builder in script.builders() {
        hosts.push(Served::new(builder.build()).await);
    }
    let nodes = hosts.iter().map(|host| host.node.clone()).collect();
    let player = Player::new(script, nodes, false);
    let (host_list, watched) = (&hosts, &player);
    let readers = host_list.iter().flat_map(|host| {
        ["main", "deploys", "sigs"].map(|filter| async move {
            let mut all = String::new();
            let mut query = "";
            // Once more after the end, for what came last.
            let mut finished = false;
            while !finished {
                finished = watched.progress().finished;
                let request = format!("GET /events/{filter}{query} HTTP/1.1\r\nhost: node\r\n\r\n");
                if let Ok(mut client) = host.network.connect(SSE).await {
                    client.send(&request).await;
                    all += &client.read_for(Duration::from_secs(20)).await.0;
                    query = "?start_from=0";
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            all
        })
    });
    let playing = tokio::time::timeout(Duration::from_secs(600), player.play());
    let (read, played) = tokio::join!(futures_util::future::join_all(readers), playing);
    played.unwrap_or_else(|_elapsed| panic!("{name} does not end"));
    read.chunks(3).map(|filters| filters.concat()).collect()
}

#[tokio::test(start_paused = true)]
async fn every_event_kind_is_in_the_script_of_all() {
    let seen = play("every-event.toml").await.concat();
    for kind in [
        "ApiVersion",
        "BlockAdded",
        "DeployAccepted",
        "DeployProcessed",
        "DeployExpired",
        "Fault",
        "FinalitySignature",
        "Step",
        "TransactionAccepted",
    ] {
        assert!(seen.contains(&format!("data:{{\"{kind}\"")), "{kind}");
    }
    assert_eq!(seen.matches("data:\"Shutdown\"").count(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_version_changes_where_the_script_says_so() {
    let seen = play("api-version-change.toml").await.concat();
    for version in ["1.5.2", "1.5.3", "1.5.4"] {
        assert!(seen.contains(&format!("data:{{\"ApiVersion\":\"{version}\"}}")), "{version}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_nodes_of_the_middleware_scripts_have_their_versions_and_the_same_events() {
    let two = play("mixed-versions-two-nodes.toml").await;
    assert!(two[0].contains("\"1.5.2\"}") && two[1].contains("\"1.5.3\"}"));
    let first = lines(&two[0]).into_iter().find(|line| line.contains("BlockAdded")).expect("a block");
    assert!(two[1].contains(first), "both send the same block");
    let three = play("mixed-versions-three-nodes.toml").await;
    assert!(three[2].contains("\"1.4.15\"}") && three[0].contains("\"1.5.6\"}"));
}

#[tokio::test(start_paused = true)]
async fn the_other_ready_scripts_play_to_their_end() {
    let seen = play("shutdown-and-return.toml").await.concat();
    assert!(seen.contains("data:\"Shutdown\""));
    play("reconnect-exhaustion.toml").await;
    let seen = play("odd-streams.toml").await.concat();
    for part in ["id:4294967295", "data: {", "id:0\r\n", "event:message", "data:{\ndata:", "yesterday"] {
        assert!(seen.contains(part), "{part}");
    }
    assert!(seen.len() > 30_000_000);
    play("first-test.toml").await;
}

#[tokio::test(start_paused = true)]
async fn changed_fields_stand_where_they_stood_and_new_ones_are_added() {
    let script = Script::parse(concat!(
        "steps = [\n",
        "{ emit = 'Fault', set = { era_id = 7, public_key = 'x', timestamp = 'y' } },\n",
        "{ emit = 'Fault', set = { era_id = 7, public_key = 'x', timestamp = 'y' }, add = { extra = true } },\n",
        "{ emit = 'BlockAdded', add = { 'block.proofs.0' = 'z' } },\n]",
    ));
    let script = script.expect("right");
    let node = script.builders().remove(0).build();
    Player::new(script, vec![node.clone()], false).play().await;
    let sent: Vec<_> = node.emitted().into_iter().map(|sent| sent.data).collect();
    assert_eq!(sent[0], r#"{"Fault":{"era_id":7,"public_key":"x","timestamp":"y"}}"#);
    let changed: serde_json::Value = serde_json::from_slice(&sent[1]).expect("JSON");
    assert_eq!(changed["Fault"]["extra"], true);
    assert!(sent[2].windows(3).any(|bytes| bytes == b"\"z\""));
}

#[tokio::test(start_paused = true)]
async fn a_driven_script_does_one_step_at_a_time() {
    let script = Script::parse(
        "steps = [ { emit = 'Step' }, { wait = '1h' }, { wait_control = 'go' }, { repeat = 2, steps = [ { emit = 'Step' } ] } ]",
    )
    .expect("right");
    let node = script.builders().remove(0).build();
    let player = Player::new(script, vec![node.clone()], true);
    let mut tasks = tokio::task::JoinSet::new();
    let playing = player.clone();
    tasks.spawn(async move { playing.play().await });
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!((node.next_id(), player.progress().steps_done), (0, 0));
    player.step(2);
    assert_eq!(player.wait_for_steps(2).await.steps_done, 2, "the hour of `wait` takes no time");
    assert_eq!(node.next_id(), 1);
    player.step(2);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(player.progress().steps_done, 2, "it waits for the call");
    assert!(player.waits_for("go") && !player.waits_for("stop"));
    player.call("go");
    assert_eq!(player.wait_for_steps(4).await.steps_done, 4);
    player.step(1);
    assert!(player.wait_for_steps(u64::MAX).await.finished);
    assert_eq!(node.next_id(), 3);
}
