//! The operator's decisions, without any of the I/O that carries them out.
//!
//! Nothing here can do I/O, read a clock or draw a random number: the manifest has no dependency that could.
//! The driver (the operator's `runtime::driver`) calls [`service::decide`], [`lead::decide`] or
//! [`platform::decide`], performs the one step it returns, and feeds the answer back.

pub mod absence;
pub mod breaker;
pub mod capability;
pub mod competition;
pub mod conditions;
pub mod decision;
pub mod discovery;
pub mod election;
pub mod eligibility;
pub mod events;
pub mod facts;
mod guid;
pub mod lead;
pub mod lead_policy;
pub mod memory;
pub mod model;
pub mod names;
pub mod pass;
pub mod place;
pub mod platform;
pub mod policy;
pub mod record;
pub mod refusal;
pub mod requests;
pub mod service;
pub mod time;
pub mod timing;
pub mod transitions;
