//! The watches: one for each kind, or for leads and services one for each namespace.

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::cluster::reflector;
use crate::cluster::store::StoreEvent;
use crate::cluster::stores::{KnownResource, for_kind};
use crate::cluster::watch_health::{self, WatchHealth};
use crate::controllers::{Context, Kind, ReconciledResource};
use crate::runtime::clock;

/// How often the objects are packed that nobody has looked at since the last time.
const PACK: Duration = Duration::from_secs(5);

/// How often to check for a refused namespace before the first list.
const REFUSED_LOOK: Duration = Duration::from_millis(100);

/// The first list of one watch.
pub(crate) struct FirstList {
    complete: watch::Receiver<bool>,
    watched: Arc<WatchHealth>,
}

impl FirstList {
    /// Waits until the list is complete, or until the API server refuses its namespace; then the others start
    /// without it.
    pub(crate) async fn known(&mut self) {
        let refused = async {
            while self.watched.seen().refused.is_none() {
                tokio::time::sleep(REFUSED_LOOK).await;
            }
        };
        tokio::select! { _ = self.complete.wait_for(|complete| *complete) => {}, () = refused => {} }
    }
}

/// Starts one watch.
fn watch<K: ReconciledResource>(
    context: &Arc<Context>,
    client: &Client,
    of: Option<String>,
    tasks: &mut JoinSet<()>,
) -> FirstList {
    let (tell, complete) = watch::channel(false);
    let watched = context.watches.begin(K::KIND, of.as_deref());
    let first = FirstList {
        complete,
        watched: Arc::clone(&watched),
    };
    let (context, client) = (Arc::clone(context), watch_health::instrumented(client, &watched));
    tasks.spawn(async move {
        let store = Arc::clone(K::stored(&context.cache));
        reflector::watch_into(client, of.as_deref(), store, watched, move |learnt| {
            if matches!(learnt, StoreEvent::Synced) {
                tell.send_replace(true);
            }
            K::learnt(&context, learnt);
        })
        .await;
    });
    first
}

/// Lists one part of a kind, as often as it takes.
async fn list<K: ReconciledResource>(context: &Arc<Context>, client: &Client, part: Option<&str>) {
    let store = K::stored(&context.cache);
    while let Err(error) = reflector::catch_up(client, part, store, |learnt| K::learnt(context, learnt)).await
    {
        if matches!(&error, kube::Error::Api(status) if status.code == 403) {
            break;
        }
        tracing::warn!(%error, "could not read yet what the previous leader wrote; retrying before any pass");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Packs the objects at rest, for as long as it is polled.
async fn pack(context: Arc<Context>) {
    loop {
        tokio::time::sleep(PACK).await;
        for kind in Kind::ALL {
            for_kind!(kind, K => K::stored(&context.cache).pack_unused());
        }
    }
}

/// Starts the watches.
pub(crate) fn begin(context: &Arc<Context>, client: &Client, tasks: &mut JoinSet<()>) -> Vec<FirstList> {
    tasks.spawn(pack(Arc::clone(context)));
    let mut first = Vec::new();
    for kind in Kind::ALL {
        for_kind!(kind, K => for part in context.config.scope.parts_of::<K>() {
            first.push(watch::<K>(context, client, part, tasks));
        });
    }
    first
}

/// Lists each kind once after this replica has become leader. The watches may not yet have delivered what the
/// previous leader wrote last, such as an intent for the same tenant. Retries until the API server answers;
/// skips a namespace that it refuses.
pub(crate) async fn catch_up(context: &Arc<Context>, client: &Client) {
    let begun = clock::since_start();
    for kind in Kind::ALL {
        for_kind!(kind, K => for part in context.config.scope.parts_of::<K>() {
            list::<K>(context, client, part.as_deref()).await;
        });
    }
    tracing::debug!(took = ?clock::since_start().saturating_sub(begun), "caught up with the previous leader");
}
