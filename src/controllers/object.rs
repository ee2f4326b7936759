//! The object of a pass: how the pass and the store learn the API server's response to a write.

use parking_lot::Mutex;
use std::sync::Arc;

use oc_domain::decision::Mark;
use oc_domain::record::{Intent, OperationId, Record};
use serde::Serialize;

use crate::cluster::key::ObjectKey;
use crate::cluster::patch;
use crate::cluster::store::{StoreEvent, strip_managed_fields};
use crate::controllers::action::Action;
use crate::controllers::context::Context;
use crate::controllers::metrics::PassOutcome;
use crate::controllers::recorded::Counted;
use crate::runtime::driver::WriteError;

/// A kind with its controller.
pub trait ReconciledResource: Counted {
    /// Dispatches a store event to the handlers of the kind.
    fn learnt(context: &Context, learnt: StoreEvent<Self>);
    /// Runs one pass over an object.
    fn reconcile(
        context: &Arc<Context>,
        key: &ObjectKey,
    ) -> impl Future<Output = (Action, PassOutcome)> + Send;
}

/// The object of a pass, in the version that the pass knows.
pub struct PassObject<'a, K> {
    context: &'a Context,
    object: Mutex<Arc<K>>,
}

impl<'a, K: ReconciledResource> PassObject<'a, K> {
    /// The object at the start of a pass.
    pub fn new(context: &'a Context, object: Arc<K>) -> Self {
        Self {
            context,
            object: Mutex::new(object),
        }
    }

    /// The version that the pass knows.
    pub fn get(&self) -> Arc<K> {
        Arc::clone(&self.object.lock())
    }

    /// Writes a mark into the object. `id` becomes the id of an intent.
    ///
    /// # Errors
    /// As [`patch::mark`].
    pub async fn patch_metadata(
        &self,
        mark: &Mark,
        record: &Record,
        id: OperationId,
    ) -> Result<Option<Intent>, WriteError> {
        match patch::mark(&self.context.client, &*self.get(), mark, record, id).await {
            Ok((object, intent)) => {
                // The write required that nobody else had changed the object, so the response holds no news.
                // But the object may now count for something else.
                let key = self.context.cache.key_of(&object);
                self.apply_response(object);
                self.context.tallies.enter(&self.context.cache, &key);
                Ok(intent)
            }
            Err(failed) => Err(Box::pin(self.refresh(failed)).await),
        }
    }

    /// Writes the object's status. If a request was `sent` and someone has changed the operator's own fields
    /// since, writes at least the operation, and the pass runs again from there.
    ///
    /// # Errors
    /// As [`patch::status`].
    pub async fn patch_status(&self, status: &impl Serialize, sent: bool) -> Result<(), WriteError> {
        let failed = match patch::status(&self.context.client, &*self.get(), status).await {
            Ok(object) => {
                self.said(object);
                return Ok(());
            }
            Err(failed) => failed,
        };
        self.context.metrics.status_unwritten(K::KIND);
        if sent
            && matches!(failed, WriteError::Conflict)
            && let Ok(object) = Box::pin(patch::operation(&self.context.client, &*self.get(), status)).await
        {
            K::stored(&self.context.cache)
                .put(object)
                .into_iter()
                .for_each(|learnt| K::learnt(self.context, learnt));
            return Err(failed);
        }
        Err(Box::pin(self.refresh(failed)).await)
    }

    /// Checks that the pass knows the newest version, when it has nothing new to write. If the watch has
    /// delivered another version since, the pass must run again.
    ///
    /// # Errors
    /// [`WriteError::Conflict`] if it has.
    pub fn ensure_current(&self) -> Result<(), WriteError> {
        let object = self.get();
        match K::stored(&self.context.cache).newest_of(&object) {
            Some(newest) if newest.meta().resource_version != object.meta().resource_version => {
                Err(WriteError::Conflict)
            }
            _ => Ok(()),
        }
    }

    /// Stores the API server's response to a write.
    fn apply_response(&self, object: K) -> Option<StoreEvent<K>> {
        let object = Arc::new(strip_managed_fields(object));
        let learnt = K::stored(&self.context.cache).apply_response(Arc::clone(&object));
        *self.object.lock() = object;
        learnt
    }

    /// Stores the response to a status write. Status is written even if others changed the object since.
    /// Their change is in the response, and the store ignores the later watch event, so dispatch it to the
    /// handlers here.
    fn said(&self, object: K) {
        self.apply_response(object)
            .into_iter()
            .for_each(|learnt| K::learnt(self.context, learnt));
    }

    /// Reads the object again after a conflict: the watch may be far behind and cause one conflict after the
    /// other. Also when nobody answered, because the write may have been made.
    async fn refresh(&self, failed: WriteError) -> WriteError {
        if matches!(failed, WriteError::Conflict | WriteError::Unanswered(_))
            && let Ok(newest) = patch::newest(&self.context.client, &*self.get()).await
        {
            K::stored(&self.context.cache)
                .put(newest)
                .into_iter()
                .for_each(|learnt| K::learnt(self.context, learnt));
        }
        failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controllers::handlers;
    use crate::platform::index::{ListIndex, ServiceIndex};
    use crate::platform::inventory::Lists;
    use crate::runtime::leadership::Leadership;
    use http::{Request, Response};
    use kube::client::Body;
    use kube::{Client, Config};
    use oc_api::OcEssentialService;
    use oc_domain::record::OperationKind;

    /// A version of the object: `generation` changes with the spec, `version` with each write.
    fn object(version: u32, generation: i64, short_name: &str) -> OcEssentialService {
        let spec = serde_json::json!({"platform": "default", "msTenantId": "22222222-2222-4222-8222-222222222222", "shortName": short_name, "fullName": "x"});
        let mut object = OcEssentialService::new("contoso", serde_json::from_value(spec).unwrap());
        let meta = &mut object.metadata;
        (meta.namespace, meta.uid) = (Some("n".into()), Some("u".into()));
        (meta.resource_version, meta.generation) = (Some(version.to_string()), Some(generation));
        object
    }

    async fn is_woken(context: &Context) -> bool {
        let next = tokio::time::timeout(std::time::Duration::from_millis(50), context.queue.next()).await;
        next.is_ok_and(|(key, _, _)| key == ObjectKey::service("n", "contoso"))
    }

    /// An API server that accepts each patch of the object and answers with the result.
    fn taking(object: &OcEssentialService) -> Client {
        let known = serde_json::to_value(object).unwrap();
        let service = tower::service_fn(move |request: Request<Body>| {
            let mut object = known.clone();
            async move {
                let patch: serde_json::Value =
                    serde_json::from_slice(&request.into_body().collect_bytes().await.unwrap()).unwrap();
                for part in ["annotations", "finalizers"] {
                    object["metadata"][part] = patch["metadata"][part].clone();
                }
                object["metadata"]["resourceVersion"] = "2".into();
                let answer = Response::builder()
                    .status(200)
                    .body(Body::from(object.to_string().into_bytes()))
                    .unwrap();
                Ok::<_, std::convert::Infallible>(answer)
            }
        });
        Client::new(service, "default")
    }

    #[tokio::test]
    async fn an_intent_counts_as_soon_as_it_is_written() {
        let before = object(1, 1, "Contoso");
        let context = Context::bare(taking(&before), Leadership::without_election(), Arc::new(()));
        context
            .cache
            .services
            .put(before.clone())
            .into_iter()
            .for_each(|learnt| handlers::service(&context, learnt));
        let nothing = live_platform::Listed {
            items: Vec::new(),
            unreadable: 0,
            why: None,
            pages: 1,
        };
        let lists = Lists {
            services: Some(Arc::new(ServiceIndex::new(nothing))),
            leads: None,
        };
        let asked = || context.tallies.counted("default", true, || lists.clone()).asked;
        assert_eq!(asked(), 0);
        let begin = Mark::RecordIntent {
            kind: OperationKind::Create,
            start: oc_domain::time::Time(0),
            tenant: None,
            place: None,
        };
        let kept = PassObject::new(&context, Arc::new(before))
            .patch_metadata(&begin, &Record::default(), OperationId("1".into()))
            .await;
        assert!(matches!(kept, Ok(Some(_))), "{kept:?}");
        assert_eq!(asked(), 1, "the watch brings no news of it");
    }

    #[tokio::test]
    async fn a_spec_that_changed_while_status_was_written_is_not_missed() {
        let client = Client::try_from(Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap();
        let context = Context::bare(client, Leadership::without_election(), Arc::new(()));
        let key = ObjectKey::service("n", "contoso");
        context.cache.services.put(object(1, 1, "Contoso"));
        let held = |object| PassObject::new(&context, Arc::new(object));
        held(object(1, 1, "Contoso")).said(object(2, 1, "Contoso"));
        assert!(!is_woken(&context).await, "its own status wakes nobody");
        held(object(2, 1, "Contoso")).said(object(4, 2, "Fabrikam"));
        assert!(is_woken(&context).await, "version 3 was somebody else's");
        assert_eq!(
            context
                .cache
                .index
                .entry(&key)
                .and_then(|entry| entry.short_name.clone())
                .as_deref(),
            Some("Fabrikam")
        );
        assert!(
            context.cache.services.put(object(3, 2, "Fabrikam")).is_none(),
            "the watch brings it later: no news"
        );
    }
}
