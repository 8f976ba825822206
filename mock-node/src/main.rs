//! The command `mock-node`: arguments, logging, the real network and clock. Everything else is the library.

mod generate;

use std::{io, process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::Parser as _;
use mock_node::{
    Builder, Laggards, Network as _, Node, RealNetwork, Running,
    arguments::{Arguments, Command, Place, Record, Replay, Run},
    control::{self, Controlled},
    recording::{Recorder, Recording},
    script::{self, Player, Script},
};
use tokio::{signal::unix, task::JoinSet};

/// How long subscribers may take to read up to the `Shutdown`.
const GRACE: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_unset| "info".into());
    // https://no-color.org: any value that is not empty.
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let coloured = io::IsTerminal::is_terminal(&io::stderr()) && !no_color;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(coloured)
        .with_target(false)
        .init();
    match command(Arguments::parse().command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mock-node: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn command(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Run(run) => run_script(run).await,
        Command::Generate(generate) => generate::generate(generate).await,
        Command::Record(record) => self::record(record).await,
        Command::Replay(replay) => self::replay(replay).await,
        Command::Check { scripts } => check(&scripts),
        Command::Schema => {
            print!("{}", script::schema());
            Ok(())
        }
        Command::OpenApi => {
            println!("{}", control::openapi());
            Ok(())
        }
    }
}

fn check(scripts: &[std::path::PathBuf]) -> anyhow::Result<()> {
    let mut wrong = 0;
    for path in scripts {
        match Script::load(path) {
            Ok(script) => {
                let nodes = script.node_names().join(", ");
                println!("{}: {} steps, nodes: {nodes}", path.display(), script.step_count());
            }
            Err(error) => {
                eprintln!("{error}");
                wrong += 1;
            }
        }
    }
    anyhow::ensure!(wrong == 0, "{wrong} of {} scripts cannot be played", scripts.len());
    Ok(())
}

async fn run_script(run: Run) -> anyhow::Result<()> {
    let script = Script::load(&run.script)?;
    if let (Some(line), None) = (script.needs_control(), run.place.control_port) {
        let path = run.script.display();
        anyhow::bail!("{path}:{line}: the step waits for a control call: start with --control-port");
    }
    let names: Vec<String> = script.node_names().into_iter().map(str::to_owned).collect();
    let served = Served::start(&run.place, names.into_iter().zip(script.builders()).collect()).await?;
    let player = Player::new(script, served.handles(), run.step);
    let mut tasks = JoinSet::new();
    served.control(&run.place, Some(player.clone()), &mut tasks).await?;
    tokio::select! {
        biased;
        signal = end_signal() => signal?,
        () = player.play() => {
            tracing::info!("the script is through");
            if !run.exit {
                end_signal().await?;
            }
        }
    }
    served.stop().await;
    Ok(())
}

async fn record(record: Record) -> anyhow::Result<()> {
    let mut recorder = Recorder::new(record.sse, record.start_from);
    recorder.max_events = record.events;
    recorder.max_time = record.time;
    let path = record.out.display().to_string();
    let file = std::fs::File::create(&record.out).with_context(|| format!("{path} cannot be created"))?;
    // Unbuffered lines: an interrupted recording has everything up to then.
    let file = io::LineWriter::new(file);
    tokio::select! {
        biased;
        signal = end_signal() => signal?,
        events = recorder.record(file) => println!("{path}: {} events", events?),
    }
    Ok(())
}

async fn replay(replay: Replay) -> anyhow::Result<()> {
    let recording = Recording::load(&replay.file)?;
    let ring = replay.ring.unwrap_or(5000);
    let laggards = if replay.hold_back { Laggards::HoldBack } else { Laggards::Cut };
    let nodes = recording
        .origins()
        .into_iter()
        .map(|origin| (origin.to_owned(), Node::builder().ring(ring).laggards(laggards)));
    let served = Served::start(&replay.place, nodes.collect()).await?;
    let mut tasks = JoinSet::new();
    served.control(&replay.place, None, &mut tasks).await?;
    let played = async {
        for (_, node) in &served.nodes {
            node.wait_for_subscribers(replay.wait_subscribers).await;
        }
        recording.play(&served.handles(), replay.speed).await;
        tracing::info!("the recording is through");
        if replay.exit {
            served.drained().await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        biased;
        signal = end_signal() => signal?,
        () = played => {}
    }
    served.stop().await;
    Ok(())
}

/// Nodes on real sockets, with their names.
struct Served {
    network: RealNetwork,
    nodes: Vec<(String, Running)>,
}

impl Served {
    /// The first node takes the ports of the arguments, each next one the ones above.
    async fn start(place: &Place, builders: Vec<(String, Builder)>) -> anyhow::Result<Self> {
        let network = RealNetwork::on(place.bind);
        let mut nodes = Vec::new();
        for (number, (name, mut builder)) in builders.into_iter().enumerate() {
            let above = |port: u16| {
                let number = u16::try_from(number).ok();
                number.and_then(|number| port.checked_add(number)).context("there are no ports above 65535")
            };
            if let Some(port) = place.sse_port {
                builder = builder.sse_port(above(port)?);
            }
            if let Some(port) = place.rest_port {
                builder = builder.rest_port(above(port)?);
            }
            let node = builder.wall_clock(now).build();
            let running = node.start(network).await.with_context(|| {
                format!(
                    "node `{name}` cannot have its ports: are they taken, or was another node given them?"
                )
            })?;
            println!("node {name}: events http://{}/events/main", running.sse_addr());
            println!("node {name}: status http://{}/status", running.rest_addr());
            nodes.push((name, running));
        }
        Ok(Self { network, nodes })
    }

    fn handles(&self) -> Vec<Node> {
        self.nodes.iter().map(|(_, node)| node.node()).collect()
    }

    /// Serves the control API if a port is given for it.
    async fn control(
        &self,
        place: &Place,
        player: Option<Player>,
        tasks: &mut JoinSet<std::convert::Infallible>,
    ) -> anyhow::Result<()> {
        let Some(port) = place.control_port else { return Ok(()) };
        let listener =
            self.network.bind(port).await.with_context(|| format!("control port {port} is taken"))?;
        println!("control: http://{}/swagger-ui/", listener.local_addr()?);
        let nodes = self.nodes.iter().map(|(name, node)| (name.clone(), node.node())).collect();
        tasks.spawn(control::serve::<RealNetwork>(listener, Controlled { nodes, player }));
        Ok(())
    }

    /// Waits a little for subscribers to take what is there.
    async fn drained(&self) {
        for (_, node) in &self.nodes {
            node.drained(GRACE).await;
        }
    }

    /// Shuts all nodes down in order and waits a little for subscribers to take the `Shutdown`.
    async fn stop(self) {
        for (_, node) in &self.nodes {
            node.shutdown();
        }
        self.drained().await;
        for (_, node) in self.nodes {
            node.stop().await;
        }
    }
}

/// Ctrl-C, or what a service manager sends.
async fn end_signal() -> anyhow::Result<()> {
    let mut terminate = unix::signal(unix::SignalKind::terminate()).context("signals cannot be received")?;
    tokio::select! {
        biased;
        interrupted = tokio::signal::ctrl_c() => interrupted.context("signals cannot be received"),
        _ = terminate.recv() => Ok(()),
    }
}

#[allow(clippy::disallowed_methods, reason = "this is the real wall clock, handed to the library")]
fn now() -> Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
}
