//! The conformance suite against this binary: all checks on it as it is, to its very end; some on it made wrong; and the
//! shapes of what it gives for captured events of a real node, as snapshots.

mod mutated;
#[path = "../../../conformance/tests/against_toy/mutation.rs"]
mod mutation;
#[path = "../support/postgres.rs"]
mod postgres;
mod process;
mod shapes;

use conformance::check::Outcome;
use conformance::report;
use conformance::suite;
use conformance::target::{Addresses, Pace, Target};
use mock_node::control::{self, Controlled};
use mock_node::{Network as _, RealNetwork, Running};
use tokio::task::JoinSet;

use self::process::{Sidecar, node, origin};

#[tokio::test(flavor = "multi_thread")]
async fn the_sidecar_conforms_to_its_documentation() {
    check_conforms(async |nodes| Sidecar::start(nodes).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sidecar_conforms_to_its_documentation_on_postgresql() {
    let Some(server) = postgres::shared().await else { return };
    let database = server.section(&server.new_database().await);
    check_conforms(async |nodes| Sidecar::start_on(&database, nodes).await).await;
}

/// Runs all checks on a sidecar that listens to two nodes, to its very end.
async fn check_conforms(start: impl AsyncFnOnce(&[&Running]) -> Sidecar) {
    let nodes = [node().await, node().await];
    let listener = RealNetwork::loopback().bind(0).await.expect("loopback has free ports");
    let control = listener.local_addr().expect("a bound listener has an address");
    let named =
        ["one", "other"].map(str::to_owned).into_iter().zip(nodes.iter().map(Running::node)).collect();
    let mut tasks = JoinSet::new();
    tasks.spawn(control::serve::<RealNetwork>(listener, Controlled { nodes: named, player: None }));

    let sidecar = start(&nodes.each_ref()).await;
    let addresses = Addresses {
        events: Some(sidecar.events.clone()),
        rest: Some(sidecar.rest.clone()),
        admin: Some(sidecar.admin.clone()),
        nodes: vec![origin(control.port())],
        may_end: true,
    };
    let target = Target::new(addresses, Pace::default()).await.expect("the control server lists its nodes");
    let verdicts =
        suite::run(&suite::checks(), &target, |verdict| println!("{}", report::line(verdict))).await;
    println!("{}", report::summary_line(&verdicts, target.requests()));

    let failed: Vec<_> = verdicts.iter().filter(|verdict| verdict.failed()).map(report::line).collect();
    assert!(failed.is_empty(), "does not conform:\n{}", failed.join("\n"));
    let skipped: Vec<_> = verdicts
        .iter()
        .filter(|verdict| matches!(verdict.outcome, Outcome::Skipped { .. }))
        .map(report::line)
        .collect();
    assert!(skipped.is_empty(), "not found out:\n{}", skipped.join("\n"));
    assert_eq!(sidecar.end().await.code(), Some(1), "all nodes were exhausted");
}
