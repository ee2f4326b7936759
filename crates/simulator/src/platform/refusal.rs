//! The ways in which the platform refuses (platform-facts.md 10).

/// An answer that refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// E1: a validation body, keyed by field.
    Validation(Vec<(String, String)>),
    /// E2: a problem object.
    Problem {
        /// HTTP status.
        status: u16,
        /// The vendor's `errorCode`; its values are not documented, these are ours.
        code: &'static str,
        /// What is wrong.
        detail: String,
    },
    /// E3: a bare string in JSON quotes.
    Quoted(u16, String),
    /// E3: a bare string without quotes.
    Plain(u16, String),
    /// E4: a topology error.
    Entity(u16, String),
    /// E7: 200 that says it did not succeed.
    Unsuccessful(String),
    /// Only a status.
    Bare(u16),
    /// 429 (platform-facts.md 1.4, U-2).
    TooMany,
}

impl Refusal {
    /// E1 for one field.
    pub fn field(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Validation(vec![(name.into(), message.into())])
    }

    /// E1 for a field that is missing.
    pub fn required(name: &str) -> Self {
        Self::field(name, format!("The {name} field is required."))
    }

    /// The 404 for a missing lead, misspelt as by the vendor (C-22).
    pub fn no_lead() -> Self {
        Self::Quoted(404, "Invalild lead".into())
    }

    /// The 404 for a missing service (platform-facts.md 4).
    pub fn no_customer(guid: &str) -> Self {
        Self::Quoted(404, format!("Customer with {guid} not found"))
    }

    /// The 404 of the topology (platform-facts.md 6.2).
    pub fn no_entity(id: impl std::fmt::Display) -> Self {
        Self::Entity(404, format!("Entity with id {id} not found"))
    }

    /// Returns the refusal in words, for a task's message.
    pub fn in_words(&self) -> String {
        match self {
            Self::Validation(fields) => {
                let texts: Vec<&str> = fields.iter().map(|(_, message)| message.as_str()).collect();
                texts.join(" ")
            }
            Self::Problem { detail: text, .. }
            | Self::Quoted(_, text)
            | Self::Plain(_, text)
            | Self::Entity(_, text)
            | Self::Unsuccessful(text) => text.clone(),
            Self::Bare(status) => format!("status {status}"),
            Self::TooMany => "too many requests".into(),
        }
    }
}
