//! `quell serve`: the server, until it is told to stop.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;

use crate::app::house::{House, OpenError, open};
use crate::app::keys::write_secret;
use crate::cli::client::ADDRESS_FILE;
use crate::cli::exit::{CliError, Exit};
use crate::cli::hint::{hint, hint_of};
use crate::cli::screen::Screen;
use crate::service::house::Service;
use crate::settings::Settings;
use crate::web::server::{serve as serve_web, serve_waiting};

impl From<OpenError> for CliError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Mistakes(diagnostics) => CliError::mistakes(diagnostics),
            other => CliError::new(Exit::Own, other.code(), other),
        }
    }
}

/// A listener on the settings' address.
///
/// # Errors
/// When the address is taken or not ours.
pub async fn listener(settings: &Settings) -> Result<TcpListener, CliError> {
    TcpListener::bind(settings.listen).await.map_err(|error| {
        CliError::new(
            Exit::Own,
            "listen",
            format!("cannot listen on {}: {error}; name another address with --listen", settings.listen),
        )
    })
}

/// Says in the data directory where the server listens, for the command line.
///
/// # Errors
/// When it cannot be written.
pub fn tell_address(data: &Path, address: &str) -> Result<(), CliError> {
    write_secret(&data.join(ADDRESS_FILE), &format!("{address}\n"))
        .map_err(|error| CliError::new(Exit::Own, "data", error))
}

/// The signals that tell a process to stop: SIGTERM, SIGINT.
struct Stop(Option<(Signal, Signal)>);

impl Stop {
    fn new() -> Self {
        Self(
            signal(SignalKind::terminate())
                .and_then(|term| Ok((term, signal(SignalKind::interrupt())?)))
                .ok(),
        )
    }

    /// Done each time the process is told to stop.
    async fn told(&mut self) {
        let Some((term, int)) = &mut self.0 else { return std::future::pending().await };
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    }
}

/// Done when the process is told to stop.
pub async fn told_to_stop() {
    Stop::new().told().await;
}

/// Serves until told to stop.
///
/// # Errors
/// When the house cannot be opened, or the listener fails.
pub async fn serve(settings: &Settings, screen: &Screen) -> Result<Exit, CliError> {
    let listener = listener(settings).await?;
    let failed = |error: std::io::Error| CliError::new(Exit::Own, "listen", error);
    let address = listener.local_addr().map_err(failed)?;
    let (house, listener) = tokio::select! {
        opened = open_when_there_is_space(settings, listener, address, screen) => opened?,
        () = told_to_stop() => return Ok(Exit::Done),
    };
    try_to_tell_address(settings, address);
    screen.line(&format!(
        "quell listens on http://{address}; the local operator's token is in {}",
        settings.data.join("token").display()
    ));
    let playbooks = house.service.library.read().playbooks.len();
    screen.line(&format!(
        "{playbooks} playbook(s), {} source(s); ask it with `{}`, stop with Ctrl-C",
        house.service.sources.len(),
        hint("runs")
    ));
    tell_held(&house.service, screen);
    until_stopped(&house, listener).await
}

/// Says that runs are held since the journal was read from a backup.
fn tell_held(service: &Service, screen: &Screen) {
    let Some(held) = service.held_since_restore() else { return };
    let commands: Vec<String> =
        held.commands.iter().map(|command| format!("`{}`", hint_of(command))).collect();
    screen.line(&format!("{}; {}", held.what, commands.join(", ")));
}

/// A full disk must not keep the server down; the command line then asks where
/// the settings say. Called once the store is ours, or nobody's for want of space.
fn try_to_tell_address(settings: &Settings, address: std::net::SocketAddr) {
    if let Err(error) = tell_address(&settings.data, &format!("http://{address}")) {
        tracing::warn!(message = %error.message, "the address could not be written to the data directory");
    }
}

/// How often a store that does not open for want of space is tried again.
const OPEN_AGAIN: Duration = Duration::from_secs(2);

/// Opens the house. While its disk is so full that the store does not even open,
/// the server is up, says so to whoever asks, and tries again.
async fn open_when_there_is_space(
    settings: &Settings,
    listener: TcpListener,
    address: std::net::SocketAddr,
    screen: &Screen,
) -> Result<(House, TcpListener), CliError> {
    let failed = |error: std::io::Error| CliError::new(Exit::Own, "listen", error);
    let mut waiting: Option<JoinHandle<()>> = None;
    let listener = listener.into_std().map_err(failed)?;
    let house = loop {
        match open(settings, address).await {
            Err(error) if error.is_full() => {
                if waiting.is_none() {
                    try_to_tell_address(settings, address);
                    screen.line(&format!("{error}; quell answers on http://{address} and waits for space"));
                    let same =
                        TcpListener::from_std(listener.try_clone().map_err(failed)?).map_err(failed)?;
                    waiting = Some(tokio::spawn(serve_waiting(same, error.to_string())));
                }
                tokio::time::sleep(OPEN_AGAIN).await;
            }
            opened => break opened?,
        }
    };
    if let Some(waiting) = waiting {
        waiting.abort();
        let _ = waiting.await;
    }
    Ok((house, TcpListener::from_std(listener).map_err(failed)?))
}

/// How often it is looked whether the journal still takes anything.
const LOOK_AT_JOURNAL: Duration = Duration::from_millis(200);

/// Done when the journal takes nothing more and never will in this process.
async fn journal_stopped(service: Arc<Service>) {
    while !service.is_stopped() {
        tokio::time::sleep(LOOK_AT_JOURNAL).await;
    }
}

/// Serves the web until told to stop, or until the journal takes nothing more:
/// then the process ends with a failure, and a supervisor may start it again.
///
/// Told to stop, it begins nothing new, lets what is under way end and be
/// recorded for a bounded time, and ends well. Told a second time, it ends at once.
///
/// # Errors
/// When the listener fails, or the journal stopped.
pub async fn until_stopped(house: &House, listener: TcpListener) -> Result<Exit, CliError> {
    house.keep_schedules();
    house.keep_polls();
    house.keep_retention();
    let mut stop = Stop::new();
    let (stopping, told) = tokio::sync::oneshot::channel::<()>();
    let listen = |error| CliError::new(Exit::Own, "listen", error);
    let serving = serve_web(listener, house.web.clone(), async move {
        let _ = told.await;
    });
    let mut serving = tokio::spawn(serving);
    tokio::select! {
        ended = &mut serving => {
            return ended.map_err(std::io::Error::other).flatten().map_err(listen).map(|()| Exit::Done);
        }
        () = stop.told() => {}
        () = journal_stopped(Arc::clone(&house.service)) => {}
    }
    house.stop();
    drop(stopping);
    tokio::select! {
        () = end(house, serving) => {}
        () = stop.told() => {
            tracing::warn!("told to stop twice: what is under way is taken up at the next start, as after a crash");
            return Ok(Exit::Failed);
        }
    }
    if let Some(fault) = house.service.fault() {
        let says = format!("{fault}; start again: the journal has it all, and the views are folded anew");
        return Err(CliError::new(Exit::Own, "views-damaged", says));
    }
    match house.service.journal.health() {
        Err(error) if house.service.is_journal_stopped() => {
            Err(CliError::new(Exit::Own, "store-stopped", error))
        }
        _ => Ok(Exit::Done),
    }
}

/// How long open calls to the web may take to end. They take milliseconds, but
/// for those that follow the events of a run: they would stay for ever.
const CALLS_END: Duration = Duration::from_secs(3);

async fn end(house: &House, serving: JoinHandle<std::io::Result<()>>) {
    let drained = async {
        // A journal that takes nothing more records no outcome either.
        if !house.service.is_journal_stopped() {
            house.drained().await;
        }
    };
    let _ = tokio::join!(tokio::time::timeout(CALLS_END, serving), drained);
}
