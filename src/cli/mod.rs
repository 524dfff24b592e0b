//! The command line: one file for each command or family of commands.
//!
//! ```text
//!   args.rs      the words of the command line
//!   exit.rs      exit codes and how errors are shown
//!   client.rs    speaks to a running server
//!   input.rs     files and pipes that a command is given
//!   screen.rs    text or JSON, colour or not
//!   hint.rs      commands as a person may copy them
//!   progress.rs  a run as it goes, one line a step
//!   start.rs     words → command → exit code
//! ```

pub mod args;
pub mod attention;
pub mod backtest;
pub mod check;
pub mod client;
pub mod decide;
pub mod exit;
pub mod hint;
pub mod incident;
pub mod ingest;
pub mod init;
pub mod input;
pub mod lab;
pub mod list;
pub mod plan;
pub mod progress;
pub mod report;
pub mod run;
pub mod screen;
pub mod serve;
pub mod show;
pub mod start;
pub mod store;
pub mod test;
pub mod triage;
pub mod undo;
