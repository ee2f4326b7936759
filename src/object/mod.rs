//! Our own objects: what the cluster has ([`store`], in which namespaces: [`scope`]), kept up to date by lists and watches ([`reflector`]) that show whether
//! they live ([`watched`]) and read each object by itself ([`decode`]), what an object remembers ([`record`]), what it says ([`status`]), how both are
//! written ([`mod@write`]), and the [`events`] about it. Beside these two only the lease (`crate::engine::lease`) is written to the API server.

pub mod decode;
pub mod events;
pub mod managed;
pub mod record;
pub mod reflector;
pub mod scope;
pub mod status;
pub mod store;
pub mod watched;
pub mod write;
