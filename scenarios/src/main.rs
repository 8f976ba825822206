//! Runs named scenarios and the swarm.

use clap::{Parser, Subcommand};
use scenarios::scenario;

/// Deterministic simulations of the Casper Event Sidecar.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists the named scenarios.
    List,
    /// Runs one named scenario and prints a hash of everything that was seen.
    Run {
        /// Its name.
        name: String,
        /// The seed.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Print what happened, and not the hash alone.
        #[arg(long)]
        trace: bool,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::List => scenario::ALL.iter().for_each(|scenario| println!("{}", scenario.name)),
        Command::Run { name, seed, trace } => {
            let scenario = scenario::ALL.iter().find(|scenario| scenario.name == name);
            let scenario =
                scenario.ok_or_else(|| anyhow::anyhow!("there is no scenario {name}: see `list`"))?;
            let history = (scenario.world)(seed).run();
            if trace {
                print!("{history}");
            }
            scenario.check(&history);
            println!("{:016x}", history.trace());
        }
    }
    Ok(())
}
