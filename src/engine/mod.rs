//! The machinery around the decisions: who is next ([`queue`]), how often a platform may be called ([`budget`]) and whether it is left alone
//! ([`circuit`]), whether this process may change anything ([`lease`]), the driver that performs what is decided ([`pass`]), and whether what should
//! go on does ([`pulse`]). Nothing here decides what should be done.

pub mod budget;
pub mod circuit;
pub mod clock;
pub mod lease;
pub mod pass;
pub mod pulse;
pub mod queue;
