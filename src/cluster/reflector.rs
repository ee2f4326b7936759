//! Keeps a store up to date with a list and then a watch, as client-go's reflector does.
//!
//! This is not kube's. That one parses a list as a whole, so that one unreadable object hides all others. It
//! waits after *too old resource version*, which is not a failure but an instruction to list again. And it
//! neither shows bookmarks nor notices that resource versions have gone back.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use foldhash::HashSet;
use futures::{Stream, TryStreamExt};
use kube::Client;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::core::{ObjectList, PartialObjectMeta, Request};

use crate::cluster::decode::{Decode, Read, Unparsed};
use crate::cluster::key::{QualifiedName, qualified_name};
use crate::cluster::store::{Against, Store, StoreEvent, place};
use crate::cluster::watch_health::WatchHealth;
use crate::runtime::clock;

/// How many objects a page of a list has.
const PAGE: u32 = 100;

/// How long a watch lasts before a new one is started, in seconds.
const WATCH_SECONDS: u32 = 290;

/// How much longer than [`WATCH_SECONDS`] a watch may go without an event before it is considered dead.
const BEYOND: Duration = Duration::from_secs(30);

/// How long to wait after a failure.
#[derive(Clone, Copy, Debug)]
struct BackOff {
    /// The wait after the first failure; it doubles each time.
    first: Duration,
    /// The longest wait between two attempts.
    longest: Duration,
    /// A watch that ends sooner than this without any event has failed.
    short: Duration,
}

/// After an outage everything must be visible again within five seconds. One request in that time is no
/// load, whatever state the API server is in.
const PACE: BackOff = BackOff {
    first: Duration::from_millis(250),
    longest: Duration::from_secs(5),
    short: Duration::from_secs(1),
};

/// The wait between failing attempts.
struct Backoff {
    pace: BackOff,
    failures: u32,
}

impl Backoff {
    fn next(&mut self) -> Duration {
        let whole = self
            .pace
            .first
            .saturating_mul(1 << self.failures.min(8))
            .min(self.pace.longest);
        self.failures = self.failures.saturating_add(1);
        // Between half and all of it, so that the watches of all replicas do not arrive at once.
        let part = u32::from(uuid::Uuid::new_v4().as_bytes()[0]);
        whole / 2 + whole * part / 510
    }

    fn reset(&mut self) {
        self.failures = 0;
    }
}

type WatchEvents<K> = Pin<Box<dyn Stream<Item = kube::Result<WatchEvent<Unparsed<K>>>> + Send>>;

/// The next step.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// List everything.
    List(Against),
    /// Watch from this version on.
    Watch(String),
    /// A watch has ended: resume from this version, unless versions have gone back since.
    Resume(String),
}

/// A failed step.
#[derive(Debug)]
struct StepFailure {
    error: kube::Error,
    next: Next,
}

/// The reflector of one kind, in one namespace or in all.
struct Reflector<'a, K, T> {
    client: Client,
    request: Request,
    /// The namespace; all namespaces if `None`.
    of: Option<&'a str>,
    store: &'a Store<K>,
    watched: &'a WatchHealth,
    tell: T,
    backoff: Backoff,
    /// How many times in a row a watch was too old from the start.
    expired: u32,
}

/// Keeps a store up to date for as long as it is polled, with all objects of this namespace, or of all. Each
/// call has its own back-off, so that a failing one does not delay the others.
pub async fn watch_into<K: Decode>(
    client: Client,
    of: Option<&str>,
    store: Arc<Store<K>>,
    watched: Arc<WatchHealth>,
    tell: impl Fn(StoreEvent<K>),
) {
    follow_at(PACE, client, of, &store, &watched, tell).await;
}

async fn follow_at<K: Decode>(
    pace: BackOff,
    client: Client,
    of: Option<&str>,
    store: &Store<K>,
    watched: &WatchHealth,
    tell: impl Fn(StoreEvent<K>),
) {
    let request = Request::new(K::url_path(&(), of));
    let mut reflector = Reflector {
        client,
        request,
        of,
        store,
        watched,
        tell,
        backoff: Backoff { pace, failures: 0 },
        expired: 0,
    };
    let mut next = Next::List(Against::Versions);
    loop {
        next = match reflector.step(next).await {
            Ok(next) => next,
            Err(failed) => {
                reflector.failed(&failed.error);
                tokio::time::sleep(reflector.backoff.next()).await;
                failed.next
            }
        };
    }
}

/// Takes one consistent list into a store, next to the watch. Afterwards the store contains everything
/// written before the call. Nothing is removed.
///
/// # Errors
/// If the API server does not answer or rejects the request.
pub async fn catch_up<K: Decode>(
    client: &Client,
    of: Option<&str>,
    store: &Store<K>,
    tell: impl Fn(StoreEvent<K>),
) -> kube::Result<()> {
    let request = Request::new(K::url_path(&(), of));
    pages::<K>(client, &request, |read| {
        take(store, read, Against::Versions, &tell)
    })
    .await
    .map(|_| ())
}

/// Lists page by page, and returns the version of the list.
async fn pages<K: Decode>(
    client: &Client,
    request: &Request,
    mut each: impl FnMut(Read<K>),
) -> kube::Result<String> {
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let request = request.list(&params).map_err(kube::Error::BuildRequest)?;
        let list: ObjectList<Read<K>> = client.request(request).await?;
        list.items.into_iter().for_each(&mut each);
        params.continue_token = list.metadata.continue_.filter(|token| !token.is_empty());
        if params.continue_token.is_none() {
            return Ok(list.metadata.resource_version.unwrap_or_default());
        }
    }
}

/// Takes in one object. Unreadable fields are logged once for each version of it.
fn take<K: Decode>(store: &Store<K>, read: Read<K>, against: Against, tell: &impl Fn(StoreEvent<K>)) {
    let kind = K::kind(&());
    let Some(object) = read.object else {
        let wrong = read.wrong.unwrap_or_default();
        return tracing::error!(%kind, wrong, "can't read an object at all; ignoring it");
    };
    let (namespace, name) = place(&object);
    let learnt = store.put_read(object, read.wrong.as_deref(), against);
    if let (Some(wrong), Some(_)) = (&read.wrong, &learnt) {
        tracing::error!(%kind, namespace, name, wrong, "this version can't read an object and leaves it as it is; correct it, or run a version that knows it");
    }
    learnt.into_iter().for_each(tell);
}

/// Whether the first of two versions is older. Versions that are not numbers are never compared.
fn older(version: &str, than: &str) -> bool {
    matches!((version.parse::<u64>(), than.parse::<u64>()), (Ok(version), Ok(than)) if version < than)
}

/// `Expired` and `Gone`: the API server no longer keeps the version that the watch, or a started list, asks
/// for.
fn expired(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 410)
}

impl<K: Decode, T: Fn(StoreEvent<K>)> Reflector<'_, K, T> {
    async fn step(&mut self, next: Next) -> Result<Next, StepFailure> {
        match next {
            Next::List(against) => self.list(against).await.map_err(|error| StepFailure {
                error,
                next: Next::List(against),
            }),
            Next::Watch(version) => self.watch(version).await,
            Next::Resume(version) => match self.newest().await {
                Ok(newest) if older(&newest, &version) => {
                    tracing::warn!(kind = %K::kind(&()), newest, version, "resource versions went back, as after a restore of etcd; reading everything again");
                    Ok(Next::List(Against::Nothing))
                }
                Ok(_) => Ok(Next::Watch(version)),
                Err(error) => Err(StepFailure {
                    error,
                    next: Next::Resume(version),
                }),
            },
        }
    }

    async fn list(&mut self, against: Against) -> kube::Result<Next> {
        let mut seen = HashSet::<QualifiedName>::default();
        let (store, tell) = (self.store, &self.tell);
        let version = pages::<K>(&self.client, &self.request, |read| {
            seen.extend(read.object.as_ref().map(qualified_name));
            take(store, read, against, tell);
        })
        .await?;
        // Only a complete list proves absence: one that broke off says nothing about what it did not contain.
        self.store
            .remove_all_but(&seen, self.of)
            .into_iter()
            .for_each(&self.tell);
        self.backoff.reset();
        self.watched.complete();
        (self.tell)(StoreEvent::Synced);
        Ok(Next::Watch(version))
    }

    /// Returns the current version of the API server's store, from one small response.
    async fn newest(&self) -> kube::Result<String> {
        let request = self
            .request
            .list_metadata(&ListParams::default().limit(1))
            .map_err(kube::Error::BuildRequest)?;
        let list: ObjectList<PartialObjectMeta<K>> = self.client.request(request).await?;
        Ok(list.metadata.resource_version.unwrap_or_default())
    }

    async fn watch(&mut self, mut version: String) -> Result<Next, StepFailure> {
        let begun = clock::since_start();
        let lasted = || clock::since_start().saturating_sub(begun);
        let params = WatchParams::default().timeout(WATCH_SECONDS);
        let request = self
            .request
            .watch(&params, &version)
            .map_err(kube::Error::BuildRequest);
        let events = match request {
            Ok(request) => self.client.request_events::<Unparsed<K>>(request).await,
            Err(error) => Err(error),
        };
        let mut heard = false;
        let error = match events {
            Ok(events) => self
                .events(Box::pin(events), &mut version, &mut heard)
                .await
                .err(),
            Err(error) => Some(error),
        };
        let lived = heard || lasted() >= self.backoff.pace.short;
        if lived {
            self.backoff.reset();
            self.expired = 0;
        }
        match error {
            Some(error) if expired(&error) => {
                tracing::debug!(kind = %K::kind(&()), version, "the watch is too old; listing again");
                self.expired += 1;
                let next = Next::List(Against::Versions);
                // The first time, list again at once. If even the version of a fresh list is rejected as too
                // old, back off.
                if self.expired == 1 {
                    return Ok(next);
                }
                self.backoff.failures = self.expired;
                Err(StepFailure { error, next })
            }
            Some(error) => Err(StepFailure {
                error,
                next: Next::Resume(version),
            }),
            None if !lived => Err(StepFailure {
                error: silent("the watch ended at once"),
                next: Next::Resume(version),
            }),
            None => Ok(Next::Resume(version)),
        }
    }

    /// Takes in the events of a watch until it ends.
    async fn events(
        &self,
        mut events: WatchEvents<K>,
        version: &mut String,
        heard: &mut bool,
    ) -> kube::Result<()> {
        let most = Duration::from_secs(WATCH_SECONDS.into()) + BEYOND;
        loop {
            let event = match tokio::time::timeout(most, events.try_next()).await {
                Ok(event) => event?,
                Err(_) => return Err(silent("the watch showed no sign of life")),
            };
            let unread = match event {
                None => return Ok(()),
                Some(WatchEvent::Error(status)) => return Err(kube::Error::Api(status)),
                Some(WatchEvent::Bookmark(bookmark)) => {
                    *heard = true;
                    version.clone_from(&bookmark.metadata.resource_version);
                    continue;
                }
                Some(WatchEvent::Deleted(unread)) => {
                    let read = unread.read();
                    self.reached(&read, version);
                    read.object
                        .and_then(|object| self.store.remove(&object))
                        .into_iter()
                        .for_each(&self.tell);
                    *heard = true;
                    continue;
                }
                Some(WatchEvent::Added(unread) | WatchEvent::Modified(unread)) => unread,
            };
            *heard = true;
            if let Some(identity) = unread.identity() {
                let namespace = identity.namespace.unwrap_or_default();
                let reached = identity.resource_version;
                if self.store.knows(namespace, identity.name, Some(reached)) {
                    reached.clone_into(version);
                    continue;
                }
            }
            let read = unread.read();
            self.reached(&read, version);
            take(self.store, read, Against::Versions, &self.tell);
        }
    }

    fn reached(&self, read: &Read<K>, version: &mut String) {
        if let Some(reached) = read
            .object
            .as_ref()
            .and_then(|object| object.meta().resource_version.clone())
        {
            *version = reached;
        }
    }

    /// Logs a failure once, and again when it changes.
    fn failed(&self, error: &kube::Error) {
        let kind = K::kind(&());
        let namespace = self.of.unwrap_or_default();
        let refused = matches!(error, kube::Error::Api(status) if status.code == 403) && self.of.is_some();
        let text = error.to_string();
        if !self.watched.failed(&text, refused) {
            tracing::debug!(%kind, namespace, error = text, "the watch failed again");
        } else if refused {
            tracing::error!(%kind, namespace, error = text, "can't watch this namespace; retrying every few seconds and serving the others");
        } else {
            tracing::warn!(%kind, namespace, error = text, "the watch failed; retrying");
        }
    }
}

fn silent(why: &str) -> kube::Error {
    kube::Error::Service(why.into())
}

#[cfg(test)]
mod tests;
