//! The practice range over real sockets, by what its users rely on.

mod directories;
mod identity;
mod mail;
mod persons;
mod restart;
mod support;
