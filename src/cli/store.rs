//! `quell store`: check, back up, export, compact and import what the server keeps.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::app::house::OpenError;
use crate::app::shell::shell_word;
use crate::app::vault::{self, Exported, Imported, Wholeness};
use crate::cli::args::StoreCommand;
use crate::cli::client::Client;
use crate::cli::exit::{CliError, Exit};
use crate::cli::hint::hint;
use crate::cli::screen::Screen;
use crate::settings::Settings;

/// What standard input and output are called.
const STANDARD: &str = "-";

/// A backup holds names, alerts and answers of systems: its owner reads it alone.
const PRIVATE_MODE: u32 = 0o600;

/// Carries out `quell store …`.
///
/// # Errors
/// When the store is damaged, open in a server, or a file cannot be used.
pub async fn store(command: &StoreCommand, settings: &Settings, screen: &Screen) -> Result<Exit, CliError> {
    match command {
        StoreCommand::Verify { file } => verify(file.as_deref(), settings, screen).await,
        StoreCommand::Backup { dest } => backup(dest, settings, screen).await,
        StoreCommand::Export { file, work } => export(file, work.as_deref(), settings, screen).await,
        StoreCommand::Compact => compact(settings, screen),
        StoreCommand::Import { file } => import(file, settings, screen).await,
    }
}

/// Damage is the answer to a question about damage: exit 1.
fn found_wrong(error: impl Into<OpenError>) -> CliError {
    let error = CliError::from(error.into());
    let asked = ["store-damaged", "export-unfit"].contains(&error.code.as_str());
    if asked { CliError { exit: Exit::Failed, ..error } } else { error }
}

async fn verify(file: Option<&Path>, settings: &Settings, screen: &Screen) -> Result<Exit, CliError> {
    let verified = match file {
        None => vault::verify(settings).await,
        Some(file) => {
            let mut input = reader(file)?;
            vault::verify_file(&std::env::temp_dir(), &mut *input)
        }
    };
    let verified = verified.map_err(found_wrong)?;
    let what =
        file.map_or_else(|| settings.store_dir().display().to_string(), |file| file.display().to_string());
    if screen.json() {
        screen.document(&json!({
            "records": verified.records, "erased": verified.erased, "uncompacted": verified.uncompacted, "entries": verified.entries, "streams": verified.streams,
            "contents": verified.contents, "content_bytes": verified.content_bytes, "keys": verified.keys,
            "head": verified.head.hash,
        }));
    } else {
        screen.line(&format!(
            "{what} holds: {} records with {} entries of {} streams, {} contents ({} bytes), {} keys; nothing is missing or changed",
            verified.records, verified.entries, verified.streams, verified.contents, verified.content_bytes, verified.keys
        ));
        match verified.erased {
            0 => {}
            1 => {
                screen.line("1 record erased by retention; the journal says so, and the chain holds over it")
            }
            erased => screen.line(&format!(
                "{erased} records erased by retention; the journal says so, and the chain holds over them"
            )),
        }
        if verified.uncompacted {
            screen.line(&format!(
                "bytes of what was erased may still be in free space of the file; `{}` writes it anew",
                hint("store compact")
            ));
        }
        screen.line(&format!("the head is record {}, {}", verified.head.position, verified.head.hash));
    }
    Ok(Exit::Done)
}

fn compact(settings: &Settings, screen: &Screen) -> Result<Exit, CliError> {
    let (before, after) = vault::compact(settings).map_err(found_wrong)?;
    if screen.json() {
        screen.document(&json!({ "before": before, "after": after }));
    } else {
        let dir = settings.store_dir();
        screen.line(&format!(
            "the file of {} was written anew: {before} bytes before, {after} now; what was erased is not in it",
            dir.display()
        ));
    }
    Ok(Exit::Done)
}

async fn import(file: &Path, settings: &Settings, screen: &Screen) -> Result<Exit, CliError> {
    let mut input = reader(file)?;
    let Imported { backup, held } = vault::import(settings, &mut *input).await.map_err(found_wrong)?;
    let dir = settings.store_dir();
    if screen.json() {
        screen.document(&json!({ "records": backup.records, "head": backup.head.hash, "held": held }));
        return Ok(Exit::Done);
    }
    screen.line(&format!(
        "{} records are in {}, up to the head of the backup, {}",
        backup.records,
        dir.display(),
        backup.head.hash
    ));
    let were = match held {
        0 => {
            screen.line("no run was in flight there");
            return Ok(Exit::Done);
        }
        1 => "1 run was".to_owned(),
        held => format!("{held} runs were"),
    };
    screen.line(&format!(
        "{were} in flight there, and may have gone on after the backup: nothing more of it is done until a person says so"
    ));
    screen.line(&format!(
        "start `{}`; `{}` tells what each may have done, `{}` or `{}` lets them go on",
        hint("serve"),
        hint("attention"),
        hint("release RUN"),
        hint("release --all")
    ));
    Ok(Exit::Done)
}

async fn backup(dest: &Path, settings: &Settings, screen: &Screen) -> Result<Exit, CliError> {
    let mut file = Fresh::create(dest)?;
    let client = Client::new(settings)?;
    let mut seen = Wholeness::default();
    let mut is_served = client.is_up().await;
    if !is_served {
        let mut both = Watched { out: &mut file.out, seen: &mut seen };
        match vault::export(settings, vault::COMPACT, &work_dir(dest), &mut both).await {
            Ok(exported) => refuse_partial(&exported)?,
            // A server has it open and was too busy to say so.
            Err(error) if vault::is_locked(&error) => is_served = true,
            Err(error) => return Err(found_wrong(error)),
        }
    }
    if is_served {
        let mut write = |bytes: &[u8]| {
            seen.see(bytes);
            file.out.write_all(bytes)
        };
        client.download("/store/backup", &mut write).await?;
    }
    let counts = seen.whole().ok_or_else(|| {
        CliError::new(
            Exit::Own,
            "backup-cut",
            format!("the backup broke off; {} was not written, take it again", dest.display()),
        )
    })?;
    file.keep()?;
    if screen.json() {
        screen.document(&json!({
            "file": dest.display().to_string(), "records": counts.records, "contents": counts.contents,
            "keys": counts.keys,
        }));
    } else {
        screen.line(&format!(
            "{} records and {} contents are in {}; check it with `{}`",
            counts.records,
            counts.contents,
            dest.display(),
            hint(&format!("store verify {}", shell_word(&dest.display().to_string())))
        ));
    }
    Ok(Exit::Done)
}

/// A backup is all or nothing; who wants a part asks for an export.
fn refuse_partial(exported: &Exported) -> Result<(), CliError> {
    match &exported.missing {
        None => Ok(()),
        Some(why) => {
            Err(CliError::new(Exit::Failed, "store-damaged", format!("no backup was written: {why}")))
        }
    }
}

async fn export(
    file: &Path,
    work: Option<&Path>,
    settings: &Settings,
    screen: &Screen,
) -> Result<Exit, CliError> {
    let work = work.map_or_else(|| work_dir(file), Path::to_owned);
    let exported = if file == Path::new(STANDARD) {
        let mut out = BufWriter::new(std::io::stdout());
        vault::export(settings, vault::READABLE, &work, &mut out).await.map_err(found_wrong)?
    } else {
        let mut fresh = Fresh::create(file)?;
        let exported =
            vault::export(settings, vault::READABLE, &work, &mut fresh.out).await.map_err(found_wrong)?;
        fresh.keep()?;
        exported
    };
    if let Some(why) = &exported.missing {
        return Err(CliError::new(
            Exit::Failed,
            "export-partial",
            format!("the export holds {} records and ends there: {why}", exported.head.position),
        ));
    }
    if file != Path::new(STANDARD) {
        let how = if exported.salvaged { ", read from a copy because the store does not open" } else { "" };
        screen.line(&format!(
            "{} records and {} contents are in {}{how}",
            exported.counts.records,
            exported.counts.contents,
            file.display()
        ));
    }
    Ok(Exit::Done)
}

/// Where a store may be copied to: beside the file that is written, which is on
/// a disk with space.
fn work_dir(file: &Path) -> PathBuf {
    match file.parent() {
        _ if file == Path::new(STANDARD) => std::env::temp_dir(),
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn reader(file: &Path) -> Result<Box<dyn BufRead>, CliError> {
    if file == Path::new(STANDARD) {
        return Ok(Box::new(BufReader::new(std::io::stdin())));
    }
    let opened = File::open(file).map_err(|error| {
        CliError::new(Exit::Wrong, "file", format!("{} cannot be read: {error}", file.display()))
    })?;
    Ok(Box::new(BufReader::new(opened)))
}

/// A file that is there whole or not at all, and never in place of another.
struct Fresh {
    path: PathBuf,
    new: PathBuf,
    out: BufWriter<File>,
    kept: bool,
}

impl Fresh {
    fn create(path: &Path) -> Result<Fresh, CliError> {
        if path.exists() {
            return Err(CliError::new(
                Exit::Refused,
                "file-exists",
                format!("{} is there already; name another file, or move it away", path.display()),
            ));
        }
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".part");
        let new = path.with_file_name(name);
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(PRIVATE_MODE).open(&new);
        let file = file.map_err(|error| {
            CliError::new(Exit::Wrong, "file", format!("{} cannot be written: {error}", new.display()))
        })?;
        Ok(Fresh { path: path.to_owned(), new, out: BufWriter::new(file), kept: false })
    }

    /// Makes it durable under its name.
    fn keep(&mut self) -> Result<(), CliError> {
        let done = self
            .out
            .flush()
            .and_then(|()| self.out.get_ref().sync_all())
            .and_then(|()| std::fs::rename(&self.new, &self.path));
        done.map_err(|error| {
            CliError::new(Exit::Own, "file", format!("{} cannot be written: {error}", self.path.display()))
        })?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if !self.kept {
            let _ = std::fs::remove_file(&self.new);
        }
    }
}

/// Writes on and watches what passes.
struct Watched<'a> {
    out: &'a mut BufWriter<File>,
    seen: &'a mut Wholeness,
}

impl Write for Watched<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.seen.see(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}
