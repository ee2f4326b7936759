//! Takes part in the leader election, and reports to everything that makes changes whether this process may
//! make them.
//!
//! [`oc_domain::election`] decides; this module makes the requests and runs the watch. Every change checks
//! [`Leadership`] right before it is sent.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams, WatchEvent, WatchParams};
use kube::{Api, Client, ResourceExt};
use oc_domain::election::{Election, ElectionStep, LeaseRecord, Release, Timing};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::runtime::clock;
use crate::runtime::heartbeat::Heartbeat;
use crate::runtime::leadership::Leadership;

/// How long releasing the lease may take. If it fails, a waiting replica takes over once the lease expires.
const TO_RELEASE: Duration = Duration::from_secs(3);

/// How often a candidate that does not see the cluster checks whether it can again.
const BLIND: Duration = Duration::from_millis(200);

/// How long a watch lasts before a new one is started, as in kube.
const WATCH_SECONDS: u32 = 290;

/// The lease and its timing.
#[derive(Clone, Debug)]
pub struct ElectionSettings {
    /// Namespace of the lease.
    pub namespace: String,
    /// Name of the lease.
    pub name: String,
    /// Identity of this process. No other live process has the same one.
    pub identity: String,
    /// Duration, renew deadline and retry time of the lease.
    pub timing: Timing,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum LeaderState {
    Waits,
    Leads,
    Lost(String),
}

/// Membership in the election. Dropping it ends the membership without releasing the lease.
pub struct ElectionHandle {
    standing: watch::Receiver<LeaderState>,
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<()>>,
    heartbeat: Option<Arc<Heartbeat>>,
    /// Without an election: keeps `standing` as it is.
    _alone: Option<watch::Sender<LeaderState>>,
}

impl Drop for ElectionHandle {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl ElectionHandle {
    /// Returns a handle without an election: this process leads at once and forever.
    pub fn without_election() -> Self {
        let (tell, standing) = watch::channel(LeaderState::Leads);
        Self {
            standing,
            stop: None,
            task: None,
            heartbeat: None,
            _alone: Some(tell),
        }
    }

    /// Joins the election. `sees` reports whether this process sees the cluster. While it does not, it leaves
    /// the lease to others.
    pub fn start(
        client: Client,
        settings: ElectionSettings,
        leadership: Leadership,
        sees: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        let (tell, standing) = watch::channel(LeaderState::Waits);
        let (stop, stopped) = oneshot::channel();
        let heartbeat = Arc::new(Heartbeat::default());
        let candidate = LeaderElector {
            api: Api::namespaced(client, &settings.namespace),
            election: Election::new(settings.identity, settings.timing),
            namespace: settings.namespace,
            name: settings.name,
            leadership,
            tell,
            object: None,
            events: None,
            sees: Box::new(sees),
            heartbeat: Arc::clone(&heartbeat),
        };
        Self {
            standing,
            stop: Some(stop),
            task: Some(tokio::spawn(candidate.run(stopped))),
            heartbeat: Some(heartbeat),
            _alone: None,
        }
    }

    /// Returns the heartbeat of the election. It beats with each step, at the latest after the maximum time
    /// of a request, whether this process leads, waits, or the API server is away. `None` without an
    /// election.
    pub fn heartbeat(&self) -> Option<Arc<Heartbeat>> {
        self.heartbeat.clone()
    }

    /// Waits until this process leads.
    ///
    /// # Errors
    /// If this process will never lead.
    pub async fn leads(&mut self) -> Result<(), String> {
        match self
            .standing
            .wait_for(|standing| *standing != LeaderState::Waits)
            .await
            .map(|standing| standing.clone())
        {
            Ok(LeaderState::Lost(why)) => Err(why),
            Ok(_) => Ok(()),
            Err(_) => Err("the election task ended; this is a bug".into()),
        }
    }

    /// Waits until this process no longer leads, and returns why.
    pub async fn lost(&mut self) -> String {
        match self
            .standing
            .wait_for(|standing| matches!(standing, LeaderState::Lost(_)))
            .await
            .map(|standing| standing.clone())
        {
            Ok(LeaderState::Lost(why)) => why,
            _ => "the election task ended; this is a bug".into(),
        }
    }

    /// Releases the lease, so that another replica need not wait until it expires. From here on this process
    /// may change nothing.
    pub async fn release(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ended = stop.send(());
        }
        if let Some(task) = self.task.take() {
            // The task limits its own time.
            let _ended = task.await;
        }
    }
}

type LeaseEvents = Pin<Box<dyn Stream<Item = kube::Result<WatchEvent<Lease>>> + Send>>;

struct LeaderElector {
    api: Api<Lease>,
    namespace: String,
    name: String,
    election: Election,
    leadership: Leadership,
    tell: watch::Sender<LeaderState>,
    /// The lease as last seen. The next write is based on it.
    object: Option<Lease>,
    /// While another process leads: the events of the lease.
    events: Option<LeaseEvents>,
    sees: Box<dyn Fn() -> bool + Send + Sync>,
    heartbeat: Arc<Heartbeat>,
}

impl LeaderElector {
    async fn run(mut self, mut stop: oneshot::Receiver<()>) {
        loop {
            self.heartbeat.beat();
            self.election.sees((self.sees)());
            let decision = self.election.decide(clock::since_start());
            if decision == ElectionStep::Lost {
                return self.lose();
            }
            tokio::select! {
                // A dropped handle releases nothing.
                asked = &mut stop => return if asked.is_ok() { self.release().await },
                () = self.perform(decision) => {}
            }
            self.publish();
        }
    }

    async fn perform(&mut self, decision: ElectionStep) {
        match decision {
            ElectionStep::Wait(until) => {
                let leads = self.election.valid_until().is_some();
                // A blind candidate may see again at any moment.
                let blind = !leads && !(self.sees)();
                let news = async {
                    // The leader finds out at each renewal. A candidate must learn at once when the
                    // lease is released.
                    if leads {
                        std::future::pending().await
                    } else {
                        self.news().await
                    }
                };
                let sees = async {
                    if blind {
                        tokio::time::sleep(BLIND).await
                    } else {
                        std::future::pending().await
                    }
                };
                tokio::select! { () = clock::sleep_until_moment(until) => {}, () = news => {}, () = sees => {} }
            }
            ElectionStep::Look => self.look().await,
            ElectionStep::Acquire(version) => self.claim(version.is_some(), true).await,
            ElectionStep::Renew(version) => self.claim(version.is_some(), false).await,
            ElectionStep::Lost => {}
        }
    }

    /// The time limit for a request that starts now. It never exceeds the time in which this process may act.
    fn patience(&self) -> Duration {
        let left = self
            .election
            .valid_until()
            .map(|until| until.saturating_sub(clock::since_start()));
        left.unwrap_or(Duration::MAX)
            .min(self.election.timing().patience())
    }

    async fn look(&mut self) {
        match tokio::time::timeout(self.patience(), self.api.get_opt(&self.name)).await {
            Ok(Ok(lease)) => self.saw(lease),
            failed => self.failed("read", failed.map(|answer| answer.map(|_| ()))),
        }
    }

    /// Takes in the lease. The clock is read here, after the response has arrived.
    fn saw(&mut self, lease: Option<Lease>) {
        let before = self.election.holder().map(str::to_owned);
        self.election
            .observed(clock::since_start(), lease.as_ref().map(|lease| self.held(lease)));
        self.object = lease;
        if let Some(holder) = self
            .election
            .holder()
            .filter(|holder| before.as_deref() != Some(holder) && *holder != self.election.identity())
        {
            tracing::info!(lease = self.name, holder, "another replica leads; waiting");
        }
    }

    fn held(&self, lease: &Lease) -> LeaseRecord {
        let spec = lease.spec.clone().unwrap_or_default();
        let seconds = spec
            .lease_duration_seconds
            .and_then(|seconds| u64::try_from(seconds).ok())
            .filter(|seconds| *seconds > 0);
        LeaseRecord {
            version: lease.resource_version().unwrap_or_default(),
            holder: spec.holder_identity.unwrap_or_default(),
            duration: seconds.map_or(self.election.timing().duration(), Duration::from_secs),
        }
    }

    /// Writes our identity into the last seen lease, or creates the lease. The API server rejects the write
    /// if the lease has changed since.
    async fn claim(&mut self, exists: bool, anew: bool) {
        let lease = self.written(
            self.election.identity().to_owned(),
            self.election.timing().duration(),
            anew,
        );
        self.election.writing();
        let begun = clock::since_start();
        let answer = tokio::time::timeout(self.patience(), self.write(exists, lease)).await;
        match answer {
            Ok(Ok(lease)) => {
                let held = self.held(&lease);
                self.election.wrote(begun, clock::since_start(), held);
                self.object = Some(lease);
                self.events = None;
            }
            Ok(Err(kube::Error::Api(status))) if status.code == 409 || (status.code == 404 && exists) => {
                tracing::debug!(lease = self.name, "another replica changed the lease");
                self.election.conflicted(clock::since_start());
            }
            failed => self.failed("written", failed.map(|answer| answer.map(|_| ()))),
        }
    }

    /// Replaces exactly the version in `lease`, or creates the lease.
    fn write(&self, exists: bool, lease: Lease) -> impl Future<Output = kube::Result<Lease>> + Send + use<> {
        let (api, name) = (self.api.clone(), self.name.clone());
        async move {
            let parameters = PostParams {
                field_manager: Some("oc-essentials-operator".into()),
                ..PostParams::default()
            };
            if exists {
                api.replace(&name, &parameters, &lease).await
            } else {
                api.create(&parameters, &lease).await
            }
        }
    }

    /// Returns the last seen lease with another holder. Everything else in it stays.
    fn written(&self, holder: String, duration: Duration, anew: bool) -> Lease {
        let now = Some(MicroTime(clock::timestamp(clock::now())));
        let mut lease = self.object.clone().unwrap_or_else(|| Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                namespace: Some(self.namespace.clone()),
                ..ObjectMeta::default()
            },
            spec: None,
        });
        let before = lease.spec.take().unwrap_or_default();
        let transitions = before.lease_transitions.unwrap_or_default();
        lease.spec = Some(LeaseSpec {
            lease_duration_seconds: Some(i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)),
            // Times are written for people and other tools; nothing here ever reads one.
            renew_time: now.clone(),
            acquire_time: if anew { now } else { before.acquire_time.clone() },
            lease_transitions: Some(transitions.saturating_add(i32::from(anew && self.object.is_some()))),
            holder_identity: Some(holder),
            ..before
        });
        lease
    }

    fn failed(&mut self, what: &str, answer: Result<kube::Result<()>, tokio::time::error::Elapsed>) {
        let error = match answer {
            Ok(Err(error)) => error.to_string(),
            Ok(Ok(())) => String::new(),
            Err(_) => "no answer in time".into(),
        };
        tracing::warn!(
            lease = format!("{}/{}", self.namespace, self.name),
            error,
            "the lease could not be {what}; retrying"
        );
        self.election.unanswered(clock::since_start());
    }

    /// Waits for the next event of the lease. Without a watch it waits forever: the lease is read
    /// again anyway, and then a new watch starts.
    async fn news(&mut self) {
        if self.events.is_none() {
            let version = self
                .object
                .as_ref()
                .and_then(ResourceExt::resource_version)
                .unwrap_or_else(|| "0".into());
            let parameters = WatchParams::default()
                .fields(&format!("metadata.name={}", self.name))
                .timeout(WATCH_SECONDS);
            match self.api.watch(&parameters, &version).await {
                Ok(events) => self.events = Some(Box::pin(events)),
                Err(error) => {
                    tracing::debug!(lease = self.name, %error, "can't watch the lease; polling it instead")
                }
            }
        }
        loop {
            let Some(events) = self.events.as_mut() else {
                return std::future::pending().await;
            };
            match events.next().await {
                Some(Ok(WatchEvent::Added(lease) | WatchEvent::Modified(lease))) => {
                    return self.saw(Some(lease));
                }
                Some(Ok(WatchEvent::Deleted(_))) => return self.saw(None),
                Some(Ok(WatchEvent::Bookmark(_))) => {}
                Some(Ok(WatchEvent::Error(_)) | Err(_)) | None => self.events = None,
            }
        }
    }

    fn publish(&self) {
        let until = self.election.valid_until();
        self.leadership.set(until);
        if until.is_some() && *self.tell.borrow() == LeaderState::Waits {
            tracing::info!(
                lease = format!("{}/{}", self.namespace, self.name),
                identity = self.election.identity(),
                "this replica leads"
            );
            self.tell.send_replace(LeaderState::Leads);
        }
    }

    fn lose(&self) {
        self.leadership.set(None);
        let (name, deadline) = (
            format!("{}/{}", self.namespace, self.name),
            self.election.timing().deadline(),
        );
        let why = match self
            .election
            .holder()
            .filter(|holder| *holder != self.election.identity())
        {
            Some(holder) => format!("the lease {name} was lost to {holder}"),
            None => format!(
                "the lease {name} was lost: it could not be renewed within {} s",
                deadline.as_secs()
            ),
        };
        self.tell.send_replace(LeaderState::Lost(why));
    }

    async fn release(mut self) {
        self.leadership.set(None);
        let give_back = async {
            loop {
                match self.election.release() {
                    Release::Nothing => return,
                    Release::Look => self.look().await,
                    Release::Replace(_) => {
                        // As in client-go: no holder, for one second. Older clients wait for that second.
                        let lease = self.written(String::new(), Duration::from_secs(1), false);
                        match self.write(true, lease).await {
                            Ok(_) => return tracing::info!(lease = self.name, "released the lease"),
                            Err(kube::Error::Api(status)) if status.code == 409 => {
                                self.election.conflicted(clock::since_start())
                            }
                            Err(error) => self.failed("released", Ok(Err(error))),
                        }
                    }
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        if tokio::time::timeout(TO_RELEASE, give_back).await.is_err() {
            tracing::warn!("could not release the lease; another replica takes over when it expires");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_an_election_one_leads_at_once_and_is_never_told_to_stop() {
        let mut election_handle = ElectionHandle::without_election();
        assert_eq!(election_handle.leads().await, Ok(()));
        assert!(
            tokio::time::timeout(Duration::from_millis(20), election_handle.lost())
                .await
                .is_err()
        );
        election_handle.release().await;
    }
}
