//! Sources that are polled: the real binary against a list with a cursor, which
//! also answers badly, hangs, repeats itself and stands still. Nothing is lost and
//! nothing is doubled, also under `kill -9`.

mod checking;
mod feed;
mod house;
mod kills;
mod looks;
