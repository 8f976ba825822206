//! The OpenAPI document as JSON: operations, references, schemas, examples.

use serde_json::{Value, json};

use crate::{
    check::Deviation,
    target::{Server, Target},
};

/// The document of a sidecar.
pub(super) struct Document {
    root: Value,
}

/// One operation of the document.
pub(super) struct Operation<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) body: &'a Value,
    /// Parameters that the path has for all its operations.
    shared: Option<&'a Value>,
}

impl Operation<'_> {
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

impl Document {
    pub(super) async fn of(target: &Target) -> Result<Self, Deviation> {
        let answer = target.get(Server::Rest, "/api-doc.json").await?;
        if answer.status != 200 {
            return Err(Deviation::new("200 for /api-doc.json", &answer));
        }
        Ok(Self { root: answer.json()? })
    }

    pub(super) fn root(&self) -> &Value {
        &self.root
    }

    pub(super) fn operations(&self) -> impl Iterator<Item = Operation<'_>> {
        const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
        self.root["paths"].as_object().into_iter().flatten().flat_map(|(path, item)| {
            let shared = item.get("parameters");
            let methods = item.as_object().into_iter().flatten();
            methods
                .filter(|(method, _)| METHODS.contains(&method.as_str()))
                .map(move |(method, body)| Operation { method, path, body, shared })
        })
    }

    /// What a `$ref` text points to.
    pub(super) fn pointed(&self, reference: &str) -> Option<&Value> {
        self.root.pointer(reference.strip_prefix('#')?)
    }

    /// The value itself, or what it refers to.
    pub(super) fn resolve<'a>(&'a self, value: &'a Value) -> Option<&'a Value> {
        match value.get("$ref").and_then(Value::as_str) {
            Some(reference) => self.pointed(reference),
            None => Some(value),
        }
    }

    /// All `$ref` texts.
    pub(super) fn references(&self) -> Vec<String> {
        let mut found = Vec::new();
        walk(&self.root, "", &mut |_, value| {
            if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
                found.push(reference.to_owned());
            }
        });
        found
    }

    pub(super) fn parameters<'a>(&'a self, operation: &Operation<'a>) -> Vec<&'a Value> {
        let own = operation.body.get("parameters");
        let all = [own, operation.shared].into_iter().flatten().filter_map(Value::as_array).flatten();
        all.filter_map(|parameter| self.resolve(parameter)).collect()
    }

    /// The path with an example in the place of each parameter.
    pub(super) fn filled(&self, operation: &Operation<'_>) -> String {
        let mut path = operation.path.to_owned();
        for name in parameters_in(operation.path) {
            let declared = self.parameters(operation).into_iter().find(|parameter| parameter["name"] == name);
            let example =
                declared.and_then(|parameter| self.example_of(parameter)).unwrap_or_else(|| "1".to_owned());
            path = path.replace(&format!("{{{name}}}"), &example);
        }
        path
    }

    fn example_of(&self, parameter: &Value) -> Option<String> {
        let first = parameter["examples"].as_object().and_then(|examples| examples.values().next());
        let schema = self.resolve(&parameter["schema"])?;
        let example = parameter
            .get("example")
            .or_else(|| first.and_then(|example| example.get("value")))
            .or_else(|| schema.get("example"))
            .or_else(|| schema.pointer("/examples/0"))?;
        Some(example.as_str().map_or_else(|| example.to_string(), str::to_owned))
    }

    /// The described response of a concrete path with this status.
    pub(super) fn response(&self, path: &str, status: u16) -> Option<&Value> {
        let get = self.operations().filter(|operation| operation.method == "get");
        // A literal segment names an operation better than a parameter does.
        let operation = get
            .filter(|operation| matches(operation.path, path))
            .min_by_key(|it| it.path.matches('{').count())?;
        let responses = operation.body.get("responses")?;
        let class = format!("{}XX", status / 100);
        let response = responses.get(status.to_string()).or_else(|| responses.get(class))?;
        self.resolve(response)
    }

    /// Whether a value is of the form that a schema of this document describes.
    pub(super) fn fits(&self, schema: &Value, value: &Value) -> Result<(), String> {
        let whole = json!({ "allOf": [schema], "components": self.root["components"] });
        let validator =
            jsonschema::draft202012::options().build(&whole).map_err(|error| format!("schema: {error}"))?;
        validator.validate(value).map_err(|error| format!("{error} at {}", error.instance_path()))
    }

    /// Every example beside its schema, with where it stands.
    pub(super) fn examples(&self) -> Vec<(String, &Value, &Value)> {
        let mut found = Vec::new();
        walk(&self.root, "", &mut |at, value| {
            // In parameters and media types the schema stands beside; elsewhere the value is the schema itself.
            let schema = match value.get("schema") {
                Some(schema) => schema,
                None if value.get("type").is_some() || value.get("$ref").is_some() => value,
                None => return,
            };
            if let Some(example) = value.get("example") {
                found.push((at.to_owned(), example, schema));
            }
            match value.get("examples") {
                Some(Value::Array(examples)) => {
                    found.extend(examples.iter().map(|example| (at.to_owned(), example, schema)));
                }
                Some(Value::Object(examples)) => {
                    let values = examples.values().filter_map(|example| example.get("value"));
                    found.extend(values.map(|example| (at.to_owned(), example, schema)));
                }
                _ => {}
            }
        });
        found
    }
}

/// Visits every object of the document that describes something; examples are data and not entered.
fn walk<'a>(value: &'a Value, at: &str, visit: &mut impl FnMut(&str, &'a Value)) {
    match value {
        Value::Object(object) => {
            visit(at, value);
            for (name, inner) in
                object.iter().filter(|(name, _)| !["example", "examples"].contains(&name.as_str()))
            {
                walk(inner, &format!("{at}/{name}"), visit);
            }
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, item)| walk(item, &format!("{at}/{n}"), visit))
        }
        _ => {}
    }
}

/// The names in braces.
pub(super) fn parameters_in(path: &str) -> Vec<&str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect()
}

/// The path with empty braces.
pub(super) fn nameless(path: &str) -> String {
    let parts = path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

fn matches(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len()
        && template.iter().zip(&path).all(|(expected, part)| expected.starts_with('{') || expected == part)
}

/// The REST paths that show an event.
pub(super) fn paths_of(kind: &str, payload: &Value) -> Vec<String> {
    let part = |pointer: &str| match payload.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        other => other.map(Value::to_string).unwrap_or_default(),
    };
    match kind {
        "BlockAdded" => vec![
            "/block".to_owned(),
            format!("/block/{}", part("/block_hash")),
            format!("/block/{}", part("/block/header/height")),
        ],
        "DeployAccepted" => {
            vec![format!("/deploy/{}", part("/hash")), format!("/deploy/accepted/{}", part("/hash"))]
        }
        "DeployProcessed" => {
            vec![
                format!("/deploy/{}", part("/deploy_hash")),
                format!("/deploy/processed/{}", part("/deploy_hash")),
            ]
        }
        "DeployExpired" => {
            vec![
                format!("/deploy/{}", part("/deploy_hash")),
                format!("/deploy/expired/{}", part("/deploy_hash")),
            ]
        }
        "Fault" => vec![format!("/faults/{}", part("/public_key")), format!("/faults/{}", part("/era_id"))],
        "FinalitySignature" => vec![format!("/signatures/{}", part("/block_hash"))],
        "Step" => vec![format!("/step/{}", part("/era_id"))],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_concrete_path_belongs_to_its_template() {
        assert!(matches("/block/{hash}", "/block/abc"));
        assert!(matches("/deploy/accepted/{hash}", "/deploy/accepted/abc"));
        assert!(!matches("/deploy/{hash}", "/deploy/accepted/abc"));
        assert!(!matches("/block/{hash}", "/block"));
        assert_eq!(nameless("/deploy/accepted/{hash}"), "/deploy/accepted/{}");
        assert_eq!(parameters_in("/a/{b}/c/{d}"), ["b", "d"]);
    }

    #[test]
    fn examples_are_held_against_the_schema_beside_them() {
        let document = Document {
            root: json!({ "components": { "schemas": {
                "Era": { "type": "integer", "example": 7 },
                "Wrong": { "type": "string", "examples": [7] },
            } } }),
        };
        let fits: Vec<bool> = document
            .examples()
            .into_iter()
            .map(|(_, example, schema)| document.fits(schema, example).is_ok())
            .collect();
        assert_eq!(fits, [true, false]);
        let by_reference = json!({ "$ref": "#/components/schemas/Era" });
        assert!(document.fits(&by_reference, &json!(1)).is_ok());
        assert!(document.fits(&by_reference, &json!("1")).is_err());
    }
}
