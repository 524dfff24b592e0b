//! `quell serve`: the server, until it is told to stop.

use std::path::Path;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::house::{House, OpenError, open};
use crate::app::keys::write_secret;
use crate::cli::client::ADDRESS_FILE;
use crate::cli::exit::{CliError, Exit};
use crate::cli::screen::Screen;
use crate::settings::Settings;
use crate::web::server::serve as serve_web;

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

/// Done when the process is told to stop (SIGTERM, SIGINT).
pub async fn told_to_stop() {
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}

/// Serves until told to stop.
///
/// # Errors
/// When the house cannot be opened, or the listener fails.
pub async fn serve(settings: &Settings, screen: &Screen) -> Result<Exit, CliError> {
    let listener = listener(settings).await?;
    let address = listener.local_addr().map_err(|error| CliError::new(Exit::Own, "listen", error))?;
    let house = open(settings, address).await?;
    tell_address(&settings.data, &format!("http://{address}"))?;
    screen.line(&format!(
        "quell listens on http://{address}; the local operator's token is in {}",
        settings.data.join("token").display()
    ));
    let playbooks = house.service.library.read().playbooks.len();
    screen.line(&format!(
        "{playbooks} playbook(s), {} source(s); stop with Ctrl-C",
        house.service.sources.len()
    ));
    until_stopped(&house, listener).await
}

/// Serves the web until told to stop, or until the journal takes nothing more.
///
/// # Errors
/// When the listener fails, or the journal stopped.
pub async fn until_stopped(house: &House, listener: TcpListener) -> Result<Exit, CliError> {
    serve_web(listener, house.web.clone(), told_to_stop())
        .await
        .map_err(|error| CliError::new(Exit::Own, "listen", error))?;
    house.stop();
    drain(house).await;
    match house.service.journal.health() {
        Ok(()) => Ok(Exit::Done),
        Err(error) => Err(CliError::new(Exit::Own, "store", error)),
    }
}

/// How long what is in flight may take to end when the server stops. What has
/// not ended by then is taken up at the next start, as after a crash.
const DRAIN: std::time::Duration = std::time::Duration::from_secs(10);

async fn drain(house: &House) {
    let until = tokio::time::Instant::now() + DRAIN;
    while house.service.scheduler.load_now().0 > 0 && tokio::time::Instant::now() < until {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
