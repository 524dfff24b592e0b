//! `quell lab`: the practice range, a server wired to it, and one real alert
//! played through both, end to end.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::app::data_dir::{make_data_dir_private, private_dir};
use crate::app::house::{House, REPORTS_DIR, open};
use crate::app::keys::write_secret;
use crate::cli::args::LabArgs;
use crate::cli::exit::{CliError, Exit};
use crate::cli::hint::hint;
use crate::cli::run::follow_here;
use crate::cli::screen::{Screen, Style};
use crate::cli::serve::{listener, tell_address, told_to_stop};
use crate::domain::event::RunEnd;
use crate::domain::id::RunId;
use crate::lab::range::{Lab, LabError, LabOptions};
use crate::settings::Settings;
use crate::web::server::serve as serve_web;

/// Where the lab keeps everything when nothing is said.
pub const LAB_DATA: &str = "data/lab";

/// The seed of the lab's people and systems: everybody's lab is the same.
const SEED: u64 = 7;

/// The source by which the lab's sensor delivers.
const SOURCE: &str = "dlp";

/// How long to look for the run that the alert started.
const RUN_APPEARS: Duration = Duration::from_secs(10);

impl From<LabError> for CliError {
    fn from(error: LabError) -> Self {
        let exit = if matches!(error, LabError::Pace(_)) { Exit::Wrong } else { Exit::Own };
        CliError::new(exit, "lab", error)
    }
}

/// Plays the lab's story.
///
/// # Errors
/// When the lab or the server cannot be started.
pub async fn lab(args: &LabArgs, data: Option<&Path>, screen: &Screen) -> Result<Exit, CliError> {
    let data = data.map_or_else(|| PathBuf::from(LAB_DATA), Path::to_path_buf);
    make_data_dir_private(&data).map_err(|error| {
        CliError::new(Exit::Own, "data", format!("{} cannot be used: {error}", data.display()))
    })?;
    let options =
        LabOptions { data: data.join("world"), seed: SEED, now: chrono::Utc::now(), pace: args.pace };
    let lab = Lab::start(options).await?;
    introduce(&lab, screen);
    if args.world {
        told_to_stop().await;
        lab.stop().await;
        return Ok(Exit::Done);
    }
    let settings = write_settings(&data, &lab)?;
    let listener = listener(&settings).await?;
    let address = listener.local_addr().map_err(|error| CliError::new(Exit::Own, "listen", error))?;
    let house = open(&settings, address).await?;
    tell_address(&data, &format!("http://{address}"))?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(serve_web(listener, house.web.clone(), async {
        let _ = stopped.await;
    }));
    let end = play(&lab, &house, address, screen).await?;
    final_reports(&house, &data).await?;
    epilogue(&lab, &data, address, !args.exit, screen);
    if !args.exit {
        screen.line(&screen.paint(Style::Dim, "The lab stays up; stop it with Ctrl-C."));
        told_to_stop().await;
    }
    house.stop();
    let _ = stop.send(());
    let _ = tokio::time::timeout(Duration::from_secs(2), server).await;
    lab.stop().await;
    if args.exit {
        // Nobody answers there any more. A lab that was left waiting keeps its
        // address, so that links in its mails lead somewhere when it comes back.
        let _ = std::fs::remove_file(data.join(crate::cli::client::ADDRESS_FILE));
    }
    Ok(if end == Some(RunEnd::Succeeded) { Exit::Done } else { Exit::Failed })
}

fn introduce(lab: &Lab, screen: &Screen) {
    if screen.json() {
        return;
    }
    screen.line(&screen.paint(Style::Bold, "Quell lab: real servers on this machine, invented people"));
    for (what, at) in [
        ("identity provider (SCIM 2.0)", &lab.identity_url),
        ("people directory", &lab.people_url),
        ("asset inventory", &lab.assets_url),
        ("mail", &lab.mail_url),
    ] {
        screen.line(&format!("  {what:<30} {at}"));
    }
    screen.line("");
}

/// Delivers the alert, or takes up the run that was under way when the lab stopped.
async fn play(
    lab: &Lab,
    house: &House,
    address: SocketAddr,
    screen: &Screen,
) -> Result<Option<RunEnd>, CliError> {
    let service = &house.service;
    let unfinished: Option<RunId> = service.views.read().runs.live().map(|row| row.id).next();
    let ended = service.views.read().runs.list(&Default::default(), None, 1).items.into_iter().next();
    let run = match (unfinished, ended) {
        (None, Some(row)) => {
            if !screen.json() {
                let when = row.ended_at.map(|at| format!(" at {}", at.to_minute())).unwrap_or_default();
                let told = format!(
                    "The story of this lab ended{when}; it is shown again as it was. To play it anew: --data with another directory."
                );
                screen.line(&screen.paint(Style::Yellow, &told));
            }
            row.id
        }
        (Some(run), _) => {
            if !screen.json() {
                screen.line(
                    &screen.paint(Style::Yellow, "A run was under way when the lab stopped; it goes on:"),
                );
            }
            run
        }
        (None, None) => {
            lab.send_alert(&format!("http://{address}"), SOURCE).await?;
            latest_run(house).await?
        }
    };
    follow_here(service, run, screen).await
}

async fn latest_run(house: &House) -> Result<RunId, CliError> {
    let until = tokio::time::Instant::now() + RUN_APPEARS;
    loop {
        let page = house.service.views.read().runs.list(&Default::default(), None, 1);
        if let Some(row) = page.items.first() {
            return Ok(row.id);
        }
        if tokio::time::Instant::now() > until {
            return Err(CliError::new(
                Exit::Failed,
                "no-run",
                format!("the alert came in and no playbook wanted it; see `{}`", hint("alerts")),
            ));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The briefs that a playbook sends are written while its run goes on; these
/// say how it ended.
async fn final_reports(house: &House, data: &Path) -> Result<(), CliError> {
    let failed = |error: &dyn std::fmt::Display| CliError::new(Exit::Own, "report", error.to_string());
    let latest = house.service.views.read().runs.list(&Default::default(), None, 1).items.into_iter().next();
    let Some(row) = latest else { return Ok(()) };
    let folder = data.join(REPORTS_DIR);
    private_dir(&folder).map_err(|error| failed(&error))?;
    for (template, audience) in [("executive", "managers"), ("technical", "responders")] {
        for (format, ending) in [("html", "html"), ("markdown", "md")] {
            let text = house
                .service
                .report(&row.id.to_string(), template, audience, format)
                .await
                .map_err(|error| failed(&error))?;
            let path = folder.join(format!("{}-{template}-final.{ending}", row.incident));
            std::fs::write(path, text).map_err(|error| failed(&error))?;
        }
    }
    Ok(())
}

fn epilogue(lab: &Lab, data: &Path, address: SocketAddr, stays: bool, screen: &Screen) {
    let reports =
        std::fs::read_dir(data.join(REPORTS_DIR)).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut reports: Vec<PathBuf> = reports
        .filter(|path| path.extension().is_some_and(|ending| ending == "html" || ending == "md"))
        .collect();
    reports.sort();
    let writes: Vec<Value> = lab
        .writes()
        .iter()
        .map(|write| json!({ "method": write.method, "path": write.path, "status": write.status }))
        .collect();
    if screen.json() {
        screen.document(
            &json!({ "reports": reports, "identity_writes": writes, "server": format!("http://{address}") }),
        );
        return;
    }
    screen.line("");
    screen.line(&screen.paint(Style::Bold, "The summaries:"));
    for report in &reports {
        screen.line(&format!("  {}", report.display()));
    }
    let mails = if stays { format!(" The mails: {}/mail", lab.mail_url) } else { String::new() };
    screen.line("What the identity provider was asked to change:");
    for write in lab.writes() {
        screen.line(&format!("  {} {} ({})", write.method, write.path, write.status));
    }
    if !mails.is_empty() {
        screen.line(mails.trim_start());
    }
    if stays {
        screen.line(&format!("The server: http://{address}  (try: {})", hint("containments")));
    }
}

/// Settings that wire a server to the lab. Secrets lie in files beside it.
fn write_settings(data: &Path, lab: &Lab) -> Result<Settings, CliError> {
    let failed = |error: std::io::Error| {
        CliError::new(Exit::Own, "data", format!("{} cannot be written: {error}", data.display()))
    };
    let secrets = data.join("secrets");
    private_dir(&secrets).map_err(failed)?;
    let tokens = &lab.tokens;
    for (name, secret) in [
        ("identity", &tokens.identity),
        ("people", &tokens.people),
        ("assets", &tokens.assets),
        ("webhook", &tokens.webhook_secret),
    ] {
        write_secret(&secrets.join(name), secret).map_err(failed)?;
    }
    let file = |name: &str| format!("${{file:{}}}", secrets.join(name).display());
    let groups = json!({
        "ir-leads": ["ana.duarte@example.com", "sam.okafor@example.com"],
        "hr": ["lee.park@example.com"], "legal": ["noor.haddad@example.com"],
        "managers": ["jo.lindqvist@example.com"],
    });
    // Those of no group have nothing to decide, and so no token: nobody reads their own case.
    let decides = |who: &str| {
        groups.as_object().into_iter().flat_map(|groups| groups.values()).any(|members| {
            members.as_array().is_some_and(|members| members.iter().any(|member| member == who))
        })
    };
    let access: Vec<Value> = tokens
        .people_tokens
        .iter()
        .filter(|(who, _)| decides(who))
        .map(|(who, token)| {
            json!({ "who": who, "sha256": hex::encode(Sha256::digest(token.as_bytes())), "roles": ["approver"] })
        })
        .collect();
    let connector = |kind: &str, url: &str, token: &str| json!({ "use": kind, "url": url, "auth": { "token": file(token) } });
    let settings = json!({
        "listen": listen_address(data).to_string(),
        "data": ".",
        "mail": { "connector": "smtp", "from": "quell@example.com" },
        "people": { "groups": groups },
        "connectors": {
            "people": connector("people", &lab.people_url, "people"),
            "assets": connector("assets", &lab.assets_url, "assets"),
            "scim": connector("scim", &format!("{}/scim/v2", lab.identity_url), "identity"),
            "sessions": connector("sessions", &lab.identity_url, "identity"),
            "smtp": { "use": "smtp", "url": format!("smtp://{}", lab.smtp_addr) },
        },
        "sources": { SOURCE: { "use": "proofpoint-itm", "auth": { "standard_webhooks": file("webhook") } } },
        "guardrails": { "protected": { "users": ["jo.lindqvist@example.com"] } },
        "access": { "tokens": access },
    });
    let unwritten = |error: serde_yaml::Error| failed(std::io::Error::other(error));
    let text = serde_yaml::to_string(&settings).map_err(unwritten)?;
    let text = format!("# Written by `quell lab`: a server wired to the practice range.\n{text}");
    let path = data.join("quell.yaml");
    write_secret(&path, &text).map_err(failed)?;
    Settings::read(&path.display().to_string(), text.as_bytes(), data).map_err(CliError::mistakes)
}

/// The address of the last time, so that links in mails still lead here after a
/// restart; else one that is free.
fn listen_address(data: &Path) -> SocketAddr {
    let before = std::fs::read_to_string(data.join(crate::cli::client::ADDRESS_FILE)).ok();
    let before = before.and_then(|text| text.trim().strip_prefix("http://")?.parse::<SocketAddr>().ok());
    let usable = before.filter(|address| std::net::TcpListener::bind(address).is_ok());
    usable.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)))
}
