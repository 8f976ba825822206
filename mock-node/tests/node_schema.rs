//! Made-up and captured events against the JSON schema that a real node publishes, where that is at hand: in a folder
//! `shared/reference/schema` beside this repository or above it, or wherever `CASPER_SSE_SCHEMA` says.

use std::path::{Path, PathBuf};

use mock_node::chain::{Chain, ChainConfig};
use serde_json::{Value, json};

fn at_hand(name: &str) -> Option<PathBuf> {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    above.map(|folder| folder.join("shared/reference").join(name)).find(|path| path.exists())
}

fn schema_file() -> Option<PathBuf> {
    let given = std::env::var_os("CASPER_SSE_SCHEMA").map(PathBuf::from);
    given.or_else(|| at_hand("schema/v1.5.8_sse_data_schema.json"))
}

/// The published schema is wrong in two places, as captured streams show: the deploy of a DeployAccepted stands directly
/// below the tag, and times are texts.
fn corrected(mut schema: Value) -> Value {
    for definition in ["Timestamp", "TimeDiff"] {
        schema["definitions"][definition] = json!({ "type": "string" });
    }
    for variant in schema["anyOf"].as_array_mut().expect("variants") {
        if let Some(accepted) = variant.pointer_mut("/properties/DeployAccepted") {
            *accepted = json!({ "$ref": "#/definitions/Deploy" });
        }
    }
    schema
}

#[test]
fn events_fit_the_schema_of_a_real_node() {
    let Some(path) = schema_file() else {
        eprintln!(
            "skipped: the schema of a real node is not at hand; set CASPER_SSE_SCHEMA to check against it"
        );
        return;
    };
    let schema = serde_json::from_str(&std::fs::read_to_string(path).expect("readable")).expect("JSON");
    let validator = jsonschema::validator_for(&corrected(schema)).expect("a JSON Schema");
    let check = |text: &[u8]| {
        let value: Value = serde_json::from_slice(text).expect("JSON");
        let errors: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert_eq!(errors, Vec::<String>::new(), "{}", String::from_utf8_lossy(text));
    };
    let fixtures =
        std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")).expect("fixtures");
    for path in fixtures.map(|entry| entry.expect("readable").path()) {
        if path.extension().is_some_and(|extension| extension == "json") {
            check(&std::fs::read(&path).expect("readable"));
        }
    }
    let config = ChainConfig { fault_every: 1, ..ChainConfig::default() };
    let mut kinds = std::collections::BTreeSet::new();
    for event in Chain::new(config).take(2000) {
        kinds.extend(mock_node::event::kind_of(event.data()));
        check(event.data());
    }
    assert_eq!(kinds.len(), 7, "all kinds that a chain brings: {kinds:?}");
    assert!(!validator.is_valid(&json!({ "DeployExpired": {} })), "the schema does tell");
}

#[test]
fn whole_captures_survive_the_typed_form_byte_for_byte() {
    let Some(folder) = at_hand("captures/1.5.8") else {
        eprintln!("skipped: no captures are at hand; the fixtures are checked all the same");
        return;
    };
    let mut checked = 0;
    for run in std::fs::read_dir(folder).expect("readable").map(|entry| entry.expect("readable").path()) {
        for path in std::fs::read_dir(run).into_iter().flatten().map(|entry| entry.expect("readable").path())
        {
            if path.extension().is_none_or(|extension| extension != "sse") {
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("text");
            for data in text.lines().filter_map(|line| line.strip_prefix("data:")) {
                let payload: mock_node::event::Payload = serde_json::from_str(data)
                    .unwrap_or_else(|error| panic!("{}: {error}: {data}", path.display()));
                assert_eq!(mock_node::Event::from(payload).data(), data);
                checked += 1;
            }
        }
    }
    assert!(checked > 700, "only {checked} events");
}
