//! Transports: how an operation reaches its peer.

pub mod address;
pub mod http;
pub mod redact;
pub mod smtp;
