//! The command line.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    time::Duration,
};

use clap::{Args, Parser, Subcommand};
use mock_node::recording::Speed;

/// A scriptable Casper node: test consumers of its event stream without a chain.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
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
pub(crate) struct Place {
    /// Port of the first node's event stream, the next nodes taking the ports above; else the script's, else any free
    #[arg(long)]
    pub(crate) sse_port: Option<u16>,
    /// Port of the first node's /status, the next nodes taking the ports above; else the script's, else any free
    #[arg(long)]
    pub(crate) rest_port: Option<u16>,
    /// Port of the control API; it is not served without one. 0 takes any free one
    #[arg(long)]
    pub(crate) control_port: Option<u16>,
    /// Address to serve on
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub(crate) bind: IpAddr,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The script, a TOML file
    pub(crate) script: PathBuf,
    #[command(flatten)]
    pub(crate) place: Place,
    /// Let each step wait for the control call POST /script/step; `wait` then takes no time
    #[arg(long, requires = "control_port")]
    pub(crate) step: bool,
    /// End when the script is through, instead of serving on
    #[arg(long)]
    pub(crate) exit: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Generate {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Same seed, same chain
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Nodes of the chain: the same events with other ids, in other orders, at other times
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=50))]
    pub(crate) nodes: u16,
    /// Number of the first node, for nodes of one chain in several processes
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) first_node: u16,
    /// Events per second and node, on average; else a block takes --block-time. `max` for as fast as possible, held
    /// back by the slowest subscriber (with --hold-back)
    #[arg(long)]
    pub(crate) rate: Option<Rate>,
    /// Time between blocks
    #[arg(long, default_value = "4096ms", value_parser = humantime::parse_duration, conflicts_with = "rate")]
    pub(crate) block_time: Duration,
    /// Stop after so many blocks, instead of never
    #[arg(long)]
    pub(crate) blocks: Option<u64>,
    /// Height of the first block: go on with a chain where it was left. `now` for the block that comes next by
    /// --genesis and the clock: processes with the same arguments then send the same blocks at the same time
    #[arg(long, default_value = "0")]
    pub(crate) start_height: StartHeight,
    /// Time of the block of height 0, RFC 3339; else such that the first generated block is of now
    #[arg(long, value_parser = humantime::parse_rfc3339)]
    pub(crate) genesis: Option<std::time::SystemTime>,
    /// Validators that sign each block
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=500))]
    pub(crate) validators: u16,
    /// Deploys accepted per block
    #[arg(long, default_value_t = 3)]
    pub(crate) deploys_per_block: u32,
    /// Blocks per era
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) era_length: u64,
    /// Version of software and protocol
    #[arg(long, default_value = "1.5.8")]
    pub(crate) version: String,
    /// Version that the nodes tell of themselves, if it is another than that of the chain's blocks
    #[arg(long)]
    pub(crate) node_version: Option<String>,
    /// Events kept for `start_from`
    #[arg(long, default_value_t = 5000)]
    pub(crate) ring: usize,
    /// Wait for slow subscribers instead of cutting them
    #[arg(long)]
    pub(crate) hold_back: bool,
    /// Do not begin before so many subscribers are connected to each node
    #[arg(long, default_value_t = 0)]
    pub(crate) wait_subscribers: usize,
    /// End after the last block, instead of serving on
    #[arg(long, requires = "blocks")]
    pub(crate) exit: bool,
}

/// Where a chain begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StartHeight {
    At(u64),
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
pub(crate) enum Rate {
    PerSecond(f64),
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

#[derive(Debug, Args)]
pub(crate) struct Record {
    /// What to record; a URL without a path stands for the three filters of a 1.x node
    #[arg(long, required = true, num_args = 1..)]
    pub(crate) sse: Vec<String>,
    /// The file to write
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// Ask for what the server still has from this id on
    #[arg(long)]
    pub(crate) start_from: Option<u32>,
    /// Stop after so many events
    #[arg(long)]
    pub(crate) events: Option<u64>,
    /// Stop after so long
    #[arg(long, value_parser = humantime::parse_duration)]
    pub(crate) time: Option<Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// A recording
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) place: Place,
    /// `1x` as recorded, `10x` ten times as fast, `max` without pauses
    #[arg(long, default_value = "1x")]
    pub(crate) speed: Speed,
    /// Do not begin before so many subscribers are connected to each node
    #[arg(long, default_value_t = 0)]
    pub(crate) wait_subscribers: usize,
    /// Events kept for `start_from`; 5000 if absent
    #[arg(long)]
    pub(crate) ring: Option<usize>,
    /// Wait for slow subscribers instead of cutting them
    #[arg(long)]
    pub(crate) hold_back: bool,
    /// End when the recording is through, instead of serving on
    #[arg(long)]
    pub(crate) exit: bool,
}
