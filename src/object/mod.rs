//! Our own objects: what the cluster has ([`store`]), by watches that show whether they live ([`watched`]), what an object remembers ([`record`]), what
//! it says ([`status`]), and how both are written ([`write`]). Nothing else in the program writes to the API server.

pub mod record;
pub mod status;
pub mod store;
pub mod watched;
pub mod write;
