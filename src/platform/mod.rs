//! The Live Platform's half: what one platform holds ([`inventory`]), how often it may be called ([`budget`]) and whether it is left alone ([`circuit`]),
//! and what of it one pass uses (`session`). Nothing here knows the API server.

pub mod budget;
pub mod circuit;
pub(crate) mod connections;
pub mod index;
pub mod inventory;
pub mod list;
pub(crate) mod session;
