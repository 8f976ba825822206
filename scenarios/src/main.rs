//! Runs named scenarios and the swarm.

use std::ops::Range;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use scenarios::swarm::{self, Summary};
use scenarios::{scenario, swarm::Verdict};
use tracing_subscriber::EnvFilter;

/// Deterministic simulations of the Casper Event Sidecar. Set RUST_LOG to see what the sidecar logs.
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
    /// Runs random worlds and checks all promises.
    Swarm {
        /// The seeds, such as `0..10000`.
        #[arg(long, value_parser = seeds, default_value = "0..1000")]
        seeds: Range<u64>,
        /// Begin no more seeds after so many minutes.
        #[arg(long)]
        minutes: Option<u64>,
        /// Print what happened in each world, and its hash.
        #[arg(long)]
        trace: bool,
        /// How many worlds run at once; as many as there are processors unless told.
        #[arg(long)]
        threads: Option<usize>,
    },
}

fn seeds(text: &str) -> anyhow::Result<Range<u64>> {
    let (from, to) = text.split_once("..").context("expected two numbers, as in 0..10000")?;
    Ok(from.parse()?..to.parse()?)
}

fn main() -> anyhow::Result<ExitCode> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("off"));
    tracing_subscriber::fmt().with_env_filter(filter).without_time().with_writer(std::io::stderr).init();
    match Arguments::parse().command {
        Command::List => scenario::ALL.iter().for_each(|scenario| println!("{}", scenario.name)),
        Command::Run { name, seed, trace } => {
            let scenario = scenario::ALL.iter().find(|scenario| scenario.name == name);
            let scenario = scenario.with_context(|| format!("there is no scenario {name}: see `list`"))?;
            let history = (scenario.world)(seed).run();
            if trace {
                print!("{history}");
            }
            scenario.check(&history);
            println!("{:016x}", history.trace());
        }
        Command::Swarm { seeds, minutes, trace, threads } => {
            return Ok(run_swarm(seeds, minutes, trace, threads));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn run_swarm(seeds: Range<u64>, minutes: Option<u64>, trace: bool, threads: Option<usize>) -> ExitCode {
    let bar = if trace { ProgressBar::hidden() } else { ProgressBar::new(seeds.end - seeds.start) };
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} seeds, {per_sec}, {eta} left, {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let limit = minutes.map(|minutes| Duration::from_secs(60 * minutes));
    let next = AtomicU64::new(seeds.start);
    let outcome = Mutex::new((Summary::default(), 0_u64));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end || limit.is_some_and(|limit| bar.elapsed() > limit) {
                return;
            }
            let verdict = swarm::run(seed);
            let mut outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(history) = &verdict.history {
                outcome.0.add(history);
                if trace {
                    println!("{history}{:016x}", history.trace());
                }
            }
            if !verdict.failures.is_empty() {
                outcome.1 += 1;
                bar.suspend(|| report(seed, &verdict, trace));
                bar.set_message(format!("{} failed", outcome.1));
            }
            bar.inc(1);
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads.unwrap_or(cores) {
            scope.spawn(work);
        }
    });
    bar.finish_and_clear();
    let (summary, failed) = outcome.into_inner().unwrap_or_else(PoisonError::into_inner);
    if !trace {
        print_summary(&summary, failed, bar.elapsed());
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn report(seed: u64, verdict: &Verdict, traced: bool) {
    eprintln!("seed {seed} fails:");
    verdict.failures.iter().for_each(|failure| eprintln!("  {failure}"));
    if let Some(history) = verdict.history.as_ref().filter(|_| !traced) {
        eprint!("{history}");
    }
    let after = seed + 1;
    eprintln!("replay it: cargo run --release -p scenarios -- swarm --seeds {seed}..{after} --trace\n");
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn print_summary(summary: &Summary, failed: u64, elapsed: Duration) {
    println!(
        "{} seeds in {:.1} s, {failed} failed: {:.1} simulated hours, {} entries, {} deliveries",
        summary.seeds,
        elapsed.as_secs_f64(),
        summary.simulated.as_secs_f64() / 3600.,
        summary.entries,
        summary.deliveries,
    );
    for (kind, count) in &summary.faults {
        println!("  {count:>8} {kind} ({:.2} a seed)", *count as f64 / summary.seeds.max(1) as f64);
    }
}
