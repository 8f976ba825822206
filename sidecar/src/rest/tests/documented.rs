//! The document says what the server does.

use std::collections::BTreeSet;

use http::Method;
use serde_json::Value;

use super::server::{ACCEPTED, BLOCK, EXPIRED, FAULT, PROCESSED, SIGNATURE, STEP, TestServer};

async fn document(server: &TestServer) -> Value {
    serde_json::from_slice(&server.get("/api-doc.json").await.body).expect("JSON")
}

#[tokio::test]
async fn the_document_is_as_it_was_agreed() {
    let server = TestServer::new();
    let mut document = document(&server).await;
    document["info"]["version"] = "(version)".into();
    document["paths"]["/status"]["get"]["responses"]["200"]["content"]["application/json"]["example"]["version"] =
        "(version)".into();
    insta::assert_json_snapshot!("openapi", document);
    assert_eq!(server.get("/api-doc.json/").await.body, server.get("/api-doc.json").await.body);
}

#[tokio::test]
async fn every_reference_leads_somewhere() {
    let document = document(&TestServer::new()).await;
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().expect("it ends")) {
        assert!(document.pointer(reference).is_some(), "{reference}");
    }
}

#[tokio::test]
async fn every_documented_path_is_served_and_answers_a_documented_status() {
    let server = TestServer::with(&[BLOCK, ACCEPTED, PROCESSED, EXPIRED, FAULT, SIGNATURE, STEP]).await;
    let document = document(&server).await;
    let mut good = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        let documented = item["get"]["responses"].as_object().expect("responses");
        let hashes = server.hashes();
        for name in hashes.iter().map(String::as_str).chain(["0", "2", "4591", "x"]) {
            let asked = path.split('/').map(|part| if part.starts_with('{') { name } else { part });
            let answered = server.get(&asked.collect::<Vec<_>>().join("/")).await;
            assert!(
                documented.contains_key(answered.status.as_str()),
                "{path} of {name}: {}",
                answered.status
            );
            if answered.status == 200 {
                good.insert(path.clone());
            }
        }
    }
    let all: BTreeSet<_> = document["paths"].as_object().expect("paths").keys().cloned().collect();
    assert_eq!(good, all, "each path can be answered");
}

#[tokio::test]
async fn answers_are_valid_under_their_schemas() {
    let server =
        TestServer::with(&[BLOCK, ACCEPTED, PROCESSED, EXPIRED, FAULT, SIGNATURE, STEP, "{\"New\":1}"]).await;
    let document = document(&server).await;
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (status, response) in item["get"]["responses"].as_object().expect("responses") {
            let Some(content) = response["content"].get("application/json") else { continue };
            let mut schema = content["schema"].clone();
            schema["components"] = document["components"].clone();
            let validator = jsonschema::validator_for(&schema).expect("a schema");
            if let Some(example) = content.get("example") {
                let problems: Vec<_> =
                    validator.iter_errors(example).map(|error| error.to_string()).collect();
                assert!(problems.is_empty(), "example of {path} {status}: {problems:?}");
            }
            if status != "200" {
                continue;
            }
            for name in server.hashes().iter().map(String::as_str).chain(["0", "2", "4591", "8"]) {
                let asked = path.split('/').map(|part| if part.starts_with('{') { name } else { part });
                let answered = server.get(&asked.collect::<Vec<_>>().join("/")).await;
                if answered.status == 200 {
                    let body: Value = serde_json::from_slice(&answered.body).expect("JSON");
                    let problems: Vec<_> =
                        validator.iter_errors(&body).map(|error| error.to_string()).collect();
                    assert!(problems.is_empty(), "{path} of {name}: {problems:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn the_browser_page_and_its_files_come_from_the_sidecar_itself() {
    let server = TestServer::new();
    let redirect = server.get("/swagger-ui").await;
    assert!(redirect.status.is_redirection());
    assert_eq!(redirect.headers["location"], "/swagger-ui/");
    let page = server.get("/swagger-ui/").await;
    assert_eq!(
        (page.status.as_u16(), &page.headers["content-type"]),
        (200, &"text/html".parse().expect("valid"))
    );
    assert_eq!(server.get("/swagger-ui/index.html").await.body, page.body);
    let text = page.text();
    assert!(!text.contains("http://") && !text.contains("https://"), "it needs no network");
    for attribute in ["src=\"", "href=\""] {
        for name in text.split(attribute).skip(1).map(|rest| rest.split('"').next().expect("it ends")) {
            let path = format!("/swagger-ui/{}", name.trim_start_matches("./"));
            assert_eq!(server.get(&path).await.status, 200, "{path}");
        }
    }
    assert!(server.get("/swagger-ui/swagger-initializer.js").await.text().contains("\"/api-doc.json\""));
    assert_eq!(server.get("/swagger-ui/none.js").await.status, 400);
    let packed =
        server.ask(Method::GET, "/swagger-ui/swagger-ui-bundle.js", &[("accept-encoding", "gzip")]).await;
    assert_eq!(packed.headers["content-encoding"], "gzip");
}
