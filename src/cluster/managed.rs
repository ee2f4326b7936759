//! The trait that all our kinds implement.

use kube::core::object::HasStatus;
use kube::core::{ClusterResourceScope, NamespaceResourceScope};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// One of our kinds: the operator reads its objects, marks them and writes their status.
pub trait ManagedResource:
    Resource<DynamicType = (), Scope: ResourceScope<Self>>
    + HasStatus<Status: Serialize>
    + Clone
    + DeserializeOwned
    + Serialize
    + std::fmt::Debug
    + Send
    + Sync
    + 'static
{
    /// Whether its objects are in namespaces.
    const NAMESPACED: bool = <Self::Scope as ResourceScope<Self>>::NAMESPACED;

    /// Returns the API for the object's namespace, or for the cluster.
    fn api(client: &Client, namespace: Option<&str>) -> Api<Self> {
        Self::Scope::api(client, namespace)
    }

    /// Returns the API for one part of a scope: a namespace, or everything.
    fn api_of_part(client: &Client, part: Option<&str>) -> Api<Self> {
        match part {
            None => Api::all(client.clone()),
            Some(_) => Self::api(client, part),
        }
    }
}

/// Where a kind's objects are, as its definition says.
pub trait ResourceScope<K> {
    /// Whether that is in namespaces.
    const NAMESPACED: bool;
    /// Returns the API for a namespace, or for the cluster.
    fn api(client: &Client, namespace: Option<&str>) -> Api<K>;
}

impl<K: Resource<DynamicType = (), Scope = Self>> ResourceScope<K> for NamespaceResourceScope {
    const NAMESPACED: bool = true;

    fn api(client: &Client, namespace: Option<&str>) -> Api<K> {
        Api::namespaced(client.clone(), namespace.unwrap_or_default())
    }
}

impl<K: Resource<DynamicType = (), Scope = Self>> ResourceScope<K> for ClusterResourceScope {
    const NAMESPACED: bool = false;

    fn api(client: &Client, _: Option<&str>) -> Api<K> {
        Api::all(client.clone())
    }
}
