//! Connectors and sources against servers that nobody here wrote. `tests/tools.sh` installs
//! them; without them these tests say so and pass, except where `CI=true`.

#[path = "real/alertmanager.rs"]
mod alertmanager;
#[path = "real/mail.rs"]
mod mail;
#[path = "real/scim.rs"]
mod scim;
#[path = "real/servers.rs"]
mod servers;
#[path = "connectors/setup.rs"]
#[allow(dead_code, reason = "shared with tests/connectors.rs")]
mod setup;
