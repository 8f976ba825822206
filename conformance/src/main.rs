//! `conformance`: says, check by check, whether a running sidecar keeps to its documentation.

use std::process::ExitCode;

use clap::Parser;
use conformance::{
    report::{self, Format},
    suite,
    target::{Addresses, Pace, Target},
    wire::Origin,
};

/// Checks a running Casper Event Sidecar against its documentation, over HTTP alone.
///
/// Ends with status 0 only if no check failed, 1 if some did, 2 if the arguments are wrong. Without --node-control the
/// sidecar is only looked at: a few dozen connections and some hundred requests, one after the other. CHECKS.md of this crate
/// lists the checks.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Event stream server, such as http://localhost:19999.
    #[arg(long, value_name = "URL", value_parser = Origin::parse)]
    events: Option<Origin>,
    /// REST server, such as http://localhost:18888.
    #[arg(long, value_name = "URL", value_parser = Origin::parse)]
    rest: Option<Origin>,
    /// Admin server, such as http://localhost:18887.
    #[arg(long, value_name = "URL", value_parser = Origin::parse)]
    admin: Option<Origin>,
    /// Control server of mock nodes that the sidecar is connected to and that send nothing by themselves: the checks
    /// make them send events, shut down and come back. May be given several times.
    #[arg(long, value_name = "URL", value_parser = Origin::parse)]
    node_control: Vec<Origin>,
    /// Run the last checks too: all nodes are sent away until the sidecar gives up and ends.
    #[arg(long, requires = "node_control")]
    end_sidecar: bool,
    /// How to report.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Only this check, or this area (such as stream.ids). May be given several times.
    #[arg(long, value_name = "ID")]
    only: Vec<String>,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let checks = match suite::selected(&arguments.only) {
        Ok(checks) => checks,
        Err(message) => {
            eprintln!("error: --only: {message}");
            return Ok(ExitCode::from(2));
        }
    };
    let addresses = Addresses {
        events: arguments.events,
        rest: arguments.rest,
        admin: arguments.admin,
        nodes: arguments.node_control,
        may_end: arguments.end_sidecar,
    };
    if addresses.events.is_none() && addresses.rest.is_none() && addresses.admin.is_none() {
        eprintln!("error: nothing to check: give at least one of --events, --rest, --admin");
        return Ok(ExitCode::from(2));
    }
    let target = Target::new(addresses, Pace::default()).await?;
    let text = arguments.format == Format::Text;
    let verdicts = suite::run(&checks, &target, |verdict| {
        if text {
            println!("{}", report::line(verdict));
        }
    })
    .await;
    match arguments.format {
        Format::Text => println!("{}", report::summary_line(&verdicts, target.requests())),
        Format::Json => println!("{}", report::json(&verdicts)),
        Format::Junit => print!("{}", report::junit(&verdicts)),
    }
    let failed = verdicts.iter().any(suite::Verdict::failed);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
