//! Simulates the Operator Connect REST API of an AudioCodes Live Platform, for tests and trials.
//!
//! It is built only from the vendor's pages (`docs/design/platform-facts.md` and its two continuations) and
//! imports nothing of the client it tests. Where the pages contradict each other or are silent, [`Settings`]
//! has a switch.
//!
//! ```no_run
//! # async fn example() {
//! use live_platform_simulator::{Options, Simulator};
//!
//! let simulator = Simulator::start(Options::default()).await;
//! println!("{} {}", simulator.base_url(), simulator.token_url());
//! # }
//! ```

mod http;
mod platform;
mod server;

pub use platform::settings::{
    AssignError, BesideDirectRouting, CreateAnswer, DoubledPrefix, EmptyList, FoundBy, JobAnswer, OutputGuid,
    Paging, SecondCreate, Settings, TaskStatusSpelling,
};
pub use server::{Options, Simulator, StartError};
