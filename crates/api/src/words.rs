//! Words of a status. The schema takes any short text for them, and an unknown one reads as `Unknown`: neither an older operator
//! nor an older schema may break the watch, or refuse a status, because of a word that came later.

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($words:tt)+ }) => {
        words! { $(#[$doc])* $name or Unknown { $($words)+ } }
    };
    ($(#[$doc:meta])* $name:ident or $other:ident { $($(#[$word_doc:meta])* $word:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$word_doc])* $word,)+
            /// Not known, or a word that this version does not know.
            #[default]
            $other,
        }

        impl $name {
            /// The word, as it is written.
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
    /// What is asked of the platform.
    OperationKind {
        /// Make a service, or a consentless lead.
        Create,
        /// Delete a service, or a consentless lead.
        Delete,
    }
}

words! {
    /// How an operation ended. The word for what is not known is one of these: one that this version does not know says no such thing.
    Outcome or Other {
        /// The platform did it, and it was seen.
        Succeeded,
        /// The platform began it, and it failed.
        Failed,
        /// The platform refused it, and nothing was begun.
        Refused,
        /// The answer was lost, and no effect showed in time.
        Unknown,
    }
}

words! {
    /// How far a synchronization job is.
    SyncState {
        /// Nothing needs the job.
        NotDue,
        /// The job must run, and was not asked for.
        Due,
        /// The job was asked for, and its effect was not seen yet.
        Requested,
        /// The effect of the job was seen.
        Synced,
    }
}

words! {
    /// Whether calls are let through to a platform.
    CircuitState {
        /// Calls go through.
        Closed,
        /// Calls are held back, but for a probe now and then.
        Open,
    }
}

words! {
    /// Whether a platform has an optional call.
    CapabilityState {
        /// It answers.
        Available,
        /// It answers that there is no such call.
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
