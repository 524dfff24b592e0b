//! argv to exit code; everything else lives in the library.

fn main() {}
