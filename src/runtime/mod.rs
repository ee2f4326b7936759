//! The machinery around the decisions. It knows neither the API server nor a platform, and decides nothing.
//!
//! [`workqueue`] says which object is next, and [`leadership`] whether this process may change anything. The
//! [`driver`] performs what was decided. [`clock`] tells the time, and [`heartbeat`] shows whether
//! long-running work is alive. [`rate`] is for work that must not come all at once, and [`busy`] measures how much
//! there was.

pub mod busy;
pub mod clock;
pub mod driver;
pub mod heartbeat;
pub mod leadership;
pub mod rate;
pub mod workqueue;
