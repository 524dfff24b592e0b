//! Starts and stops the whole practice range on one directory.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use reqwest::Client;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::lab::identity::{self, Faults, Identity};
use crate::lab::sensor::{self, SendError};
use crate::lab::world::{Acted, DirectoryLock, IdentityWrite, Mail, Ports, World, WorldError};
use crate::lab::{assets, http, mail, people, persona, smtp};

/// The slowest that people can be told to be, as a factor.
pub const PACE_MAX: f64 = 1_000.0;
/// How long stopping waits for requests under way.
pub const STOP_TIME_MAX: Duration = Duration::from_secs(3);

/// Why the lab did not start, or an alert was not sent.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    #[error("the lab's world: {0}")]
    World(#[from] WorldError),
    #[error("the lab's {server} server got no port on 127.0.0.1: {source}")]
    Port { server: &'static str, source: io::Error },
    #[error("the lab has no HTTP client: {0}")]
    Client(reqwest::Error),
    #[error("the lab's pace is {0}, and must be from 0 to {PACE_MAX}")]
    Pace(f64),
    #[error("the alert was not sent: {0}")]
    Send(#[from] SendError),
}

/// What the lab is started with.
#[derive(Debug, Clone)]
pub struct LabOptions {
    /// Directory of `world.json`; made when missing.
    pub data: PathBuf,
    /// Must be the same at every start on one directory.
    pub seed: u64,
    /// The lab's time at this start; dates of people count from the first.
    pub now: DateTime<Utc>,
    /// Scales how long people take: 1 is a few seconds, 0 is at once.
    pub pace: f64,
}

/// The tokens that the servers ask for, and those of the people.
#[derive(Clone)]
pub struct LabTokens {
    pub identity: String,
    pub people: String,
    pub assets: String,
    /// The secret that alerts are signed with, in the `whsec_` form.
    pub webhook_secret: String,
    /// By mail address: what each person sends as a bearer token.
    pub people_tokens: BTreeMap<String, String>,
}

impl fmt::Debug for LabTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LabTokens").finish_non_exhaustive()
    }
}

/// A running practice range. Stop it with [`Lab::stop`]; dropping it stops it
/// without waiting.
pub struct Lab {
    /// `http://127.0.0.1:port`; SCIM is under `/scim/v2`, sessions under `/sessions`.
    pub identity_url: String,
    pub people_url: String,
    pub assets_url: String,
    /// Where a person reads the mail that arrived, under `/mail`.
    pub mail_url: String,
    pub smtp_addr: SocketAddr,
    pub tokens: LabTokens,
    world: Arc<World>,
    faults: Arc<Mutex<Faults>>,
    client: Client,
    stop: watch::Sender<bool>,
    servers: JoinSet<()>,
    _lock: DirectoryLock,
}

impl fmt::Debug for Lab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lab")
            .field("identity_url", &self.identity_url)
            .field("smtp_addr", &self.smtp_addr)
            .finish_non_exhaustive()
    }
}

/// One bound port for each server.
struct Listeners {
    identity: TcpListener,
    people: TcpListener,
    assets: TcpListener,
    mail: TcpListener,
    smtp: TcpListener,
}

impl Lab {
    /// Starts every server and the people. On a directory that was used
    /// before, the same world goes on, on the same ports where they are free.
    pub async fn start(options: LabOptions) -> Result<Self, LabError> {
        if !(0.0..=PACE_MAX).contains(&options.pace) {
            return Err(LabError::Pace(options.pace));
        }
        let (world, lock) = World::open(&options.data, options.seed, options.now)?;
        let listeners = Listeners::bind(world.state().ports).await?;
        let ports = listeners.ports()?;
        world.change(move |state| state.ports = ports).await?;
        // No proxy and no redirects: people here talk to this machine alone.
        let client = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(persona::REQUEST_TIME_MAX)
            .build()
            .map_err(LabError::Client)?;
        let state = world.state();
        let mut lab = Self {
            identity_url: at(ports.identity),
            people_url: at(ports.people),
            assets_url: at(ports.assets),
            mail_url: at(ports.mail),
            smtp_addr: SocketAddr::from((Ipv4Addr::LOCALHOST, ports.smtp)),
            tokens: LabTokens {
                identity: state.tokens.identity.clone(),
                people: state.tokens.people.clone(),
                assets: state.tokens.assets.clone(),
                webhook_secret: state.tokens.webhook.clone(),
                people_tokens: state.tokens.persons.clone(),
            },
            world,
            faults: Arc::default(),
            client,
            stop: watch::Sender::new(false),
            servers: JoinSet::new(),
            _lock: lock,
        };
        lab.spawn(listeners, options.pace);
        Ok(lab)
    }

    fn spawn(&mut self, listeners: Listeners, pace: f64) {
        let identity = Identity {
            world: Arc::clone(&self.world),
            url: self.identity_url.clone(),
            faults: Arc::clone(&self.faults),
        };
        let world = || Arc::clone(&self.world);
        let stop = || self.stop.subscribe();
        self.servers.spawn(http::serve(listeners.identity, identity::router(identity), stop()));
        self.servers.spawn(http::serve(listeners.people, people::router(world()), stop()));
        self.servers.spawn(http::serve(listeners.assets, assets::router(world()), stop()));
        self.servers.spawn(http::serve(listeners.mail, mail::router(world()), stop()));
        self.servers.spawn(smtp::serve(listeners.smtp, world(), stop()));
        self.servers.spawn(persona::run(world(), self.client.clone(), pace, stop()));
    }

    /// The alert of this world; see [`sensor::alert`].
    pub fn alert(&self) -> Value {
        sensor::alert(&self.world)
    }

    /// Sends the alert to `{quell_url}/api/v1/alerts/{source}`, signed.
    pub async fn send_alert(&self, quell_url: &str, source: &str) -> Result<(), LabError> {
        let url = format!("{}/api/v1/alerts/{source}", quell_url.trim_end_matches('/'));
        sensor::send(&self.client, &url, &self.tokens.webhook_secret, &self.alert()).await?;
        Ok(())
    }

    /// Every writing request that the identity provider ever got, oldest first.
    pub fn writes(&self) -> Vec<IdentityWrite> {
        self.world.state().writes.clone()
    }

    /// Every mail that arrived, oldest first.
    pub fn mails(&self) -> Vec<Mail> {
        self.world.state().mails.clone()
    }

    /// What people did about their mail, oldest first.
    pub fn acted(&self) -> Vec<Acted> {
        self.world.state().acted.clone()
    }

    /// Makes the identity provider misbehave, or stops that. Not kept over a
    /// restart.
    pub fn set_faults(&self, faults: Faults) {
        *self.faults.lock() = faults;
    }

    /// Lets requests under way finish, then stops every server and lets go of
    /// the directory.
    pub async fn stop(mut self) {
        // No receiver left means that all have ended already.
        let _ = self.stop.send(true);
        let ended = async { while self.servers.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_TIME_MAX, ended).await.is_err() {
            self.servers.shutdown().await;
        }
        self.world.close();
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.world.close();
    }
}

fn at(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

impl Listeners {
    async fn bind(kept: Ports) -> Result<Self, LabError> {
        Ok(Self {
            identity: bind("identity", kept.identity).await?,
            people: bind("people", kept.people).await?,
            assets: bind("assets", kept.assets).await?,
            mail: bind("mail", kept.mail).await?,
            smtp: bind("SMTP", kept.smtp).await?,
        })
    }

    fn ports(&self) -> Result<Ports, LabError> {
        let port = |server, listener: &TcpListener| {
            listener
                .local_addr()
                .map(|address| address.port())
                .map_err(|source| LabError::Port { server, source })
        };
        Ok(Ports {
            identity: port("identity", &self.identity)?,
            people: port("people", &self.people)?,
            assets: port("assets", &self.assets)?,
            mail: port("mail", &self.mail)?,
            smtp: port("SMTP", &self.smtp)?,
        })
    }
}

/// The port of last time, or any when somebody else has it now.
async fn bind(server: &'static str, port: u16) -> Result<TcpListener, LabError> {
    if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
        return Ok(listener);
    }
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(|source| LabError::Port { server, source })
}
