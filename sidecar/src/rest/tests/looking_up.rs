//! What each path answers, found, not found or malformed.

use http::Method;

use super::server::{
    ACCEPTED, BLOCK, EXPIRED, FAULT, PROCESSED, SIGNATURE, STEP, TestServer, block, hash, payload,
};

const NOTHING: &str = r#"{"code":404,"message":"Query returned no results"}"#;
const NO_PATH: &str = r#"{"code":400,"message":"Invalid request path provided"}"#;

fn malformed(expected: &str) -> String {
    format!(r#"{{"code":400,"message":"Invalid parameter in query: expected {expected}"}}"#)
}

#[tokio::test]
async fn a_block_is_found_by_its_hash_in_either_case_and_by_its_height() {
    let server = TestServer::with(&[BLOCK]).await;
    let hash = "c9df99c0b522dda241c8bba96c95cf6b3020fc7379210130555d179df4627ba5";
    server.check("/block", 200, payload(BLOCK)).await;
    server.check(&format!("/block/{hash}"), 200, payload(BLOCK)).await;
    server.check(&format!("/block/{}", hash.to_uppercase()), 200, payload(BLOCK)).await;
    server.check("/block/2", 200, payload(BLOCK)).await;
    server.check("/block/%32", 200, payload(BLOCK)).await;
    server.check("/block/002", 200, payload(BLOCK)).await;
    server.check("/block/18446744073709551615", 404, NOTHING).await;
    server.check(&format!("/block/{}", "0".repeat(64)), 404, NOTHING).await;
}

#[tokio::test]
async fn the_latest_block_is_the_highest_not_the_last_to_arrive() {
    let blocks = [block(&hash(1), 7), block(&hash(2), 256), block(&hash(3), 8)];
    let server = TestServer::with(&blocks.each_ref().map(String::as_str)).await;
    server.check("/block", 200, payload(&blocks[1])).await;
    server.check("/block/8", 200, payload(&blocks[2])).await;
    TestServer::new().check("/block", 404, NOTHING).await;
}

#[tokio::test]
async fn a_malformed_name_is_told_with_what_is_expected() {
    let server = TestServer::with(&[BLOCK]).await;
    let block = malformed("a block hash of 64 hexadecimal digits, or a block height");
    for wrong in ["xyz", "-1", "+2", "18446744073709551616", "abcdef", "%00", "%ff"] {
        let expected = if wrong == "%ff" { malformed("UTF-8") } else { block.clone() };
        server.check(&format!("/block/{wrong}"), 400, &expected).await;
    }
}

#[tokio::test]
async fn an_unknown_path_is_told() {
    let server = TestServer::with(&[BLOCK]).await;
    for path in ["/other", "/other/path", "//block", "/block//2", "/Block", "/block/2/x"] {
        server.check(path, 400, NO_PATH).await;
    }
    let root = server.get("/").await;
    assert_eq!(root.status, 400);
    assert!(root.text().contains("/swagger-ui/"), "{}", root.text());
}

#[tokio::test]
async fn a_query_that_is_not_asked_for_is_ignored() {
    let server = TestServer::with(&[BLOCK]).await;
    assert_eq!(server.get("/block?x=1").await.text(), payload(BLOCK));
}

#[tokio::test]
async fn a_wrong_method_on_a_right_path_is_told_with_the_right_ones() {
    let server = TestServer::with(&[BLOCK]).await;
    for method in [Method::POST, Method::DELETE, Method::PUT, Method::PATCH] {
        for path in ["/block", "/block/", "/block/2", "/"] {
            let answered = server.ask(method.clone(), path, &[]).await;
            assert_eq!(
                (answered.status.as_u16(), &answered.headers["allow"]),
                (405, &"GET, HEAD, OPTIONS".parse().expect("valid"))
            );
            assert!(answered.text().starts_with(r#"{"code":405,"#), "{}", answered.text());
        }
    }
    assert_eq!(server.ask(Method::POST, "/other", &[]).await.status, 400);
}

const DEPLOY: &str = "c28a2918111a122cac33725aa015b3cecb67e16dbb04889387254c89a66e0d67";

/// The three things that can be known of one deploy.
fn deploy_events() -> [String; 3] {
    [(ACCEPTED, "hash"), (PROCESSED, "deploy_hash"), (EXPIRED, "deploy_hash")].map(|(event, field)| {
        let parsed: serde_json::Value = serde_json::from_str(payload(event)).expect("JSON");
        event.replace(parsed[field].as_str().expect("a hash"), DEPLOY)
    })
}

#[tokio::test]
async fn a_deploy_is_put_together_of_what_is_known_of_it() {
    let events = deploy_events();
    let (accepted, processed) = (payload(&events[0]), payload(&events[1]));
    for known in 0..8_u8 {
        let is_known = |part: u8| known & 1 << part != 0;
        let server = TestServer::new();
        for part in (0..3).filter(|part| is_known(*part)) {
            server.append(&events[usize::from(part)], "10.0.0.1:9999").await;
        }
        let (status, body) = match known {
            0 => (404, NOTHING.to_owned()),
            _ => (
                200,
                format!(
                    r#"{{"deploy_hash":"{DEPLOY}","deploy_accepted":{},"deploy_processed":{},"deploy_expired":{}}}"#,
                    if is_known(0) { accepted } else { "null" },
                    if is_known(1) { processed } else { "null" },
                    is_known(2)
                ),
            ),
        };
        server.check(&format!("/deploy/{DEPLOY}"), status, &body).await;
        server.check(&format!("/deploy/{}", DEPLOY.to_uppercase()), status, &body).await;
        for (part, name) in ["accepted", "processed", "expired"].into_iter().enumerate() {
            let (status, body) =
                if is_known(part as u8) { (200, payload(&events[part])) } else { (404, NOTHING) };
            server.check(&format!("/deploy/{name}/{DEPLOY}"), status, body).await;
        }
    }
}

#[tokio::test]
async fn faults_are_found_by_key_and_by_era() {
    let key = "012fa85eb06279da42e68530e1116be04bfd2aaa5ed8d63401ebff4d9153a609a9";
    let later = FAULT.replace("4591", "4592");
    let server = TestServer::with(&[FAULT, STEP, &later]).await;
    let both = format!("[{},{}]", payload(FAULT), payload(&later));
    server.check(&format!("/faults/{key}"), 200, &both).await;
    server.check(&format!("/faults/{}", key.to_uppercase()), 200, &both).await;
    server.check("/faults/4591", 200, &format!("[{}]", payload(FAULT))).await;
    server.check("/faults/4593", 404, NOTHING).await;
    server.check(&format!("/faults/02{}", "0".repeat(66)), 404, NOTHING).await;
    let expected = malformed("a public key of 66 or 68 hexadecimal digits, or the number of an era");
    server.check("/faults/01abc", 400, &expected).await;
}

#[tokio::test]
async fn signatures_are_found_by_block_in_the_order_of_their_arrival() {
    let block = "1cdd900ceb93a22c204aa7262706c1c069475a59ba65ddc753598a9cdc2428c1";
    let other = SIGNATURE.replace("018f5a3e", "01ffffff");
    let server = TestServer::with(&[SIGNATURE, BLOCK, &other]).await;
    let both = format!("[{},{}]", payload(SIGNATURE), payload(&other));
    server.check(&format!("/signatures/{block}"), 200, &both).await;
    server.check(&format!("/signatures/{}", hash(1)), 404, NOTHING).await;
    server.check("/signatures/xyz", 400, &malformed("a hash of 64 hexadecimal digits")).await;
}

#[tokio::test]
async fn a_step_is_found_by_its_era() {
    let server = TestServer::with(&[STEP]).await;
    let era: serde_json::Value = serde_json::from_str(payload(STEP)).expect("JSON");
    server.check(&format!("/step/{}", era["era_id"]), 200, payload(STEP)).await;
    server.check("/step/77", 404, NOTHING).await;
    server.check("/step/-1", 400, &malformed("a number from 0 to 18446744073709551615")).await;
}

#[tokio::test]
async fn paths_without_a_name_are_unknown() {
    let server = TestServer::new();
    for path in ["/deploy", "/deploy/other/x", "/deploy/accepted", "/faults", "/signatures", "/step"] {
        let expected = if path == "/deploy/accepted" {
            malformed("a hash of 64 hexadecimal digits")
        } else {
            NO_PATH.to_owned()
        };
        server.check(path, 400, &expected).await;
    }
}

#[tokio::test]
async fn a_large_body_is_sent_in_slices() {
    let padding = "0123456789abcdef".repeat(600_000);
    for (before, after) in [("", ""), (" \n", "\n  ")] {
        let step = format!("{before}{{\"Step\":{before}{{\"era_id\":3,\"x\":\"{padding}\"}}{after}}}{after}");
        let server = TestServer::with(&[&step]).await;
        let answered = server.get("/step/3").await;
        let expected = format!("{{\"era_id\":3,\"x\":\"{padding}\"}}");
        assert!(answered.text() == expected);
        assert_eq!(answered.headers["content-length"], expected.len().to_string());
        let reads = server.disk.counts().reads;
        assert!(reads > 140, "{reads} reads for 9.6 MB");
        let head = server.ask(Method::HEAD, "/step/3", &[]).await;
        assert_eq!(head.headers["content-length"], expected.len().to_string());
        assert!(head.body.is_empty() && server.disk.counts().reads - reads < 5, "HEAD reads no body");
    }
}

#[tokio::test]
async fn head_has_the_headers_of_get() {
    let server = TestServer::with(&[BLOCK]).await;
    for path in ["/block", "/block/2", "/block/77", "/nothing", "/status", "/events"] {
        let (get, head) = (server.get(path).await, server.ask(Method::HEAD, path, &[]).await);
        assert_eq!((get.status, &get.headers), (head.status, &head.headers), "{path}");
        assert!(head.body.is_empty() && !get.body.is_empty(), "{path}");
    }
}

#[tokio::test]
async fn what_never_changes_is_sent_once() {
    let server = TestServer::with(&[BLOCK, STEP, SIGNATURE, FAULT]).await;
    for path in ["/block/2", "/step/0", "/events/3"] {
        let first = server.get(path).await;
        let tag = first.headers["etag"].to_str().expect("ASCII");
        for asked in [tag, "*", tag.trim_start_matches("W/"), &format!("\"x\", {tag}")] {
            let again = server.ask(Method::GET, path, &[("if-none-match", asked)]).await;
            assert_eq!(
                (again.status.as_u16(), &again.headers["etag"]),
                (304, &first.headers["etag"]),
                "{path}"
            );
            assert!(again.body.is_empty());
        }
        let other = server.ask(Method::GET, path, &[("if-none-match", "W/\"1\"")]).await;
        assert_eq!((other.status.as_u16(), other.body), (200, first.body), "{path}");
    }
    let faults = "/faults/4591";
    for path in ["/block", faults, "/events", "/status"] {
        assert!(server.get(path).await.headers.get("etag").is_none(), "{path} may change");
    }
}

#[tokio::test]
async fn a_database_that_cannot_be_read_is_told() {
    let server = TestServer::with(&[BLOCK]).await;
    server.disk.fail_reads();
    for path in ["/block", "/block/2", "/events", "/events/1", "/status", "/faults/1"] {
        let answered = server.get(path).await;
        assert_eq!(
            (answered.status.as_u16(), &answered.headers["retry-after"]),
            (503, &"5".parse().expect("valid")),
            "{path}"
        );
        assert!(answered.text().starts_with(r#"{"code":503,"#));
    }
}
