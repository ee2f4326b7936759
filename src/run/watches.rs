//! The watches: one of each kind, or for leads and services one of each namespace.

use std::sync::Arc;

use kube::{Api, Client};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::api::{Lead, LivePlatform, OcEssentialService};
use crate::kinds::{self, Kind, Shared};
use crate::object::scope;
use crate::object::store::{self, Learnt};
use crate::object::watched;

/// Starts them. The receivers say when each has its first list.
pub(super) fn begin(shared: &Arc<Shared>, client: &Client, tasks: &mut JoinSet<()>) -> Vec<watch::Receiver<bool>> {
    let mut complete = Vec::new();
    macro_rules! follow {
        ($kind:ident, $of:expr, $api:expr, $store:ident, $wake:path) => {{
            let (tell, known) = watch::channel(false);
            complete.push(known);
            let (shared, watched, of): (_, _, Option<String>) = (Arc::clone(shared), shared.begin_watch(Kind::$kind), $of);
            let api = $api(watched::listening(client, &watched), of.as_deref());
            tasks.spawn(async move {
                let store = Arc::clone(&shared.$store);
                store::follow(api, of.as_deref(), store, watched, move |learnt| {
                    if matches!(learnt, Learnt::Complete) {
                        tell.send_replace(true);
                    }
                    $wake(&shared, learnt);
                })
                .await;
            });
        }};
    }
    follow!(LivePlatform, None, |client, _| Api::<LivePlatform>::all(client), platforms, kinds::wakes::platform);
    for part in shared.scope.parts() {
        follow!(Lead, part.clone(), scope::api::<Lead>, leads, kinds::wakes::lead);
        follow!(OcEssentialService, part, scope::api::<OcEssentialService>, services, kinds::wakes::service);
    }
    complete
}
