//! The operator: turns Microsoft Operator Connect leads into OC Essential services on an AudioCodes Live
//! Platform, declaratively.
//!
//! Two worlds, each kept as a local copy, and one pure decision between them:
//!
//! ```text
//!       Kubernetes                                 Live Platform
//!   watches -> cluster::store                 lists -> platform::inventory
//!             \                                  /
//!          desired state, recorded state, facts
//!                           \                /
//!                      oc_domain::{service, lead, platform}::decide
//!                                   |
//!      runtime::driver performs one step, feeds the answer back, and writes status once
//! ```
//!
//! `oc_api` is the contract with users. [`cluster`] reads and writes our own objects, and nothing else does.
//! [`platform`] is what a Live Platform holds, and how often it may be called. Neither knows the other.
//! [`runtime`] has the work queue, the clock and the driver, and knows no kind. [`controllers`] map events to
//! the objects they enqueue, and queries and changes to calls. [`app`] puts it together, [`cli`] is its
//! command line, and [`telemetry`] is what it reports about itself.

pub mod app;
pub mod cli;
pub mod cluster;
pub mod controllers;
pub mod platform;
pub mod runtime;
pub mod telemetry;
