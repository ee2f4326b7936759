//! The Kubernetes half of the operator.
//!
//! - [`store`] keeps the objects of the namespaces in [`scope`]. [`reflector`] keeps them up to date with
//!   lists and watches, [`watch_health`] shows whether these are alive, and [`decode`] parses each object
//!   separately. `cache` holds what is derived from the objects as they change, and `packed` the objects at rest.
//! - [`record`] is what an object remembers, [`status`] what it says. [`mod@patch`] writes both, and
//!   [`events`] writes the events about it. The only other write to the API server is the lease
//!   ([`election`]).
//!
//! Nothing here knows a Live Platform.

pub(crate) mod address;
pub(crate) mod cache;
pub(crate) mod changes;
pub mod decode;
pub mod election;
pub mod events;
pub(crate) mod has_status;
pub(crate) mod index;
pub mod key;
pub(crate) mod kind;
pub mod managed;
pub(crate) mod namespaces;
pub(crate) mod packed;
pub mod patch;
pub(crate) mod reading;
pub mod record;
pub(crate) mod records;
pub mod reflector;
pub mod scope;
pub(crate) mod secrets;
pub(crate) mod send;
pub mod status;
pub mod store;
pub(crate) mod stores;
pub mod watch_health;
