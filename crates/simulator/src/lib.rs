//! A stand-in for the Operator Connect REST API of an AudioCodes Live Platform, to test and to try against.
//!
//! It is made from the vendor's pages alone (`docs/design/platform-facts.md` and the two that continue it) and imports nothing of the client it
//! tests. Where the pages contradict each other or are silent, there is a switch in [`Settings`].
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
