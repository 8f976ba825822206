//! The typed events against what a real casper-node 1.5.8 sent, byte for byte.

use std::path::Path;

use mock_node::{
    Event,
    chain::{Chain, ChainConfig},
    event::{Payload, kind_of},
};

fn fixtures() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the fixtures are committed")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    files
        .into_iter()
        .map(|path| {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).expect("readable"))
        })
        .collect()
}

#[test]
fn captured_events_survive_the_typed_form_byte_for_byte() {
    let fixtures = fixtures();
    assert!(fixtures.len() >= 12, "a fixture per kind and variant");
    for (name, text) in fixtures {
        let text = text.trim_end();
        let payload: Payload = serde_json::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(payload.kind(), name.split('-').next().unwrap_or_default());
        assert_eq!(kind_of(text.as_bytes()).as_deref(), Some(payload.kind()));
        assert_eq!(Event::from(payload).data(), text, "{name}");
    }
}

/// Where the JSON of a captured and of a made-up event have other keys, with the path to them. Maps whose keys are
/// data and lists of unlike things are compared by their common shape alone.
fn differences(path: &str, real: &serde_json::Value, made: &serde_json::Value, found: &mut Vec<String>) {
    use serde_json::Value;
    match (real, made) {
        (Value::Object(real), Value::Object(made)) => {
            let keys = |map: &serde_json::Map<String, Value>| map.keys().cloned().collect::<Vec<_>>();
            if keys(real) != keys(made) {
                found.push(format!("{path}: {:?} but {:?}", keys(real), keys(made)));
            }
            for (key, value) in real {
                if let Some(other) = made.get(key) {
                    differences(&format!("{path}.{key}"), value, other, found);
                }
            }
        }
        (Value::Array(real), Value::Array(made)) if !path.ends_with("transforms") => {
            for (value, other) in real.iter().zip(made) {
                differences(&format!("{path}[]"), value, other, found);
            }
        }
        (Value::Null, _) | (_, Value::Null) => {}
        (real, made) if std::mem::discriminant(real) != std::mem::discriminant(made) => {
            found.push(format!("{path}: {real} but {made}"));
        }
        (Value::String(real), Value::String(made)) => {
            let is_hex = |text: &str| text.len() > 60 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            if path.ends_with("module_bytes") {
                return;
            }
            if is_hex(real) != is_hex(made) || (real.len() == 64) != (made.len() == 64) {
                found.push(format!("{path}: {real} but {made}"));
            }
        }
        _ => {}
    }
}

#[test]
fn the_generated_chain_has_the_shape_of_captured_events() {
    let config = ChainConfig { deploys_per_block: 8, ..ChainConfig::default() };
    let generated: Vec<_> = Chain::new(config).take(3000).collect();
    let find = |marks: &[&str]| {
        generated
            .iter()
            .map(|event| std::str::from_utf8(event.data()).expect("JSON is UTF-8"))
            .find(|text| marks.iter().all(|mark| text.contains(mark)))
            .unwrap_or_else(|| panic!("no {marks:?} among 3000 events"))
            .to_owned()
    };
    let marks_of: [(&str, &[&str]); 10] = [
        ("BlockAdded", &["{\"BlockAdded", "\"era_end\":null"]),
        ("BlockAdded-switch", &["{\"BlockAdded", "\"rewards\":[{"]),
        ("BlockAdded-genesis", &["{\"BlockAdded", "\"height\":0"]),
        ("DeployAccepted-transfer", &["{\"DeployAccepted", "\"session\":{\"Transfer"]),
        ("DeployAccepted-modulebytes", &["{\"DeployAccepted", "\"session\":{\"ModuleBytes"]),
        ("DeployProcessed-success", &["{\"DeployProcessed", "\"Success\""]),
        ("DeployProcessed-failure", &["{\"DeployProcessed", "\"Failure\""]),
        ("DeployExpired", &["{\"DeployExpired"]),
        ("FinalitySignature", &["{\"FinalitySignature"]),
        ("Step", &["{\"Step", "\"era_id\":1"]),
    ];
    for (name, marks) in marks_of {
        let (_, real) = fixtures().into_iter().find(|(found, _)| found == name).expect("a fixture");
        let real = serde_json::from_str(&real).expect("JSON");
        let made = serde_json::from_str(&find(marks)).expect("JSON");
        let mut found = Vec::new();
        differences(name, &real, &made, &mut found);
        assert_eq!(found, Vec::<String>::new());
    }
}
