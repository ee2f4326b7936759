//! The operator: turns Microsoft Operator Connect leads into OC Essential services on an AudioCodes Live Platform, declaratively.
//!
//! Two worlds, each kept as a local copy, and one pure decision between them:
//!
//! ```text
//!       Kubernetes                                 Live Platform
//!   watches -> object::store                 lists -> inventory
//!             \                                  /
//!        what is wished, what is remembered,  facts
//!                           \                /
//!                      oc_domain::{service, lead, platform}::decide
//!                                   |
//!      engine::pass performs one step, feeds the answer back, and writes status once
//! ```
//!
//! [`api`] is the contract with users. [`object`] reads and writes our own objects, and nothing else does. [`inventory`] is what a platform holds.
//! [`engine`] has the queue, the budget and the driver, and knows no kind; [`kinds`] says what wakes an object and which query or change is
//! which call. [`run`](mod@run) puts it together; [`cli`] is what can be said to it; [`ops`] is what it says of itself.

pub mod api;
pub mod cli;
pub mod engine;
pub mod inventory;
pub mod kinds;
pub mod object;
pub mod ops;
pub mod run;
