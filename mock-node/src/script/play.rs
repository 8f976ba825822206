//! Playing a script on nodes.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::{BufMut as _, BytesMut};
use futures_util::future::{BoxFuture, FutureExt as _};
use tokio::{
    sync::{Semaphore, watch},
    time::sleep,
};

use super::{Action, Content, Emission, Id, Script, Step, Way, template::Templates};
use crate::{chain::Chain, event::Event, node::Node};

/// Plays a script. Clones are handles of the same performance.
#[derive(Clone)]
pub struct Player {
    shared: Arc<Shared>,
}

struct Shared {
    script: Script,
    nodes: Vec<Node>,
    stepped: bool,
    /// One for each step that may be done, when the caller drives.
    permits: Semaphore,
    /// Control calls that came, by name, and were not waited for yet.
    calls: watch::Sender<BTreeMap<String, usize>>,
    progress: watch::Sender<Progress>,
    sources: Mutex<Sources>,
}

struct Sources {
    templates: Templates,
    chain: Chain,
}

/// How far a script has got.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, utoipa::ToSchema)]
pub struct Progress {
    /// Steps done so far, each pass of a repetition counted.
    pub steps_done: u64,
    /// The line of the step that is being done, or that waits to be.
    pub line: Option<usize>,
    /// The script is through.
    pub finished: bool,
    /// Each step waits for the caller.
    pub stepped: bool,
}

impl Player {
    /// For nodes built from [`Script::builders`]. If `stepped`, each step waits for [`Player::step`], and `wait`
    /// takes no time of its own.
    ///
    /// # Panics
    /// If there are fewer nodes than in the script.
    pub fn new(script: Script, nodes: Vec<Node>, stepped: bool) -> Self {
        assert!(nodes.len() >= script.nodes.len(), "a node for each node of the script");
        let sources = Mutex::new(Sources {
            templates: Templates::new(&script.chain),
            chain: Chain::new(script.chain.clone()),
        });
        let shared = Shared {
            script,
            nodes,
            stepped,
            permits: Semaphore::new(0),
            calls: watch::Sender::new(BTreeMap::new()),
            progress: watch::Sender::new(Progress { stepped, ..Progress::default() }),
            sources,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Plays to the end.
    pub async fn play(&self) {
        self.steps(&self.shared.script.steps).await;
        self.shared.progress.send_modify(|progress| {
            progress.finished = true;
            progress.line = None;
        });
    }

    /// Lets so many steps be done, when the caller drives.
    pub fn step(&self, count: u32) {
        self.shared.permits.add_permits(count as usize);
    }

    /// The control call that a `wait_control` step of this name waits for.
    pub fn call(&self, name: &str) {
        self.shared.calls.send_modify(|calls| *calls.entry(name.to_owned()).or_default() += 1);
    }

    /// Whether any step waits for the control call of this name.
    pub fn waits_for(&self, name: &str) -> bool {
        fn any(steps: &[Step], name: &str) -> bool {
            steps.iter().any(|step| match &step.action {
                Action::WaitControl(other) => other == name,
                Action::Repeat { steps, .. } => any(steps, name),
                _ => false,
            })
        }
        any(&self.shared.script.steps, name)
    }

    /// How far it has got.
    pub fn progress(&self) -> Progress {
        self.shared.progress.borrow().clone()
    }

    /// Waits until so many steps are done, or the script is through. Cancel safe.
    pub async fn wait_for_steps(&self, steps: u64) -> Progress {
        let mut progress = self.shared.progress.subscribe();
        let waited = progress.wait_for(|progress| progress.finished || progress.steps_done >= steps).await;
        waited.map_or_else(|_closed| self.progress(), |progress| progress.clone())
    }

    fn sources(&self) -> MutexGuard<'_, Sources> {
        self.shared.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn steps<'a>(&'a self, steps: &'a [Step]) -> BoxFuture<'a, ()> {
        async move {
            for step in steps {
                self.shared.progress.send_modify(|progress| progress.line = Some(step.line));
                // A repetition is not done itself: its steps are.
                if let Action::Repeat { times, steps } = &step.action {
                    let mut round = 0;
                    while times.is_none_or(|times| round < times) {
                        self.steps(steps).await;
                        round += 1;
                        // An endless loop without a wait must not starve its nodes.
                        tokio::task::yield_now().await;
                    }
                    continue;
                }
                if self.shared.stepped {
                    // The semaphore is never closed.
                    if let Ok(permit) = self.shared.permits.acquire().await {
                        permit.forget();
                    }
                }
                self.act(step).await;
                self.shared.progress.send_modify(|progress| progress.steps_done += 1);
            }
        }
        .boxed()
    }

    async fn act(&self, step: &Step) {
        let nodes: Vec<&Node> =
            step.nodes.iter().filter_map(|number| self.shared.nodes.get(*number)).collect();
        let each = |act: &dyn Fn(&Node)| nodes.iter().for_each(|node| act(node));
        match &step.action {
            Action::Emit(emission) => self.emit(step, emission, &nodes),
            Action::Write { filter, bytes } => each(&|node| node.write_raw(*filter, bytes.clone())),
            Action::Generate { blocks } => self.generate(*blocks, &nodes).await,
            Action::Wait(time) if self.shared.stepped => {
                tracing::debug!(?time, "not waited for: the caller drives")
            }
            Action::Wait(time) => sleep(*time).await,
            Action::WaitSubscribers(count) => {
                for node in &nodes {
                    node.wait_for_subscribers(*count).await;
                }
            }
            Action::WaitControl(name) => self.await_call(name).await,
            Action::Versions { build, api } => each(&|node| {
                build.iter().for_each(|version| node.set_build_version(version));
                api.iter().for_each(|version| node.set_api_version(version));
            }),
            Action::Shutdown { back_after } => {
                each(&Node::shutdown);
                self.come_back(*back_after, &nodes).await;
            }
            Action::Crash { back_after } => {
                each(&Node::crash);
                self.come_back(*back_after, &nodes).await;
            }
            Action::Restart => each(&Node::restart),
            Action::Refuse(on) => each(&|node| node.refuse_connections(*on)),
            Action::Silent(on) => each(&|node| node.accept_silently(*on)),
            Action::Pause(on) => each(&|node| node.pause(*on)),
            Action::KeepAlives(on) => each(&|node| node.stop_keep_alives(!*on)),
            Action::Status(behaviour) => each(&|node| node.status(*behaviour)),
            Action::Drop(None) => each(&|node| {
                node.drop_connections();
            }),
            Action::Drop(Some(filter)) => each(&|node| {
                node.drop_filter(*filter);
            }),
            Action::CloseFilter(filter, closed) => each(&|node| node.close_filter(*filter, *closed)),
            Action::SkipIds(count) => each(&|node| node.skip_ids(*count)),
            Action::SetId(id) => each(&|node| node.set_id(*id)),
            Action::Say(text) => tracing::info!("{text}"),
            Action::Repeat { .. } => {}
        }
    }

    async fn come_back(&self, after: Option<std::time::Duration>, nodes: &[&Node]) {
        if let Some(after) = after {
            if !self.shared.stepped {
                sleep(after).await;
            }
            nodes.iter().for_each(|node| node.restart());
        }
    }

    async fn await_call(&self, name: &str) {
        let mut calls = self.shared.calls.subscribe();
        // Dropped at once: what it gives holds the lock that is needed below. It cannot fail: the sender lives as long
        // as `self`.
        drop(calls.wait_for(|calls| calls.get(name).is_some_and(|count| *count > 0)).await);
        self.shared.calls.send_modify(|calls| {
            if let Some(count) = calls.get_mut(name) {
                *count -= 1;
            }
        });
    }

    async fn generate(&self, blocks: u64, nodes: &[&Node]) {
        for _ in 0..blocks {
            let payloads = self.sources().chain.next_block();
            let events: Vec<Event> = payloads.into_iter().map(Event::from).collect();
            for node in nodes {
                node.room().await;
                node.emit_all(events.iter().cloned());
            }
        }
    }

    fn emit(&self, step: &Step, emission: &Emission, nodes: &[&Node]) {
        let made = match &emission.content {
            Content::Fixed(event) => Ok(event.clone()),
            Content::Template(template) => self.sources().templates.make(template),
        };
        let event = match made {
            Ok(event) => event,
            Err(error) => {
                tracing::warn!(line = step.line, error, "nothing is emitted");
                return;
            }
        };
        let filter = emission.filter.unwrap_or(event.filter());
        let event = Event::raw(filter, padded(event.data(), emission.size));
        for node in nodes {
            match (emission.id, emission.way) {
                (Id::Given(id), _) => node.emit_with_id(event.clone(), id),
                (Id::None, _) => node.emit_without_id(event.clone()),
                (Id::Next, way) => {
                    match way {
                        Way::Whole => node.emit(event.clone()),
                        Way::Cut(bytes) => node.emit_cut(event.clone(), bytes),
                        Way::Slow(bytes, pause) => node.emit_slowly(event.clone(), bytes, pause),
                        Way::Spelled(spelling) => node.emit_spelled(event.clone(), spelling),
                    };
                }
            }
        }
    }
}

/// Blanks before the last byte of the JSON leave its meaning as it is.
fn padded(data: &bytes::Bytes, size: Option<usize>) -> bytes::Bytes {
    let Some(missing) = size.and_then(|size| size.checked_sub(data.len())) else { return data.clone() };
    let mut bytes = BytesMut::with_capacity(data.len() + missing);
    let (body, last) = data.split_at(data.len().saturating_sub(1));
    bytes.put_slice(body);
    bytes.put_bytes(b' ', missing);
    bytes.put_slice(last);
    bytes.freeze()
}
