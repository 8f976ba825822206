//! The binary: arguments, log, signals, exit status. What it runs is the library.

use std::pin::pin;
use std::process::ExitCode;

use anyhow::Context;
use casper_event_sidecar::command::{self, Action, Command};
use casper_event_sidecar::config::Config;
use casper_event_sidecar::environment::RealEnvironment;
use casper_event_sidecar::{logging, run};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

fn main() -> ExitCode {
    let command = match Command::parse(std::env::args_os(), variable) {
        Ok(command) => command,
        Err(error) => {
            // A closed pipe is no reason for another message.
            let _ = error.print();
            return ExitCode::from(u8::from(error.use_stderr()));
        }
    };
    match execute(command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Does what is asked; whether it ended as it should.
fn execute(command: Command) -> anyhow::Result<bool> {
    match command.action {
        Action::CheckConfig(path) => {
            Ok(command::check_config(&path, variable, &mut std::io::stdout(), &mut std::io::stderr())?)
        }
        Action::Run(path) => {
            logging::start(command.log_format, variable)?;
            let loaded = Config::load(&path, variable)?;
            for warning in &loaded.warnings {
                warn!("{warning}");
            }
            block_on(until_signal(async move |shutdown| {
                Ok(run(loaded.config, RealEnvironment::default(), shutdown).await?.is_success())
            }))
        }
        #[cfg(feature = "demo")]
        Action::Demo(options) => {
            logging::start(command.log_format, variable)?;
            block_on(until_signal(async move |shutdown| {
                casper_event_sidecar::demo::run(options, shutdown).await
            }))
        }
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.enable_all().build().context("cannot start the runtime")?.block_on(future)
}

/// Runs what needs a token that SIGTERM and SIGINT cancel. A second signal is left to the first one's grace.
async fn until_signal<T>(run: impl AsyncFnOnce(CancellationToken) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    let token = CancellationToken::new();
    let mut running = pin!(run(token.clone()));
    loop {
        tokio::select! {
            biased;
            ended = running.as_mut() => return ended,
            _ = terminate.recv() => info!("SIGTERM"),
            _ = interrupt.recv() => info!("SIGINT"),
        }
        token.cancel();
    }
}
