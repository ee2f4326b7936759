//! The machinery around the decisions: who is next ([`queue`]), how often a platform may be called ([`budget`]), and the driver that performs
//! what is decided ([`pass`]). Nothing here decides what should be done.

pub mod budget;
pub mod clock;
pub mod pass;
pub mod queue;
