//! The key that identifies one object.

/// The kinds of our custom resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `LivePlatform`
    LivePlatform,
    /// `Lead`
    Lead,
    /// `OcEssentialService`
    OcEssentialService,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 3] = [Kind::LivePlatform, Kind::Lead, Kind::OcEssentialService];

    /// Returns the kind as Kubernetes writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LivePlatform => "LivePlatform",
            Self::Lead => "Lead",
            Self::OcEssentialService => "OcEssentialService",
        }
    }
}

/// Identifies one object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// Kind of the object.
    pub kind: Kind,
    /// Namespace of the object; empty for a `LivePlatform`.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
}

impl ObjectKey {
    /// Returns the key of a platform.
    pub fn platform(name: &str) -> Self {
        Self {
            kind: Kind::LivePlatform,
            namespace: String::new(),
            name: name.to_owned(),
        }
    }

    /// Returns the key of a lead.
    pub fn lead(namespace: &str, name: &str) -> Self {
        Self {
            kind: Kind::Lead,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    /// Returns the key of a service.
    pub fn service(namespace: &str, name: &str) -> Self {
        Self {
            kind: Kind::OcEssentialService,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }
}

impl std::fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ", self.kind.as_str())?;
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        f.write_str(&self.name)
    }
}

/// Objects that share a limit: the objects of one platform. The platform object is in a group of its own,
/// since it must never wait behind them.
pub type Group = (Kind, String);
