//! Opens the store and starts everything.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tokio::task::JoinHandle;

use crate::app::archive::Archive;
use crate::app::data_dir::make_data_private;
use crate::app::keys::{kept, link_key};
use crate::app::load::{Loaded, load};
use crate::app::shelf;
use crate::connector::hub::Hub;
use crate::domain::queue::Limits;
use crate::domain::time::Timestamp;
use crate::failpoint::pass;
use crate::scheduler::admission::{QUEUE_DEFAULT, RUNS_AT_ONCE_DEFAULT};
use crate::scheduler::run::Scheduler;
use crate::service::follow::follow;
use crate::service::house::Service;
use crate::service::retention::due::Rules;
use crate::settings::Settings;
use crate::step::link::LinkKey;
use crate::step::world::World;
use crate::store::error::StoreError;
use crate::store::journal::Journal;
use crate::store::sled::compact::{Compacted, compact_at_start};
use crate::store::sled::journal::{Options, SledJournal};
use crate::web::access::{Role, Token};
use crate::web::server::Web;
use crate::yaml::diagnostic::Diagnostic;

/// The file that holds the local operator's token.
pub const TOKEN_FILE: &str = "token";

/// The local operator, whose token lies in the data directory. In no group, so
/// that it can approve nothing.
pub const OPERATOR: &str = "operator@localhost";

/// Who uses this process without a server: the user of the operating system, as an
/// address of this machine.
pub fn local_user() -> String {
    match whoami::username() {
        Ok(name) if !name.trim().is_empty() => format!("{}@localhost", name.trim().to_lowercase()),
        _ => OPERATOR.to_owned(),
    }
}

/// Where reports are kept in the data directory.
pub const REPORTS_DIR: &str = "reports";

/// How long what is under way may take to end when the process stops. What has
/// not ended by then is taken up at the next start, as after a crash. Some
/// seconds below the 30 that supervisors commonly grant before they kill.
const DRAIN: Duration = Duration::from_secs(25);

/// Why the house could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Mistakes in what authors wrote.
    #[error("{} mistake(s) found; nothing was started", .0.len())]
    Mistakes(Vec<Diagnostic>),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The data directory.
    #[error("the data directory {path} cannot be used: {error}")]
    Data {
        /// Which.
        path: String,
        /// Why.
        error: std::io::Error,
    },
}

impl OpenError {
    /// Whether it failed for want of space on the disk alone.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Store(StoreError::Full))
    }

    /// A stable code, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Mistakes(_) => "mistakes",
            Self::Data { .. } => "data",
            Self::Store(error) => match error {
                StoreError::Damaged { .. } => "store-damaged",
                StoreError::Export { .. } => "export-unfit",
                StoreError::Occupied { .. } => "store-occupied",
                StoreError::Locked { .. } => "store-locked",
                StoreError::Full => "store-full",
                _ => "store",
            },
        }
    }
}

/// A house that runs.
pub struct House {
    /// Every order and every question.
    pub service: Arc<Service>,
    /// What the web stands on.
    pub web: Web,
    keeper: JoinHandle<()>,
    orders: JoinHandle<()>,
    rules: Rules,
    retention: Mutex<Option<JoinHandle<()>>>,
    schedules: Mutex<Option<JoinHandle<()>>>,
    polls: Mutex<Option<JoinHandle<()>>>,
}

impl House {
    /// Fires schedules from now on. Only a server does: a process that is there
    /// for one run and gone again would take firings from their time.
    pub fn keep_schedules(&self) {
        let before = self.schedules.lock().replace(self.service.keep_schedules());
        if let Some(before) = before {
            before.abort();
        }
    }

    /// Asks polled sources from now on. Only a server does: alerts are not for a
    /// process that is there for one run.
    pub fn keep_polls(&self) {
        let before = self.polls.lock().replace(self.service.keep_polls());
        if let Some(before) = before {
            before.abort();
        }
    }

    /// Erases what was kept long enough from now on. Only a server does: nobody
    /// who starts one run means to erase something.
    pub fn keep_retention(&self) {
        let before = self.retention.lock().replace(self.service.keep_retention(self.rules));
        if let Some(before) = before {
            before.abort();
        }
    }

    /// Waits until everything under way has ended and is recorded, but not for
    /// longer than [`DRAIN`]. Called after [`House::stop`].
    pub async fn drained(&self) {
        let _ = tokio::time::timeout(DRAIN, self.service.scheduler.drained()).await;
    }

    /// Begins nothing new: no run, no step, no firing. What is under way ends in
    /// its own time.
    pub fn stop(&self) {
        self.service.scheduler.stop();
        self.keeper.abort();
        self.orders.abort();
        for keeper in [&self.schedules, &self.retention, &self.polls] {
            if let Some(keeper) = keeper.lock().take() {
                keeper.abort();
            }
        }
    }
}

/// The time now.
pub fn now() -> Timestamp {
    Utc::now().into()
}

/// Opens the store of the data directory.
///
/// # Errors
/// When it is damaged, locked, or the disk says no.
pub async fn open_store(settings: &Settings) -> Result<Arc<dyn Journal>, OpenError> {
    let dir = settings.store_dir();
    let views = settings.data.join(shelf::VIEWS_FILE);
    let opened = tokio::task::spawn_blocking(move || {
        // The views on disk hold such bytes too; they are folded again.
        match compact_at_start(&dir, || shelf::remove(&views)) {
            Ok(None) => {}
            Ok(Some(Compacted { before, after })) => {
                tracing::info!(before, after, "the store's file was written anew, without what was erased");
            }
            // It is as it was; whether it opens is said next.
            Err(error) => tracing::warn!(%error, "the store's file was not written anew"),
        }
        SledJournal::open(&dir, &Options::default())
    })
    .await;
    match opened {
        Ok(journal) => Ok(Arc::new(journal?)),
        Err(error) => Err(OpenError::Data {
            path: settings.data.display().to_string(),
            error: std::io::Error::other(error),
        }),
    }
}

/// Opens what was stored to look at it, and to try what would be: nothing is taken
/// up, no schedule is kept, and nothing is written.
///
/// # Errors
/// As [`open`].
pub async fn open_to_read(settings: &Settings) -> Result<Arc<Service>, OpenError> {
    let loaded = load(settings).map_err(OpenError::Mistakes)?;
    let data = &settings.data;
    let unusable = |error: std::io::Error| OpenError::Data { path: data.display().to_string(), error };
    let links = LinkKey::new(link_key(data).map_err(unusable)?);
    let journal = open_store(settings).await?;
    service_on(settings, loaded, journal, links, settings.listen).await
}

/// Opens everything: reads what authors wrote, opens the store, takes up
/// unfinished runs. `address` is where people reach this server.
///
/// # Errors
/// Mistakes in files, or a store that cannot be opened.
pub async fn open(settings: &Settings, address: SocketAddr) -> Result<House, OpenError> {
    let loaded = load(settings).map_err(OpenError::Mistakes)?;
    let data = &settings.data;
    let unusable = |error: std::io::Error| OpenError::Data { path: data.display().to_string(), error };
    make_data_private(settings).map_err(unusable)?;
    let links = LinkKey::new(link_key(data).map_err(unusable)?);
    let tokens = tokens(settings, data).map_err(unusable)?;
    pass("start.secrets");
    let journal = open_store(settings).await?;
    pass("start.store");
    open_on(settings, loaded, journal, links, tokens, address).await
}

async fn open_on(
    settings: &Settings,
    loaded: Loaded,
    journal: Arc<dyn Journal>,
    links: LinkKey,
    tokens: Vec<Token>,
    address: SocketAddr,
) -> Result<House, OpenError> {
    let service = service_on(settings, loaded, journal, links, address).await?;
    let scheduler = Arc::clone(&service.scheduler);
    let (unfinished, queued) = (service.unfinished().await?, service.queued());
    pass("start.read");
    scheduler.recover(unfinished).await;
    scheduler.line_up(queued);
    pass("start.recovered");
    let keeper = scheduler.keep_time();
    let orders = service.keep_orders();
    let web = Web { service: Arc::clone(&service), tokens: Arc::new(tokens) };
    let retention = &settings.retention;
    let rules = Rules { closed_incidents: retention.closed_incidents, raw_alerts: retention.raw_alerts };
    let (retention, schedules, polls) = (Mutex::new(None), Mutex::new(None), Mutex::new(None));
    Ok(House { service, web, keeper, orders, rules, retention, schedules, polls })
}

/// The service on a journal; nothing goes on yet.
async fn service_on(
    settings: &Settings,
    loaded: Loaded,
    journal: Arc<dyn Journal>,
    links: LinkKey,
    address: SocketAddr,
) -> Result<Arc<Service>, OpenError> {
    let (shelf, from) = shelf::open(&settings.data, &journal).await?.unzip();
    let following = follow(&journal, shelf, from.unwrap_or(0)).await?;
    let views = Arc::clone(&following.views);
    let records =
        Archive::new(Arc::clone(&journal), views, following.seen.clone(), settings.data.join(REPORTS_DIR));
    let world = Arc::new(World {
        hub: Hub::new(loaded.instances, now),
        people: loaded.people,
        templates: loaded.templates,
        guard: loaded.guard,
        mail: settings.mail.clone(),
        mail_from: settings.mail_from.clone(),
        public_url: settings.public_url.clone().unwrap_or_else(|| format!("http://{address}")),
        links,
        records: Arc::new(records),
        now,
    });
    let scheduler = Scheduler::with_limits(Arc::clone(&journal), Arc::clone(&world), limits(settings));
    let authored = (loaded.library, loaded.around);
    let triage = (loaded.sources, loaded.triage);
    Ok(Service::new(scheduler, journal, world, following, authored, triage))
}

/// How much is done at the same time.
fn limits(settings: &Settings) -> Limits {
    let own = &settings.limits;
    let playbooks = own.playbooks.iter().map(|(name, _, most)| (name.clone(), *most)).collect();
    Limits::runs(
        own.runs_at_once.unwrap_or(RUNS_AT_ONCE_DEFAULT),
        own.queue.unwrap_or(QUEUE_DEFAULT),
        playbooks,
    )
}

/// The tokens of the settings and the local operator's.
fn tokens(settings: &Settings, data: &Path) -> std::io::Result<Vec<Token>> {
    let own = kept(data, TOKEN_FILE)?;
    let mut tokens = vec![Token {
        who: OPERATOR.to_owned(),
        sha256: Sha256::digest(own.as_bytes()).into(),
        roles: vec![Role::Admin],
    }];
    for setting in &settings.tokens {
        let mut sha256 = [0u8; 32];
        if hex::decode_to_slice(&setting.sha256, &mut sha256).is_ok() {
            let roles = setting.roles.iter().filter_map(|role| Role::named(role)).collect();
            tokens.push(Token { who: setting.who.clone(), sha256, roles });
        }
    }
    Ok(tokens)
}
