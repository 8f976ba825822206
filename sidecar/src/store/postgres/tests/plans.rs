//! Every statement goes by an index, whatever the server knows of the tables.

use sqlx::{AssertSqlSafe, Row};

use super::super::connect::{Limits, Server};
use super::super::{sql, statements};
use crate::store::Store;
use crate::store::contract::{Database, Place, batch, block, signature};

/// The plan of a statement as sessions of the store have it: one for all arguments.
async fn plan(connection: &mut sqlx::PgConnection, statement: &str) -> Vec<String> {
    let places = (1..).take_while(|number| statement.contains(&format!("${number}"))).count();
    let arguments = vec!["NULL"; places].join(", ");
    let arguments = if places == 0 { String::new() } else { format!("({arguments})") };
    let run = async |connection: &mut sqlx::PgConnection, sql: String| {
        sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await.expect("is valid")
    };
    run(connection, format!("PREPARE looked_at AS {statement}")).await;
    let rows = run(connection, format!("EXPLAIN (COSTS OFF) EXECUTE looked_at{arguments}")).await;
    run(connection, "DEALLOCATE looked_at".into()).await;
    rows.iter().map(|row| row.get(0)).collect()
}

/// Each statement with the index that it must go by.
const INDEXED: [(&str, &str); 14] = [
    (sql::PAGE_OF_LOG, "Index Scan using entry_pkey on entry"),
    (sql::PAGE_OF_ALL, "Index Scan using entry_pkey on entry"),
    (sql::PAGE_OF_ONE, "Index Scan using entry_by_channel on entry"),
    (sql::BY_ID, "Index Scan using entry_pkey on entry"),
    (sql::BY_IDENTITY, "Index Scan using entry_by_identity on entry"),
    (sql::BY_IDENTITIES, "entry_by_identity"),
    (sql::BY_KEY, "entry_by_key"),
    (sql::GREATEST_BLOCK, "Index Scan Backward using entry_by_key on entry"),
    (sql::LIST[0], "Index Scan using entry_pkey on entry"),
    (sql::LIST[1], "Index Scan Backward using entry_pkey on entry"),
    (sql::LIST_KIND[0], "Index Scan using entry_by_kind on entry"),
    (sql::LIST_KIND[1], "Index Scan Backward using entry_by_kind on entry"),
    (sql::LIST_CHANNEL[0], "Index Scan using entry_by_channel on entry"),
    (sql::LIST_CHANNEL[1], "Index Scan Backward using entry_by_channel on entry"),
];

#[tokio::test]
async fn no_statement_scans_the_log() {
    let Some(place) = Database::new().await else { return };
    let store = place.open().await.expect("opens");
    let server = Server::new(&place.config, Limits::default()).expect("is right");
    for filled in [false, true] {
        if filled {
            let event =
                |n: u64| if n.is_multiple_of(100) { block(n) } else { signature(&(n / 100).to_string(), n) };
            for first in (0..20_000).step_by(2000) {
                store.append(&batch((first..first + 2000).map(event))).await.expect("writes");
            }
            place.run("ANALYZE").await;
        }
        let mut connection = server.connect().await.expect("connects");
        for (statement, index) in INDEXED {
            let plan = plan(&mut connection, statement).await;
            assert!(plan.iter().any(|step| step.contains(index)), "{filled}: {statement}\n{plan:#?}");
            let is_bounded = statement.contains("WINDOW");
            assert!(!is_bounded || !plan.iter().any(|step| step.contains("Sort")), "{statement}\n{plan:#?}");
        }
        let others = [
            statements::APPEND,
            statements::FORGET,
            sql::SLICE,
            sql::STATE,
            "SELECT min(id) FROM casper_sidecar.entry",
        ];
        for statement in INDEXED.map(|(statement, _)| statement).into_iter().chain(others) {
            let plan = plan(&mut connection, statement).await;
            for step in &plan {
                let scans = ["entry", "entry_part", "further_key"].iter().any(|table| {
                    step.trim().trim_start_matches("->").trim().starts_with(&format!("Seq Scan on {table}"))
                });
                assert!(!scans && !step.contains("Hash "), "{filled}: {statement}\n{plan:#?}");
            }
        }
    }
}
