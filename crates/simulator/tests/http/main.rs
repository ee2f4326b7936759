//! The simulator over HTTP, held to what `platform-facts.md` says: expected values are written by hand from there.

mod control;
mod direct_routing;
mod disturbances;
mod faults;
mod leads;
mod program;
mod services;
mod shapes;
mod switches;
mod token;
mod topology;
mod world;
