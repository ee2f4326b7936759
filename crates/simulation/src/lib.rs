//! Deterministic simulation: the product's own decisions and its own pass driver, against a simulated cluster
//! and a simulated platform. The clock jumps, and one seed decides everything that can go wrong.
//!
//! A *story* is a tape of numbers (from a seed): what the world is like, and at which moments something
//! disturbs it. Disturbances are crashes before and after each step, watches that lag or go back in time,
//! lost answers, writes that fail or whose answer is lost, a second replica and a lease, pauses, a wiped
//! status, people who change, delete and recreate objects, and a platform that is slow, down or throttled,
//! shows holes or nothing at all, or is a different one for a while. The laws of the architecture are checked
//! after each step. Then the faults stop, and everything must come to rest where it belongs.

pub mod breakers;
mod clock;
pub mod cluster;
pub mod edges;
mod effects;
mod inputs;
pub mod laws;
pub mod onboarding;
pub mod operator;
pub mod passes;
pub mod platform;
mod process;
mod requests;
mod rest;
pub mod search;
pub mod setup;
pub mod story;
pub mod tape;
pub mod variants;
pub mod world;
