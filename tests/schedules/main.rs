//! Schedules: when they are due, what becomes of each firing, and that a stop
//! at any moment neither loses nor doubles one.

mod calendar;
#[path = "../simulation/chance.rs"]
mod chance;
mod house;
mod restarts;
mod rulings;
