//! The toy's OpenAPI document and its page.

use serde_json::{Value, json};

pub(super) const PAGE: &str = "<!DOCTYPE html>\n<html><body><div id=\"swagger-ui\"></div>\
    <script src=\"./bundle.js\" charset=\"UTF-8\"></script>\
    <script src=\"./swagger-initializer.js\" charset=\"UTF-8\"></script></body></html>\n";

pub(super) const INITIALIZER: &str =
    "window.onload = function() {\n  SwaggerUIBundle({\n    \"url\": \"/api-doc.json\"\n  });\n};\n";

const HASH: &str = "0076534b83e06fab747109f4ff666dddd356d832d192a63087ae5070dc583ee0";

pub(super) fn document() -> Value {
    let mut paths = serde_json::Map::new();
    for (path, schema) in [
        ("/block", "Block"),
        ("/block/{block}", "Block"),
        ("/deploy/{hash}", "Deploy"),
        ("/deploy/accepted/{hash}", "Accepted"),
        ("/deploy/processed/{hash}", "Processed"),
        ("/deploy/expired/{hash}", "Expired"),
        ("/faults/{of}", "Faults"),
        ("/signatures/{block_hash}", "Signatures"),
        ("/step/{era}", "Step"),
    ] {
        let name = path.split_once('{').map(|(_, name)| name.trim_end_matches('}'));
        let parameters: Vec<Value> = name.map(parameter).into_iter().collect();
        let answer = |schema: &str, text: &str| {
            json!({ "description": text, "content": { "application/json": {
                "schema": { "$ref": format!("#/components/schemas/{schema}") } } } })
        };
        let mut responses =
            json!({ "200": answer(schema, "found"), "404": answer("Refusal", "nothing found") });
        if name.is_some() {
            responses["400"] = answer("Refusal", "malformed");
        }
        let operation = json!({ "operationId": path.replace(['/', '{', '}'], "_"), "parameters": parameters, "responses": responses });
        paths.insert(path.to_owned(), json!({ "get": operation }));
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Toy", "version": "1.1.0" },
        "paths": paths,
        "components": { "schemas": schemas() },
    })
}

fn parameter(name: &str) -> Value {
    let schema = match name {
        "era" => json!({ "type": "integer", "examples": [4] }),
        "block" | "of" => json!({ "type": ["string", "integer"], "examples": [30] }),
        _ => json!({ "type": "string", "examples": [HASH] }),
    };
    json!({ "name": name, "in": "path", "required": true, "schema": schema })
}

fn schemas() -> Value {
    let object = |required: &[&str]| json!({ "type": "object", "required": required });
    let array = |required: &[&str]| json!({ "type": "array", "items": object(required) });
    json!({
        "Block": object(&["block_hash", "block"]),
        "Deploy": object(&["deploy_hash", "deploy_accepted", "deploy_processed", "deploy_expired"]),
        "Accepted": object(&["hash", "header", "payment", "session", "approvals"]),
        "Processed": object(&["deploy_hash", "execution_result"]),
        "Expired": object(&["deploy_hash"]),
        "Faults": array(&["era_id", "public_key", "timestamp"]),
        "Signatures": array(&["block_hash", "era_id", "signature", "public_key"]),
        "Step": object(&["era_id", "execution_effect"]),
        "Refusal": { "type": "object", "required": ["code", "message"], "properties": {
            "code": { "type": "integer" }, "message": { "type": "string" } } },
    })
}
