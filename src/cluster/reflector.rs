//! Keeps a store up to date by a list and then a watch, as client-go's reflector does. Not kube's: that reads a list as a whole, so that one object which
//! can't be read keeps all others away; it waits after *too old resource version*, which is no failure but an order to list anew; and it does not show
//! bookmarks, nor notice that resource versions have gone back.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, TryStreamExt};
use kube::Client;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::core::{ObjectList, PartialObjectMeta, Request};

use crate::cluster::decode::{Decode, Read};
use crate::cluster::store::{Against, ObjectName, Store, StoreEvent, place};
use crate::cluster::watch_health::WatchHealth;
use crate::runtime::clock;

/// How many objects come in one page of a list.
const PAGE: u32 = 100;

/// How long a watch lasts before another one is begun, in seconds.
const WATCH_SECONDS: u32 = 290;

/// For so long a watch may be silent beyond its end before it is taken for dead.
const BEYOND: Duration = Duration::from_secs(30);

/// How long is waited after what fails.
#[derive(Clone, Copy, Debug)]
struct BackOff {
    /// After a first failure; it doubles.
    first: Duration,
    /// The longest wait between two tries.
    longest: Duration,
    /// A watch that ends sooner than this and has brought nothing has failed.
    short: Duration,
}

/// After an outage everything is to be seen again within five seconds; and a request in that time is no load, whatever the API server goes through.
const PACE: BackOff = BackOff {
    first: Duration::from_millis(250),
    longest: Duration::from_secs(5),
    short: Duration::from_secs(1),
};

/// The wait between tries that fail.
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
        // From half of it to the whole, so that the watches of all replicas do not come at once.
        let part = u32::from(uuid::Uuid::new_v4().as_bytes()[0]);
        whole / 2 + whole * part / 510
    }

    fn reset(&mut self) {
        self.failures = 0;
    }
}

type WatchEvents<K> = Pin<Box<dyn Stream<Item = kube::Result<WatchEvent<Read<K>>>> + Send>>;

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// A list.
    List(Against),
    /// A watch from this version on.
    Watch(String),
    /// A watch has ended: it goes on from this version, unless versions have gone back meanwhile.
    Resume(String),
}

/// How a step failed.
#[derive(Debug)]
struct StepFailure {
    error: kube::Error,
    next: Next,
}

/// One kind, in one namespace or in all.
struct Reflector<'a, K, T> {
    client: Client,
    request: Request,
    /// The namespace; without one, all.
    of: Option<&'a str>,
    store: &'a Store<K>,
    watched: &'a WatchHealth,
    tell: T,
    backoff: Backoff,
    /// How often one after the other a watch was too old from the first.
    expired: u32,
}

/// Keeps a store up to date for as long as it is polled, by all objects of this namespace, or of all. Each has its own back-off, so that one that fails
/// delays no other.
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

/// Takes one consistent list into a store, beside the watch: what was written before this was asked for is known afterwards. Nothing is removed by it.
///
/// # Errors
/// When the API server does not answer, or refuses.
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

/// Takes in one object. What of it can't be read is logged once for each version of it.
fn take<K: Decode>(store: &Store<K>, read: Read<K>, against: Against, tell: &impl Fn(StoreEvent<K>)) {
    let kind = K::kind(&());
    let Some(object) = read.object else {
        let wrong = read.wrong.unwrap_or_default();
        return tracing::error!(%kind, wrong, "an object can't be read at all and is left out");
    };
    let (namespace, name) = place(&object);
    let learnt = store.put_read(object, read.wrong.as_deref(), against);
    if let (Some(wrong), Some(_)) = (&read.wrong, &learnt) {
        tracing::error!(%kind, namespace, name, wrong, "an object can't be read by this version and is left as it is; correct it, or run the version that knows it");
    }
    learnt.into_iter().for_each(tell);
}

/// Whether the first of two versions is the older one. What is no number is never compared.
fn older(version: &str, than: &str) -> bool {
    matches!((version.parse::<u64>(), than.parse::<u64>()), (Ok(version), Ok(than)) if version < than)
}

/// `Expired` and `Gone`: what the watch, or the list that was begun, asks for is not kept any more.
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
                    tracing::warn!(kind = %K::kind(&()), newest, version, "resource versions have gone back, as when etcd is restored: everything is read anew");
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
        let mut seen = HashSet::<ObjectName>::new();
        let (store, tell) = (self.store, &self.tell);
        let version = pages::<K>(&self.client, &self.request, |read| {
            seen.extend(read.object.as_ref().map(place));
            take(store, read, against, tell);
        })
        .await?;
        // Only now is absence known: a list that was broken off says nothing of what it has not brought.
        self.store
            .remove_all_but(&seen, self.of)
            .into_iter()
            .for_each(&self.tell);
        self.backoff.reset();
        self.watched.complete();
        (self.tell)(StoreEvent::Synced);
        Ok(Next::Watch(version))
    }

    /// The version of the API server's store now, from one small answer.
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
            Ok(request) => self.client.request_events::<Read<K>>(request).await,
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
                tracing::debug!(kind = %K::kind(&()), version, "the watch is too old; listing anew");
                self.expired += 1;
                let next = Next::List(Against::Versions);
                // At once, unless it says so of each version that it has just told.
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

    /// Takes in what a watch brings until it ends.
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
                Err(_) => return Err(silent("nothing was heard of the watch")),
            };
            let read = match event {
                None => return Ok(()),
                Some(WatchEvent::Error(status)) => return Err(kube::Error::Api(status)),
                Some(WatchEvent::Bookmark(bookmark)) => {
                    *heard = true;
                    version.clone_from(&bookmark.metadata.resource_version);
                    continue;
                }
                Some(WatchEvent::Deleted(read)) => {
                    self.reached(&read, version);
                    read.object
                        .and_then(|object| self.store.remove(&object))
                        .into_iter()
                        .for_each(&self.tell);
                    *heard = true;
                    continue;
                }
                Some(WatchEvent::Added(read) | WatchEvent::Modified(read)) => read,
            };
            *heard = true;
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

    /// A failure is told once, and again when it is another one.
    fn failed(&self, error: &kube::Error) {
        let kind = K::kind(&());
        let namespace = self.of.unwrap_or_default();
        let refused = matches!(error, kube::Error::Api(status) if status.code == 403) && self.of.is_some();
        let text = error.to_string();
        if !self.watched.failed(&text, refused) {
            tracing::debug!(%kind, namespace, error = text, "the watch failed again");
        } else if refused {
            tracing::error!(%kind, namespace, error = text, "this namespace can't be watched, and is tried again every few seconds; the others are served");
        } else {
            tracing::warn!(%kind, namespace, error = text, "the watch failed and is tried again");
        }
    }
}

fn silent(why: &str) -> kube::Error {
    kube::Error::Service(why.into())
}

#[cfg(test)]
mod tests;
