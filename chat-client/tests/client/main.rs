//! The client over real sockets: against our own server, a stand-in for an original one, and an attacker in between.

mod link;
mod original;
mod pipe;
mod proxy;
mod world;
