//! The machinery around the decisions, which knows neither the API server nor a platform: who is next ([`workqueue`]), whether this process may change
//! anything ([`leadership`]), the [`driver`] that performs what is decided, the [`clock`], and whether what should go on does ([`heartbeat`]). Nothing
//! here decides what should be done.

pub mod clock;
pub mod driver;
pub mod heartbeat;
pub mod leadership;
pub mod workqueue;
