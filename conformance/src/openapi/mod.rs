//! The OpenAPI document and its page in the browser.

mod document;
mod swagger;

use std::collections::BTreeSet;

use serde_json::Value;

use self::document::Document;
use crate::{
    check::{Check, Deviation, Finding, Need, Section, ensure},
    target::{Server, Target},
};

const SWAGGER: Section = Section::Page("Swagger Documentation");
const OPENAPI: Section = Section::Standard("OpenAPI specification");
const NOWHERE: &str = "0000000000000000000000000000000000000000000000000000000000000000";

const CHECKS: &[Check] = &[
    Check {
        id: "openapi.document",
        section: SWAGGER,
        says: "The documentation to test the REST API: /api-doc.json is an OpenAPI 3 document of this software",
        needs: &[Need::Rest],
        run: |target| Box::pin(is_document(target)),
    },
    Check {
        id: "openapi.structure",
        section: OPENAPI,
        says: "Operations have responses with descriptions, path parameters are declared and required, ids are unique",
        needs: &[Need::Rest],
        run: |target| Box::pin(structure(target)),
    },
    Check {
        id: "openapi.references",
        section: OPENAPI,
        says: "Every reference leads somewhere",
        needs: &[Need::Rest],
        run: |target| Box::pin(references(target)),
    },
    Check {
        id: "openapi.complete",
        section: SWAGGER,
        says: "Every path that is served is described",
        needs: &[Need::Rest],
        run: |target| Box::pin(complete(target)),
    },
    Check {
        id: "openapi.served",
        section: SWAGGER,
        says: "Every path that is described is served",
        needs: &[Need::Rest],
        run: |target| Box::pin(served(target)),
    },
    Check {
        id: "openapi.examples",
        section: OPENAPI,
        says: "Examples are of the form that their schemas describe",
        needs: &[Need::Rest],
        run: |target| Box::pin(examples(target)),
    },
    Check {
        id: "openapi.statuses",
        section: OPENAPI,
        says: "Every status that an answer has is described",
        needs: &[Need::Rest],
        run: |target| Box::pin(statuses(target)),
    },
    Check {
        id: "openapi.answers",
        section: OPENAPI,
        says: "Answers are of the form that is described",
        needs: &[Need::Rest, Need::Events],
        run: |target| Box::pin(answers(target)),
    },
];

/// All checks of this area, in the order of their run.
pub(crate) fn checks() -> impl Iterator<Item = &'static Check> {
    [CHECKS, swagger::CHECKS].into_iter().flatten()
}

async fn is_document(target: &Target) -> Finding {
    let document = Document::of(target).await?;
    let text = |pointer: &str| {
        document.root().pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let (version, title, of) = (text("/openapi"), text("/info/title"), text("/info/version"));
    let seen = format!("openapi {version}, {title} {of}");
    ensure(version.starts_with("3."), "openapi 3.x", &seen)?;
    ensure(!title.is_empty() && !of.is_empty(), "info with title and version", &seen)?;
    ensure(document.operations().next().is_some(), "some paths", &seen)?;
    Ok(seen)
}

async fn structure(target: &Target) -> Finding {
    let document = Document::of(target).await?;
    let mut ids = BTreeSet::new();
    let mut shapes = BTreeSet::new();
    let mut count = 0;
    for operation in document.operations() {
        let name = operation.name();
        count += 1;
        let shape = format!("{} {}", operation.method, document::nameless(operation.path));
        // Readers that generate clients refuse two templates of one shape.
        ensure(
            shapes.insert(shape),
            format!("{name} to differ from others by more than parameter names"),
            &name,
        )?;
        if let Some(id) = operation.body["operationId"].as_str() {
            ensure(ids.insert(id.to_owned()), "unique operationIds", id)?;
        }
        let responses = operation.body["responses"].as_object().filter(|responses| !responses.is_empty());
        let responses =
            responses.ok_or_else(|| Deviation::new(format!("responses of {name}"), operation.body))?;
        for (status, response) in responses {
            let described =
                document.resolve(response).is_some_and(|response| response["description"].is_string());
            ensure(described, format!("a description of {status} of {name}"), response)?;
        }
        for parameter in document::parameters_in(operation.path) {
            let declared =
                document.parameters(&operation).into_iter().find(|other| other["name"] == parameter);
            let right = declared
                .is_some_and(|it| it["in"] == "path" && it["required"] == true && it["schema"].is_object());
            ensure(
                right,
                format!("a required path parameter {parameter} of {name}, with a schema"),
                operation.body,
            )?;
        }
    }
    Ok(format!("{count} operations"))
}

async fn references(target: &Target) -> Finding {
    let document = Document::of(target).await?;
    let mut count = 0;
    for reference in document.references() {
        let leads = document.pointed(&reference).is_some();
        ensure(leads, "a reference into the document", &reference)?;
        count += 1;
    }
    Ok(format!("{count} references"))
}

async fn complete(target: &Target) -> Finding {
    let document = Document::of(target).await?;
    let described: BTreeSet<String> =
        document.operations().filter(|op| op.method == "get").map(|op| document::nameless(op.path)).collect();
    for path in [
        "/block",
        "/block/{}",
        "/deploy/{}",
        "/deploy/accepted/{}",
        "/deploy/processed/{}",
        "/deploy/expired/{}",
        "/faults/{}",
        "/signatures/{}",
        "/step/{}",
    ] {
        ensure(described.contains(path), format!("GET {path} described"), format!("{described:?}"))?;
    }
    Ok(format!("{} paths", described.len()))
}

async fn served(target: &Target) -> Finding {
    let document = Document::of(target).await?;
    let mut count = 0;
    for operation in document.operations().filter(|operation| operation.method == "get") {
        let path = document.filled(&operation);
        let answer = target.get(Server::Rest, &path).await?;
        let unknown =
            answer.body.contains("Invalid request path provided") || [405, 501].contains(&answer.status);
        ensure(!unknown && answer.status < 500, format!("{path} to be served"), &answer)?;
        count += 1;
    }
    Ok(format!("{count} paths"))
}

async fn examples(target: &Target) -> Finding {
    let document = Document::of(target).await?;
    let mut count = 0;
    for (at, example, schema) in document.examples() {
        document
            .fits(schema, example)
            .map_err(|error| Deviation::new(format!("a fitting example at {at}"), error))?;
        count += 1;
    }
    if count == 0 {
        return Err(Deviation::new("examples in the document", "none"));
    }
    Ok(format!("{count} examples"))
}

/// Look-ups that find nothing or are malformed, which need no events.
async fn refused(target: &Target) -> Result<Vec<(String, crate::target::Answer)>, Deviation> {
    let mut answers = Vec::new();
    for path in ["block", "deploy", "deploy/accepted", "deploy/processed", "deploy/expired", "signatures"] {
        for name in [NOWHERE, "xyz"] {
            answers.push(format!("/{path}/{name}"));
        }
    }
    answers.extend(
        ["/faults/01abc", "/faults/9007199254740990", "/step/abc", "/step/9007199254740990"]
            .map(str::to_owned),
    );
    let mut asked = Vec::new();
    for path in answers {
        let answer = target.get(Server::Rest, &path).await?;
        asked.push((path, answer));
    }
    Ok(asked)
}

async fn statuses(target: &Target) -> Finding {
    let document = Document::of(target).await?;
    let mut asked = refused(target).await?;
    asked.push(("/block".to_owned(), target.get(Server::Rest, "/block").await?));
    let mut seen = BTreeSet::new();
    for (path, answer) in &asked {
        let described = document.response(path, answer.status).is_some();
        ensure(described, format!("{} of {path} described", answer.status), answer)?;
        seen.insert(answer.status);
    }
    Ok(format!("{seen:?} described on their paths"))
}

async fn answers(target: &Target) -> Finding {
    let document = Document::of(target).await?;
    if !document.root()["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")) {
        return Err(Deviation::nothing("schemas before OpenAPI 3.1 are not JSON Schema"));
    }
    let mut asked = refused(target).await?;
    for kind in crate::subscription::Endpoint::Root.kinds() {
        for message in target.examples(kind).await.unwrap_or_default().into_iter().rev().take(2) {
            for path in document::paths_of(kind, &message.json()?) {
                let answer = target.get(Server::Rest, &path).await?;
                ensure(answer.status == 200, format!("200 for {path}"), &answer)?;
                asked.push((path, answer));
            }
        }
    }
    for (path, answer) in &asked {
        let response = document.response(path, answer.status);
        let schema = response.and_then(|response| response.pointer("/content/application~1json/schema"));
        let schema = schema
            .ok_or_else(|| Deviation::new(format!("a schema for {} of {path}", answer.status), "none"))?;
        document
            .fits(schema, &answer.json()?)
            .map_err(|error| Deviation::new(format!("an answer to {path} as described"), error))?;
    }
    Ok(format!("{} answers fit their schemas", asked.len()))
}
