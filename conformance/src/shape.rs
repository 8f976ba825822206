//! The shape of a JSON value: its fields and their kinds, without what differs from one event to the next.

use std::collections::BTreeMap;

use serde_json::Value;

/// The shape as JSON: each text becomes `"string"`, each whole number `"integer"`, and so on. Of an array the shapes
/// that its items have are told, each once. Objects with a field for each of many keys (hexadecimal values as
/// names) are told as one field `"<hex>"`.
///
/// ```
/// let event = serde_json::json!({ "era_id": 7, "signatures": ["01ab", "02cd"], "end": null });
/// let shape = serde_json::json!({ "era_id": "integer", "signatures": ["string"], "end": null });
/// assert_eq!(conformance::shape::of(&event), shape);
/// ```
pub fn of(value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::Bool(_) => "boolean".into(),
        Value::Number(number) if number.is_f64() => "number".into(),
        Value::Number(_) => "integer".into(),
        Value::String(_) => "string".into(),
        Value::Array(items) => {
            let shapes: BTreeMap<String, Value> =
                items.iter().map(of).map(|shape| (shape.to_string(), shape)).collect();
            Value::Array(shapes.into_values().collect())
        }
        Value::Object(object) => Value::Object(
            object
                .iter()
                .map(|(name, value)| {
                    (if is_hex(name) { "<hex>".to_owned() } else { name.clone() }, of(value))
                })
                .collect(),
        ),
    }
}

fn is_hex(name: &str) -> bool {
    name.len() >= 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}
