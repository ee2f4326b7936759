//! Our own objects: what the cluster has ([`store`], in which namespaces: [`scope`]), by watches that show whether they live ([`watched`]), what an object
//! remembers ([`record`]), what it says ([`status`]), how both are written ([`write`]), and the [`events`] about it. Nothing else in the program writes to
//! the API server.

pub mod events;
pub mod record;
pub mod scope;
pub mod status;
pub mod store;
pub mod watched;
pub mod write;
