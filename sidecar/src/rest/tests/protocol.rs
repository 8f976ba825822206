//! What is the same on every path: origins, compression, limits.

use std::io::Read;
use std::time::Duration;

use flate2::read::GzDecoder;
use futures_util::future::join_all;
use http::Method;

use super::server::{BLOCK, STEP, TestServer, payload};

#[tokio::test]
async fn pages_of_any_origin_may_read_everything() {
    let server = TestServer::within(10, 10, 10).await;
    for path in ["/block", "/nothing", "/block/x"] {
        let answered = server.ask(Method::GET, path, &[("origin", "http://example.org")]).await;
        assert_eq!(answered.headers["access-control-allow-origin"], "*", "{path}");
    }
    let headers = [
        ("origin", "http://example.org"),
        ("access-control-request-method", "GET"),
        ("access-control-request-headers", "if-none-match"),
    ];
    let preflight = server.ask(Method::OPTIONS, "/block", &headers).await;
    assert_eq!(preflight.status, 200);
    assert_eq!(preflight.headers["access-control-allow-methods"], "GET,HEAD,OPTIONS");
    assert_eq!(preflight.headers["access-control-allow-headers"], "*");
}

#[tokio::test]
async fn answers_are_compressed_for_whoever_takes_that() {
    let server = TestServer::with(&[STEP, BLOCK]).await;
    let plain = server.get("/step/0").await;
    assert!(plain.headers.get("content-encoding").is_none());
    let packed = server.ask(Method::GET, "/step/0", &[("accept-encoding", "gzip, br")]).await;
    assert_eq!(packed.headers["content-encoding"], "gzip");
    assert_eq!(packed.headers["etag"], plain.headers["etag"], "a weak tag stands for both");
    assert!(packed.body.len() < plain.body.len());
    let mut text = String::new();
    GzDecoder::new(&*packed.body).read_to_string(&mut text).expect("gzip");
    assert_eq!(text, payload(STEP));
    let small = server.ask(Method::GET, "/block", &[("accept-encoding", "gzip")]).await;
    assert_eq!(small.text(), payload(BLOCK), "it is not worth it");
}

#[tokio::test]
async fn answers_of_many_parts_are_compressed_as_well() {
    let long = format!("{{\"Step\":{{\"era_id\":7,\"x\":\"{}\"}}}}", "0123456789".repeat(30_000));
    let server = TestServer::with(&[STEP, BLOCK, &long]).await;
    for path in ["/events", "/step/7", "/events/3"] {
        let plain = server.get(path).await;
        let packed = server.ask(Method::GET, path, &[("accept-encoding", "gzip")]).await;
        let mut text = String::new();
        GzDecoder::new(&*packed.body).read_to_string(&mut text).expect("gzip");
        assert!(text == plain.text(), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_have_the_shape_of_errors_and_may_be_read_by_any_origin() {
    let server = TestServer::within(1, 3, 2).await;
    server.disk.set_latency(Duration::ZERO, Duration::from_millis(700));
    let headers = [("origin", "http://example.org")];
    let answers = join_all((0..8).map(|_| server.ask(Method::GET, "/block", &headers))).await;
    let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    statuses.dedup();
    assert_eq!(statuses, [200, 429, 503]);
    for answer in answers {
        assert_eq!(answer.headers["access-control-allow-origin"], "*");
        if answer.status != 200 {
            assert_eq!(answer.headers["retry-after"], "1");
            assert_eq!(answer.headers["content-type"], "application/json");
            assert!(
                answer.text().starts_with(&format!(r#"{{"code":{},"message":""#, answer.status.as_u16()))
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_database_does_not_hold_a_request_for_ever() {
    let server = TestServer::within(1, 10, 2).await;
    server.disk.set_latency(Duration::ZERO, Duration::from_secs(60));
    let answered = server.get("/block").await;
    assert_eq!(answered.status, 503);
    assert_eq!(answered.text(), r#"{"code":503,"message":"The request took longer than 2 s"}"#);
    assert_eq!(answered.headers["retry-after"], "2");
}
