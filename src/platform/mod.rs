//! The Live Platform's half of the operator: what one platform holds ([`inventory`]), how often it may be
//! called ([`budget`]), whether calls are held back ([`circuit`]), and what one pass uses of it (`session`).
//! Nothing here knows the API server.

pub mod budget;
pub mod channel_line;
pub mod circuit;
pub(crate) mod connections;
pub mod index;
pub mod inventory;
pub mod list;
pub(crate) mod session;
