//! Finds, starts and stops real servers on loopback.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to listen: Python on a busy machine.
const START_TIME_MAX: Duration = Duration::from_secs(60);

/// A running server, stopped when dropped.
pub struct Server {
    pub port: u16,
    child: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program under `$QUELL_TEST_TOOLS/bin`, `target/tools/bin` or on the path.
/// None, with a printed line, when it is not there.
///
/// # Panics
/// When it is not there and `CI=true`: there nothing may be skipped.
pub fn tool(name: &str) -> Option<PathBuf> {
    let given = std::env::var_os("QUELL_TEST_TOOLS").map(PathBuf::from);
    let usual = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/tools");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = given
        .into_iter()
        .chain([usual])
        .map(|tools| tools.join("bin"))
        .chain(std::env::split_paths(&path))
        .map(|bin| bin.join(name))
        .find(|program| program.is_file());
    if found.is_none() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{name} is not installed; run tests/tools.sh");
        println!("skipped: {name} is not installed; run tests/tools.sh");
    }
    found
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port()
}

/// Starts a program and waits until it listens on `port`.
pub fn start(program: &PathBuf, arguments: &[&str], port: u16) -> Server {
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .env("PYTHONUNBUFFERED", "1")
        .spawn()
        .expect("it starts");
    let server = Server { port, child };
    let began = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(began.elapsed() < START_TIME_MAX, "{} does not listen on {port}", program.display());
        std::thread::sleep(Duration::from_millis(50));
    }
    server
}
