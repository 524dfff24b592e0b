//! argv to exit code; everything else lives in the library.

fn main() -> std::process::ExitCode {
    quell::cli::start::main().into()
}
