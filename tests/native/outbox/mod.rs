//! The outbox in a simulated world: a virtual clock, a store and a server that fail in every way, and
//! crashes.

mod batches;
mod capacity;
mod checks;
mod delivery;
mod expiry;
mod pages;
mod progress;
mod random;
mod sources;
mod store_and_server;
mod world;
