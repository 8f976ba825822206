//! Every named scenario, with more than one seed.

use scenarios::scenario;

#[test]
fn every_named_scenario_keeps_all_promises() {
    for scenario in scenario::ALL {
        for seed in scenario::SEEDS {
            scenario.run(seed);
        }
    }
}

#[test]
fn another_seed_is_another_history() {
    for scenario in scenario::ALL {
        assert_ne!(scenario.run(1).trace(), scenario.run(2).trace(), "{}", scenario.name);
    }
}

/// What the model in memory shows is what SQLite does: each answer is the same, and so is everything that follows.
#[test]
fn every_named_scenario_is_the_same_on_real_sqlite_files() {
    for scenario in scenario::ALL {
        assert_eq!(scenario.run_on_files(1).trace(), scenario.run(1).trace(), "{}", scenario.name);
    }
}
