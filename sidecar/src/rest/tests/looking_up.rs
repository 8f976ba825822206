//! What each path answers, found, not found or malformed.

use http::Method;

use super::server::{BLOCK, TestServer, block, hash, payload};

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
