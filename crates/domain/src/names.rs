//! Names, parsed once: a value of these types is a valid name.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::guid::Guid;

/// Why a text is not a valid name. Gives the rule, not the field, which the caller knows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InvalidName(pub String);

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidName {}

macro_rules! guid_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Guid);

        impl $name {
            /// Parses a GUID of the form 8-4-4-4-12, in upper or lower case.
            ///
            /// # Errors
            /// When the text has another form.
            pub fn parse(text: &str) -> Result<Self, InvalidName> {
                Guid::parse(text).map(Self).ok_or_else(|| {
                    InvalidName("must be a GUID such as 22222222-2222-4222-8222-222222222222".into())
                })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

guid_name! {
    /// A customer's Microsoft 365 tenant: the natural key of a lead and of a service (one tenant has at most
    /// one service, platform-facts.md 3.1).
    TenantId
}
guid_name! {
    /// The platform's key of one service, `umpCustomerGuid` (platform-facts.md, names table).
    CustomerGuid
}
guid_name! {
    /// The platform's key of one lead, `id` (platform-facts.md 2.1). It is not the tenant: one tenant can own
    /// two leads.
    LeadId
}

/// The integer id of an LC customer, the Operation Center's entity that owns services
/// (platform-facts.md 6.2).
pub type LcCustomerId = i64;

/// The integer id of a channel in the Operation Center (platform-facts.md 6.3, C-27).
pub type ChannelId = i64;

/// The characters allowed in a short name (C-2: the vendor's pages give two rules).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ShortNameRule {
    /// The portal's rule A (platform-facts.md 3.4, S3).
    #[default]
    Portal,
    /// Rule B of the newest pages: letters, digits, underscore.
    Alphanumeric,
}

/// A service's short name. Comparison ignores case, as the platform most likely does (N-3).
#[derive(Clone)]
pub struct ShortName(String);

/// Device names of Windows. They are refused because the short name very likely becomes a folder (N-4).
const DEVICES: [&str; 22] = [
    "con", "prn", "aux", "nul", "com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8", "com9",
    "lpt1", "lpt2", "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9",
];

impl ShortName {
    /// Parses a short name.
    ///
    /// # Errors
    /// The first rule that the text breaks (platform-facts.md 3.4; S3).
    pub fn parse(text: &str, rule: ShortNameRule) -> Result<Self, InvalidName> {
        Self::check(text, rule).map(|()| Self(text.to_owned()))
    }

    /// Checks a short name without taking it.
    ///
    /// # Errors
    /// As [`ShortName::parse`].
    pub fn check(text: &str, rule: ShortNameRule) -> Result<(), InvalidName> {
        let bad = |why: &str| Err(InvalidName(why.to_owned()));
        let length = text.chars().count();
        if !(3..=15).contains(&length) {
            return bad("must have 3 to 15 characters");
        }
        if text.chars().any(|c| r#"\/:*?"<>|"#.contains(c)) {
            return bad(r#"must not contain any of \ / : * ? " < > |"#);
        }
        if text.contains('.') {
            return bad("must not contain a dot");
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return bad("must not contain a blank");
        }
        // Some letters beyond ASCII fold to one of ASCII.
        let folded = if text.is_ascii() {
            Cow::Borrowed(text)
        } else {
            Cow::Owned(fold_case(text))
        };
        let mut words = folded.as_bytes().windows("audit".len());
        if words.any(|word| word.eq_ignore_ascii_case(b"audit")) {
            return bad("must not be or contain the word audit");
        }
        if DEVICES.iter().any(|device| folded.eq_ignore_ascii_case(device)) {
            return bad("must not be a Windows device name (CON, PRN, AUX, NUL, COM1 to COM9, LPT1 to LPT9)");
        }
        if rule == ShortNameRule::Alphanumeric && !text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        {
            return bad(
                "must contain only letters, digits and underscores (the platform object's shortNameRule is Alphanumeric)",
            );
        }
        Ok(())
    }

    /// Takes a name from a spec, valid or not: the rules apply to a create, not to what exists. Before a
    /// create it must pass [`ShortName::parse`].
    pub fn as_written(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The name as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name in the form used for comparison.
    pub fn folded(&self) -> String {
        fold_case(&self.0)
    }
}

/// Folds a short name for comparison, ignoring case (N-3).
pub fn fold_case(text: &str) -> String {
    text.to_lowercase()
}

/// Whether two short names are the same, ignoring case (N-3).
pub fn same_folded(one: &str, other: &str) -> bool {
    if one.is_ascii() && other.is_ascii() {
        one.eq_ignore_ascii_case(other)
    } else {
        fold_case(one) == fold_case(other)
    }
}

impl PartialEq for ShortName {
    fn eq(&self, other: &Self) -> bool {
        same_folded(&self.0, &other.0)
    }
}

impl Eq for ShortName {}

impl Hash for ShortName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.folded().hash(state);
    }
}

impl fmt::Display for ShortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ShortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// The platform's id of an asynchronous task (`wst_…`, `tsk_…`; platform-facts.md 5). Opaque, but it must fit
/// into a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TaskId(Arc<str>);

impl TaskId {
    /// Parses an id from the platform.
    ///
    /// # Errors
    /// When it is empty, over 100 characters, or holds anything but letters, digits, `_` and `-`: such an id
    /// can't be used safely in a request.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let fits = !text.is_empty()
            && text.len() <= 100
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if fits {
            Ok(Self(text.into()))
        } else {
            Err(InvalidName(
                "is not a task id (1 to 100 letters, digits, _ or -)".into(),
            ))
        }
    }

    /// The id as the platform wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
