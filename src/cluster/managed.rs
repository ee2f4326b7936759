//! The trait that all our kinds implement.

use kube::core::object::HasStatus;
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// One of our kinds: the operator reads its objects, marks them and writes their status.
pub trait ManagedResource:
    Resource<DynamicType = ()>
    + HasStatus<Status: Serialize>
    + Clone
    + DeserializeOwned
    + Serialize
    + std::fmt::Debug
    + Send
    + Sync
    + 'static
{
    /// Returns the API for the object's namespace, or for the cluster.
    fn api(client: &Client, namespace: Option<&str>) -> Api<Self>;
}

macro_rules! namespaced {
    ($kind:ty) => {
        impl ManagedResource for $kind {
            fn api(client: &Client, namespace: Option<&str>) -> Api<Self> {
                Api::namespaced(client.clone(), namespace.unwrap_or_default())
            }
        }
    };
}

namespaced!(oc_api::Lead);
namespaced!(oc_api::OcEssentialService);

impl ManagedResource for oc_api::LivePlatform {
    fn api(client: &Client, _: Option<&str>) -> Api<Self> {
        Api::all(client.clone())
    }
}
