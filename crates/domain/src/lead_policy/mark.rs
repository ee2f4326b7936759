//! The annotation of a Lead that says which rule has created its service object.

use crate::time::Time;

/// What the annotation says. Its text is `<policy>/<uid>/begun`, or `<policy>/<uid>/<creation time of the
/// object>`. A text without the last part counts as made at an unknown time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LeadMark<'a> {
    /// There is none.
    None,
    /// The object is about to be created.
    Begun {
        /// The name of the policy.
        policy: &'a str,
        /// No policy of that name exists any more.
        gone: bool,
    },
    /// The object was created.
    Made {
        /// The name of the policy.
        policy: &'a str,
        /// The creation time of the object; `None` if it is not known.
        at: Option<Time>,
    },
    /// It can't be read. Something may have been created.
    Unreadable,
}

const BEGUN: &str = "begun";

impl<'a> LeadMark<'a> {
    /// Parses the annotation's text. `exists` says whether a policy of that name exists; `time` parses a time.
    pub fn parse(
        text: &'a str,
        exists: impl FnOnce(&str) -> bool,
        time: impl FnOnce(&str) -> Option<Time>,
    ) -> Self {
        let mut parts = text.splitn(3, '/');
        let (policy, uid) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        if policy.is_empty() || uid.is_empty() {
            return Self::Unreadable;
        }
        match parts.next() {
            None => Self::Made { policy, at: None },
            Some(BEGUN) => Self::Begun {
                policy,
                gone: !exists(policy),
            },
            Some(at) => match time(at) {
                Some(at) => Self::Made { policy, at: Some(at) },
                None => Self::Unreadable,
            },
        }
    }

    /// The text before the object is created.
    pub fn begun_text(policy: &str, uid: &str) -> String {
        format!("{policy}/{uid}/{BEGUN}")
    }

    /// The text after the object was created at that time.
    pub fn made_text(policy: &str, uid: &str, at: &str) -> String {
        format!("{policy}/{uid}/{at}")
    }
}
