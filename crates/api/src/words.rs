//! Enumerated words in status.
//!
//! The schema accepts any short text for them, and an unknown word reads as `Unknown`. A word that a later
//! version adds must not break the watch of an older operator, or make an older schema reject a status.

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($words:tt)+ }) => {
        words! { $(#[$doc])* $name or Unknown { $($words)+ } }
    };
    ($(#[$doc:meta])* $name:ident or $other:ident { $($(#[$word_doc:meta])* $word:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$word_doc])* $word,)+
            /// Unknown, or a word that this version does not know.
            #[default]
            $other,
        }

        impl $name {
            /// Returns the word as it is written in `status`.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$word => stringify!($word),)+
                    Self::$other => stringify!($other),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let word = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(from)?;
                Ok(match word.as_ref() {
                    $(stringify!($word) => Self::$word,)+
                    _ => Self::$other,
                })
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "maxLength": 64 })
            }
        }
    };
}

words! {
    /// What an operation requests from the platform.
    OperationKind {
        /// Create a service or a consentless lead.
        Create,
        /// Delete a service or a consentless lead.
        Delete,
    }
}

words! {
    /// How an operation ended. `Unknown` is itself an outcome here, so a word that this version does not know
    /// reads as `Other` instead.
    Outcome or Other {
        /// The platform made the change, and the operator saw it.
        Succeeded,
        /// The platform started the change, and it failed.
        Failed,
        /// The platform rejected the request and started nothing.
        Refused,
        /// The response was lost, and no effect showed in time.
        Unknown,
    }
}

words! {
    /// The state of a synchronization job.
    SyncState {
        /// Nothing needs the job.
        NotDue,
        /// The job must run and was not requested yet.
        Due,
        /// The job was requested, and its effect was not seen yet.
        Requested,
        /// The job's effect was seen.
        Synced,
    }
}

words! {
    /// Whether the operator sends calls to a platform.
    CircuitState {
        /// Calls go through.
        Closed,
        /// Calls are held back, except for an occasional probe.
        Open,
    }
}

words! {
    /// Whether a platform supports an optional call.
    CapabilityState {
        /// The platform answers the call.
        Available,
        /// The platform answers that it has no such call.
        Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::{OperationKind, Outcome, SyncState};

    #[test]
    fn a_word_of_a_later_version_reads_as_unknown() {
        assert_eq!(
            serde_json::from_str::<SyncState>(r#""Requested""#).unwrap(),
            SyncState::Requested
        );
        assert_eq!(
            serde_json::from_str::<SyncState>(r#""Postponed""#).unwrap(),
            SyncState::Unknown
        );
        assert_eq!(
            serde_json::to_string(&OperationKind::Delete).unwrap(),
            r#""Delete""#
        );
        assert_eq!(
            serde_json::from_str::<Outcome>(r#""Unknown""#).unwrap(),
            Outcome::Unknown
        );
        assert_eq!(
            serde_json::from_str::<Outcome>(r#""HandedOver""#).unwrap(),
            Outcome::Other,
            "it may go on elsewhere"
        );
    }
}
