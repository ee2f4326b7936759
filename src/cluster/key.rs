//! Which object is meant.

/// Our kinds.
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
    /// All of them.
    pub const ALL: [Kind; 3] = [Kind::LivePlatform, Kind::Lead, Kind::OcEssentialService];

    /// As Kubernetes has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LivePlatform => "LivePlatform",
            Self::Lead => "Lead",
            Self::OcEssentialService => "OcEssentialService",
        }
    }
}

/// One object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace; empty for a `LivePlatform`.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl ObjectKey {
    /// The key of a platform.
    pub fn platform(name: &str) -> Self {
        Self {
            kind: Kind::LivePlatform,
            namespace: String::new(),
            name: name.to_owned(),
        }
    }

    /// The key of a lead.
    pub fn lead(namespace: &str, name: &str) -> Self {
        Self {
            kind: Kind::Lead,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    /// The key of a service.
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

/// Entries that share a limit: a platform's objects, and apart from them the platform object itself, which must never wait behind them.
pub type Group = (Kind, String);
