//! The command line of `mock-node`. The command acts on it, and its man page and completions are made from it.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    time::Duration,
};

use clap::{Args, CommandFactory as _, Parser, Subcommand};

use crate::recording::Speed;

/// The description of the arguments.
pub fn arguments() -> clap::Command {
    Arguments::command()
}

/// A scriptable Casper node: test consumers of its event stream without a chain.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Play a script
    Run(Run),
    /// Make up a believable chain, without end or up to a number of blocks
    Generate(Generate),
    /// Save the stream of a real node or sidecar, with its timing
    Record(Record),
    /// Play a recording
    Replay(Replay),
    /// Say whether scripts can be played, and if not, why
    Check {
        /// Script files
        #[arg(required = true)]
        scripts: Vec<PathBuf>,
    },
    /// Print the JSON Schema of scripts
    Schema,
    /// Print the OpenAPI document of the control API
    OpenApi,
}

/// Where nodes are served.
#[derive(Debug, Args)]
pub struct Place {
    /// Port of the first node's event stream, the next nodes taking the ports above; else the script's, else any free
    #[arg(long)]
    pub sse_port: Option<u16>,
    /// Port of the first node's /status, the next nodes taking the ports above; else the script's, else any free
    #[arg(long)]
    pub rest_port: Option<u16>,
    /// Port of the control API; it is not served without one. 0 takes any free one
    #[arg(long)]
    pub control_port: Option<u16>,
    /// Address to serve on
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub bind: IpAddr,
}

/// How a script is played.
#[derive(Debug, Args)]
pub struct Run {
    /// The script, a TOML file
    pub script: PathBuf,
    /// Where the nodes are served.
    #[command(flatten)]
    pub place: Place,
    /// Let each step wait for the control call POST /script/step; `wait` then takes no time
    #[arg(long, requires = "control_port")]
    pub step: bool,
    /// End when the script is through, instead of serving on
    #[arg(long)]
    pub exit: bool,
}

/// What chain is made up.
#[derive(Debug, Args)]
pub struct Generate {
    /// Where the nodes are served.
    #[command(flatten)]
    pub place: Place,
    /// Same seed, same chain
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Nodes of the chain: the same events with other ids, in other orders, at other times
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=50))]
    pub nodes: u16,
    /// Number of the first node, for nodes of one chain in several processes
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub first_node: u16,
    /// Events per second and node, on average; else a block takes --block-time. `max` for as fast as possible, held
    /// back by the slowest subscriber (with --hold-back)
    #[arg(long)]
    pub rate: Option<Rate>,
    /// Time between blocks
    #[arg(long, default_value = "4096ms", value_parser = humantime::parse_duration, conflicts_with = "rate")]
    pub block_time: Duration,
    /// Stop after so many blocks, instead of never
    #[arg(long)]
    pub blocks: Option<u64>,
    /// Height of the first block: go on with a chain where it was left. `now` for the block that comes next by
    /// --genesis and the clock: processes with the same arguments then send the same blocks at the same time
    #[arg(long, default_value = "0")]
    pub start_height: StartHeight,
    /// Time of the block of height 0, RFC 3339; else such that the first generated block is of now
    #[arg(long, value_parser = humantime::parse_rfc3339)]
    pub genesis: Option<std::time::SystemTime>,
    /// Validators that sign each block
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=500))]
    pub validators: u16,
    /// Deploys accepted per block
    #[arg(long, default_value_t = 3)]
    pub deploys_per_block: u32,
    /// Blocks per era
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..))]
    pub era_length: u64,
    /// Version of software and protocol
    #[arg(long, default_value = "1.5.8")]
    pub version: String,
    /// Version that the nodes tell of themselves, if it is another than that of the chain's blocks
    #[arg(long)]
    pub node_version: Option<String>,
    /// Events kept for `start_from`
    #[arg(long, default_value_t = 5000)]
    pub ring: usize,
    /// Wait for slow subscribers instead of cutting them
    #[arg(long)]
    pub hold_back: bool,
    /// Do not begin before so many subscribers are connected to each node
    #[arg(long, default_value_t = 0)]
    pub wait_subscribers: usize,
    /// End after the last block, instead of serving on
    #[arg(long, requires = "blocks")]
    pub exit: bool,
}

/// Where a chain begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartHeight {
    /// At this height.
    At(u64),
    /// At the block that comes next by the genesis and the clock.
    Now,
}

impl std::str::FromStr for StartHeight {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "now" => Ok(Self::Now),
            number => number
                .parse()
                .map(Self::At)
                .map_err(|_| format!("`{text}` is no height: expected a whole number, or `now`")),
        }
    }
}

/// Events per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rate {
    /// So many, on average.
    PerSecond(f64),
    /// As many as possible.
    Max,
}

impl std::str::FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self::Max);
        }
        text.parse::<f64>()
            .ok()
            .filter(|rate| *rate >= 0.001 && rate.is_finite())
            .map(Self::PerSecond)
            .ok_or_else(|| format!("`{text}` is no rate: expected a number of events per second, or `max`"))
    }
}

/// What is saved, and where.
#[derive(Debug, Args)]
pub struct Record {
    /// What to record; a URL without a path stands for the three filters of a 1.x node
    #[arg(long, required = true, num_args = 1..)]
    pub sse: Vec<String>,
    /// The file to write
    #[arg(long)]
    pub out: PathBuf,
    /// Ask for what the server still has from this id on
    #[arg(long)]
    pub start_from: Option<u32>,
    /// Stop after so many events
    #[arg(long)]
    pub events: Option<u64>,
    /// Stop after so long
    #[arg(long, value_parser = humantime::parse_duration)]
    pub time: Option<Duration>,
}

/// How a recording is played.
#[derive(Debug, Args)]
pub struct Replay {
    /// A recording
    pub file: PathBuf,
    /// Where the nodes are served.
    #[command(flatten)]
    pub place: Place,
    /// `1x` as recorded, `10x` ten times as fast, `max` without pauses
    #[arg(long, default_value = "1x")]
    pub speed: Speed,
    /// Do not begin before so many subscribers are connected to each node
    #[arg(long, default_value_t = 0)]
    pub wait_subscribers: usize,
    /// Events kept for `start_from`; 5000 if absent
    #[arg(long)]
    pub ring: Option<usize>,
    /// Wait for slow subscribers instead of cutting them
    #[arg(long)]
    pub hold_back: bool,
    /// End when the recording is through, instead of serving on
    #[arg(long)]
    pub exit: bool,
}
