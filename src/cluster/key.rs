//! The key that identifies one object.

use std::cmp::Ordering;
use std::sync::Arc;

use kube::Resource;
use smallvec::SmallVec;

pub use crate::cluster::kind::Kind;

/// Identifies one object. Cheap to copy: a key stands in every index, queue and cache.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ObjectKey {
    kind: Kind,
    /// The length of the namespace.
    split: u16,
    text: QualifiedName,
}

/// `namespace/name`, or `/name` of an object without a namespace. Unique within a kind.
pub type QualifiedName = Arc<str>;

/// Returns the qualified name of an object.
pub fn qualified_name<K: Resource>(object: &K) -> QualifiedName {
    let meta = object.meta();
    qualify(
        meta.namespace.as_deref().unwrap_or_default(),
        meta.name.as_deref().unwrap_or_default(),
    )
}

/// Joins a namespace and a name.
pub fn qualify(namespace: &str, name: &str) -> QualifiedName {
    with_qualified(namespace, name, |text| Arc::from(text))
}

/// Joins a namespace and a name, to look something up with them.
pub fn with_qualified<T>(namespace: &str, name: &str, look: impl FnOnce(&str) -> T) -> T {
    // On the stack unless it is long: keys are made all the time.
    let mut text = SmallVec::<[u8; 128]>::new();
    text.extend_from_slice(namespace.as_bytes());
    text.push(b'/');
    text.extend_from_slice(name.as_bytes());
    look(&String::from_utf8_lossy(&text))
}

/// Whether an object with this qualified name is in a namespace.
pub fn is_in(name: &QualifiedName, namespace: &str) -> bool {
    name.split_once('/').is_some_and(|(of, _)| of == namespace)
}

/// The name in a qualified name.
pub fn name_in(name: &QualifiedName) -> &str {
    name.split_once('/').map_or(name, |(_, name)| name)
}

impl ObjectKey {
    /// Returns the key of an object; the namespace of a `LivePlatform` is empty.
    pub fn new(kind: Kind, namespace: &str, name: &str) -> Self {
        Self::with_name(kind, namespace, qualify(namespace, name))
    }

    /// Returns the key of an object of this namespace, of which the qualified name is there already. Tables that hold
    /// keys of one text share it.
    pub fn with_name(kind: Kind, namespace: &str, text: QualifiedName) -> Self {
        Self {
            kind,
            // A namespace has at most 63 characters.
            split: u16::try_from(namespace.len()).unwrap_or(u16::MAX),
            text,
        }
    }

    /// Returns the key of a platform.
    pub fn platform(name: &str) -> Self {
        Self::new(Kind::LivePlatform, "", name)
    }

    /// Returns the key of a lead.
    pub fn lead(namespace: &str, name: &str) -> Self {
        Self::new(Kind::Lead, namespace, name)
    }

    /// Returns the key of a service.
    pub fn service(namespace: &str, name: &str) -> Self {
        Self::new(Kind::OcEssentialService, namespace, name)
    }

    /// Returns the key of a policy.
    pub fn policy(namespace: &str, name: &str) -> Self {
        Self::new(Kind::LeadPolicy, namespace, name)
    }

    /// Kind of the object.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Namespace of the object; empty for a `LivePlatform`.
    pub fn namespace(&self) -> &str {
        self.text.get(..usize::from(self.split)).unwrap_or_default()
    }

    /// Name of the object.
    pub fn name(&self) -> &str {
        self.text.get(usize::from(self.split) + 1..).unwrap_or_default()
    }

    /// Namespace and name.
    pub fn qualified_name(&self) -> &QualifiedName {
        &self.text
    }
}

/// By kind, namespace and name.
impl Ord for ObjectKey {
    fn cmp(&self, other: &Self) -> Ordering {
        let own = (self.kind, self.namespace(), self.name());
        own.cmp(&(other.kind, other.namespace(), other.name()))
    }
}

impl PartialOrd for ObjectKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl std::fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ", self.kind.as_str())?;
        if !self.namespace().is_empty() {
            write!(f, "{}/", self.namespace())?;
        }
        f.write_str(self.name())
    }
}

impl std::fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// Objects that share a limit: the objects of one platform. The platform object is in a group of its own,
/// since it must never wait behind them.
pub type Group = (Kind, Arc<str>);
