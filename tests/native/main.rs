//! Native tests: the rules against vectors, the machines in a simulated world, and the shape of the house.

mod attributes;
mod codes;
mod direction;
mod events;
mod headers;
mod publisher;
mod world;
