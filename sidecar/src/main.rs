//! The binary: arguments, log, signals, exit status. What it runs is the library.

use std::pin::pin;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use casper_event_sidecar::command::{self, Action, Command};
use casper_event_sidecar::config::Config;
use casper_event_sidecar::environment::RealEnvironment;
use casper_event_sidecar::logging::{self, Floods};
use casper_event_sidecar::{run, service};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
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
    let log_format = command.log_format;
    match execute(command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            logging::tell_end(&error, log_format, variable);
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
            let floods = logging::start(command.log_format, variable)?;
            let loaded = Config::load(&path, variable)?;
            for warning in &loaded.warnings {
                warn!("{warning}");
            }
            block_on(&floods, until_signal(async move |shutdown| served(loaded.config, shutdown).await))
        }
        #[cfg(feature = "demo")]
        Action::Demo(options) => {
            let floods = logging::start(command.log_format, variable)?;
            block_on(
                &floods,
                until_signal(async move |shutdown| casper_event_sidecar::demo::run(options, shutdown).await),
            )
        }
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn block_on<T>(floods: &Floods, future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let ended = runtime.enable_all().build().context("cannot start the runtime")?.block_on(async {
        tokio::select! {
            biased;
            ended = future => ended,
            () = floods.tell() => unreachable!("it never ends"),
        }
    });
    floods.tell_now();
    ended
}

/// Runs a sidecar, and keeps the service manager informed; whether it ended as it should.
async fn served(config: Config, shutdown: CancellationToken) -> anyhow::Result<bool> {
    let (opened, ports) = oneshot::channel();
    let opened = Mutex::new(Some(opened));
    let environment = RealEnvironment::telling(move |ports| {
        service::tell_ready(ports);
        // It is told once; whoever wanted to know may be gone.
        if let Some(opened) = opened.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = opened.send(ports.to_vec());
        }
    });
    let mut watching = JoinSet::new();
    let (watched, asked) = (environment.clone(), shutdown.clone());
    watching.spawn(async move {
        let watch = async {
            if let Ok(ports) = ports.await {
                service::watch(watched, ports, service::watchdog_interval(), service::tell_alive).await;
            }
        };
        tokio::select! {
            biased;
            () = asked.cancelled() => service::tell_stopping(),
            () = watch => {}
        }
    });
    let outcome = run(config, environment, shutdown.clone()).await;
    shutdown.cancel();
    while watching.join_next().await.is_some() {}
    Ok(outcome?.is_success())
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
