//! The same seed gives the same history, in separate processes: whatever would break that (a real clock, the order of
//! a hash map, threads, the operating system's randomness) shows here.

use std::process::{Command, Stdio};

use scenarios::{scenario, swarm};
use tokio::task::JoinSet;

/// Runs the binary in two processes at once and compares what they print.
#[track_caller]
fn check(arguments: &[&str]) {
    let start = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_scenarios"));
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
    };
    let (first, second) = (start(), start());
    let [first, second] = [first, second].map(|child| child.wait_with_output().expect("it ends"));
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    assert_eq!(first.stdout, second.stdout, "{arguments:?}");
}

#[test]
fn a_named_scenario_repeats_exactly() {
    for scenario in scenario::ALL {
        check(&["run", scenario.name, "--seed", "1", "--trace"]);
    }
}

#[test]
fn a_world_of_the_swarm_repeats_exactly() {
    for seed in 0..8 {
        check(&["swarm", "--seeds", &format!("{seed}..{}", seed + 1), "--trace"]);
    }
}

/// Nor does it matter what the process did before: a seed that failed among thousands fails alone too.
#[test]
fn a_history_does_not_depend_on_what_ran_before() {
    // tokio counts the tasks of a whole process.
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("there is room for one");
    let spawn_one = || {
        runtime.block_on(async {
            let mut tasks = JoinSet::new();
            tasks.spawn(async {});
            tasks.join_all().await;
        });
    };
    for scenario in scenario::ALL {
        let before = scenario.run(1).trace();
        spawn_one();
        assert_eq!(scenario.run(1).trace(), before, "{}", scenario.name);
    }
    for seed in 0..24 {
        let trace = || swarm::world(seed).run().trace();
        let before = trace();
        spawn_one();
        assert_eq!(trace(), before, "seed {seed}");
    }
}
