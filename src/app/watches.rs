//! The watches: one for each kind, or for leads and services one for each namespace.

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::cluster::reflector;
use crate::cluster::store::StoreEvent;
use crate::cluster::watch_health::{self, WatchHealth};
use crate::controllers;
use crate::controllers::{Context, Kind};
use crate::runtime::clock;

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

/// Starts the watches.
pub(crate) fn begin(context: &Arc<Context>, client: &Client, tasks: &mut JoinSet<()>) -> Vec<FirstList> {
    let mut first = Vec::new();
    macro_rules! watch {
        ($kind:ident, $of:expr, $store:ident, $wake:path) => {{
            let (tell, complete) = watch::channel(false);
            let of: Option<String> = $of;
            let (context, watched) = (
                Arc::clone(context),
                context.watches.begin(Kind::$kind, of.as_deref()),
            );
            first.push(FirstList {
                complete,
                watched: Arc::clone(&watched),
            });
            let client = watch_health::instrumented(client, &watched);
            tasks.spawn(async move {
                let store = Arc::clone(&context.cache.$store);
                reflector::watch_into(client, of.as_deref(), store, watched, move |learnt| {
                    if matches!(learnt, StoreEvent::Synced) {
                        tell.send_replace(true);
                    }
                    $wake(&context, learnt);
                })
                .await;
            });
        }};
    }
    watch!(LivePlatform, None, platforms, controllers::handlers::platform);
    for part in context.config.scope.parts() {
        watch!(Lead, part.clone(), leads, controllers::handlers::lead);
        watch!(OcEssentialService, part, services, controllers::handlers::service);
    }
    first
}

/// Lists each kind once after this replica has become leader. The watches may not yet have delivered what the
/// previous leader wrote last, such as an intent for the same tenant. Retries until the API server answers;
/// skips a namespace that it refuses.
pub(crate) async fn catch_up(context: &Arc<Context>, client: &Client) {
    let begun = clock::since_start();
    macro_rules! list {
        ($of:expr, $store:ident, $wake:path) => {
            while let Err(error) = reflector::catch_up(client, $of, &context.cache.$store, |learnt| $wake(context, learnt)).await {
                if matches!(&error, kube::Error::Api(status) if status.code == 403) {
                    break;
                }
                tracing::warn!(%error, "could not read yet what the previous leader wrote; retrying before any pass");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
    }
    list!(None, platforms, controllers::handlers::platform);
    for part in context.config.scope.parts() {
        list!(part.as_deref(), leads, controllers::handlers::lead);
        list!(part.as_deref(), services, controllers::handlers::service);
    }
    tracing::debug!(took = ?clock::since_start().saturating_sub(begun), "caught up with the previous leader");
}
