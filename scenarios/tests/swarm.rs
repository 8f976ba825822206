//! A fixed few dozen seeds of the swarm; more are run by `cargo run --release -p scenarios -- swarm`.

use scenarios::swarm::{self, Summary};

#[test]
fn a_few_dozen_random_worlds_keep_all_promises() {
    let mut summary = Summary::default();
    for seed in 0..48 {
        let verdict = swarm::run(seed);
        let history = verdict.history.as_ref();
        let trace = || history.map_or_else(String::new, ToString::to_string);
        let after = seed + 1;
        assert!(
            verdict.failures.is_empty(),
            "seed {seed}: {}\n{}replay it: cargo run -p scenarios -- swarm --seeds {seed}..{after} --trace",
            verdict.failures.join("\n"),
            trace()
        );
        summary.add(history.expect("there was no panic"));
    }
    println!("{summary:?}");
    // A swarm that does nothing would pass too.
    for fault in ["node Crash", "node Shutdown", "network Partition", "store FailNext", "sidecar Kill"] {
        assert!(summary.faults.contains_key(fault), "no {fault} among {:?}", summary.faults);
    }
    assert!(summary.deliveries > summary.entries && summary.entries > 2000, "{summary:?}");
}
