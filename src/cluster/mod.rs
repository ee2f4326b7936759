//! The API server's half: what the cluster has ([`store`], in which namespaces: [`scope`]), kept up to date by lists and watches ([`reflector`]) that show
//! whether they live ([`watch_health`]) and read each object by itself ([`decode`]); what is kept of the objects as they change (`cache`); what an object
//! remembers ([`record`]), what it says ([`status`]), how both are written ([`mod@patch`]), and the [`events`] about it. Beside these two only the lease
//! ([`election`]) is written to the API server. Nothing here knows a Live Platform.

pub(crate) mod address;
pub(crate) mod cache;
pub mod decode;
pub mod election;
pub mod events;
pub(crate) mod has_status;
pub(crate) mod index;
pub mod key;
pub mod managed;
pub(crate) mod namespaces;
pub mod patch;
pub(crate) mod reading;
pub mod record;
pub(crate) mod records;
pub mod reflector;
pub mod scope;
pub(crate) mod secrets;
pub mod status;
pub mod store;
pub mod watch_health;
