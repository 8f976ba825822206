//! The sidecar's process on its simulated host: started, asked to stop, killed, started again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use casper_event_sidecar::config::Config;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::history::{Life, LifeEnd};
use crate::network::{SimEnvironment, now};
use crate::storage::Storage;

/// What is to become of the process. Clones are handles of the same one.
#[derive(Debug, Clone)]
pub struct Process {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: Config,
    storage: Storage,
    /// How many starts were asked for.
    starts: watch::Sender<u64>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    begun: u64,
    stop: CancellationToken,
    kill: CancellationToken,
    lives: Vec<Life>,
}

impl Process {
    /// A process that was not started yet.
    pub fn new(config: Config, storage: Storage) -> Self {
        let shared =
            Shared { config, storage, starts: watch::Sender::new(0), state: Mutex::new(State::default()) };
        Self { shared: Arc::new(shared) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts it, unless it runs.
    pub fn start(&self) {
        let runs = self.runs();
        let begun = self.state().begun;
        self.shared.starts.send_replace(begun + u64::from(!runs));
    }

    /// Asks it to stop, as SIGTERM does.
    pub fn stop(&self, at: std::time::Duration) {
        let mut state = self.state();
        state.stop.cancel();
        if let Some(life) = state.lives.last_mut().filter(|life| life.ended.is_none()) {
            life.asked = life.asked.or(Some(at));
        }
    }

    /// Kills it, as SIGKILL does: everything is dropped where it stands.
    pub fn kill(&self) {
        self.state().kill.cancel();
    }

    /// The whole machine lost its power: the host's runtime was dropped from outside.
    pub fn lost_power(&self, at: std::time::Duration) {
        if let Some(life) = self.state().lives.last_mut() {
            life.ended.get_or_insert((at, LifeEnd::Killed));
        }
    }

    /// Whether it runs.
    pub fn runs(&self) -> bool {
        self.state().lives.last().is_some_and(|life| life.ended.is_none())
    }

    /// All its lives so far.
    pub fn lives(&self) -> Vec<Life> {
        self.state().lives.clone()
    }

    /// The software of the simulated host, which outlives the process so that its ports refuse connections.
    pub async fn host(self) {
        let mut starts = self.shared.starts.subscribe();
        loop {
            let begun = self.state().begun;
            if starts.wait_for(|starts| *starts > begun).await.is_err() {
                return;
            }
            let (stop, kill) = {
                let mut state = self.state();
                state.begun += 1;
                (state.stop, state.kill) = <(CancellationToken, CancellationToken)>::default();
                state.lives.push(Life { started: now(), asked: None, ended: None });
                (state.stop.clone(), state.kill.clone())
            };
            let environment = SimEnvironment::new(self.shared.storage.clone());
            let run = casper_event_sidecar::run(self.shared.config.clone(), environment, stop);
            let end = tokio::select! {
                biased;
                () = kill.cancelled() => LifeEnd::Killed,
                result = Box::pin(run) => LifeEnd::of(&result),
            };
            if let Some(life) = self.state().lives.last_mut() {
                life.ended = Some((now(), end));
            }
            // The tasks of a run that was killed are dropped at their next turn.
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }
}
