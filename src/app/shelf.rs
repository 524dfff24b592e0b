//! The shelf of the views: one file beside the journal. All of it is folded from
//! the journal, so a file that is damaged, of another version or of another
//! journal is thrown away, and the journal is folded again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use redb::{
    Database, DatabaseError, ReadableDatabase, StorageError, TableDefinition, TableError, WriteTransaction,
};

use crate::domain::value::Digest;
use crate::projection::shelf::{Bytes, Change, Shelf, Upto};
use crate::service::follow::is_of;
use crate::store::error::StoreError;
use crate::store::journal::Journal;

/// The file's name in the data directory.
pub const VIEWS_FILE: &str = "views.redb";

/// Pages of the file that are kept in memory. Rows in use are in memory anyway;
/// this is for the upper levels of the trees.
const CACHE_BYTES: usize = 8 << 20;

/// What the rows mean: a digest of the code that folds them, so that no build
/// reads rows that another understood differently.
const FOLD: &str = env!("QUELL_FOLD");

/// The table that says how far the rows go, and by which code.
const UPTO: &str = "upto";

type Bytewise<'a> = TableDefinition<'a, &'static [u8], &'static [u8]>;

/// Free space under which nothing is put on the shelf: half as much again as the
/// journal leaves free, so that views never take the last of a disk.
const FREE_BYTES_MIN: u64 = 48 << 20;

/// Rows in a file.
pub struct FileShelf {
    path: PathBuf,
    /// None while it is being opened again, and when that failed.
    database: RwLock<Option<Database>>,
    fault: Mutex<Option<String>>,
}

/// Opens the shelf, or begins a new one when what is there cannot be used; also
/// gives the number of the last record that it shows. None when the disk takes no
/// such file: then all rows are in memory.
///
/// # Errors
/// When the journal cannot be read.
pub async fn open(
    data: &Path,
    journal: &Arc<dyn Journal>,
) -> Result<Option<(Arc<dyn Shelf>, u64)>, StoreError> {
    let path = data.join(VIEWS_FILE);
    let why = match blocking(&path, FileShelf::open).await {
        Ok(Some((shelf, upto))) if is_of(&**journal, upto).await? => {
            return Ok(Some((Arc::new(shelf), upto.position)));
        }
        Ok(Some(_)) => Some("they are of another journal".to_owned()),
        Ok(None) => None,
        Err(why) => Some(why),
    };
    if let Some(why) = why {
        tracing::info!(why, "the views on disk are not used; the journal is folded again");
    }
    match blocking(&path, FileShelf::begin).await {
        Ok(shelf) => Ok(Some((Arc::new(shelf), 0))),
        Err(error) => {
            tracing::warn!(error, "views cannot be kept on disk; all of them are kept in memory");
            Ok(None)
        }
    }
}

/// Removes the views on disk; they are folded again.
///
/// # Errors
/// When the disk says no.
pub fn remove(path: &Path) -> Result<(), StoreError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StoreError::Io { doing: format!("removing {}", path.display()), why: error.to_string() })
        }
        _ => Ok(()),
    }
}

async fn blocking<T: Send + 'static>(path: &Path, work: fn(&Path) -> Result<T, String>) -> Result<T, String> {
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || work(&path)).await.unwrap_or_else(|error| Err(error.to_string()))
}

impl FileShelf {
    /// The shelf in this file and how far it goes; none when there is no file, or
    /// other code folded it.
    fn open(path: &Path) -> Result<Option<(Self, Upto)>, String> {
        if !path.exists() {
            return Ok(None);
        }
        let said = |error: &dyn std::error::Error| error.to_string();
        let shelf = Self::over(path, checked(path).map_err(|error| said(&error))?);
        let upto = shelf.try_get(UPTO, FOLD.as_bytes()).map_err(|error| said(&error))?;
        match upto.and_then(|upto| read_upto(&upto)) {
            Some(upto) => Ok(Some((shelf, upto))),
            None => {
                let others = shelf.try_newest(UPTO, &[], None, 1).map_err(|error| said(&error))?;
                let why = if others.is_empty() {
                    "nothing was put there yet"
                } else {
                    "another version folded them"
                };
                Err(why.to_owned())
            }
        }
    }

    /// An empty shelf in place of what was there.
    fn begin(path: &Path) -> Result<Self, String> {
        remove(path).map_err(|error| error.to_string())?;
        let made = Database::builder().set_cache_size(CACHE_BYTES).create(path);
        Ok(Self::over(path, made.map_err(|error| error.to_string())?))
    }

    fn over(path: &Path, database: Database) -> Self {
        Self { path: path.to_owned(), database: RwLock::new(Some(database)), fault: Mutex::default() }
    }

    /// After an error of the disk the library wants the file opened anew. Nothing of
    /// what failed to be written is in it.
    fn open_again(&self) {
        let mut database = self.database.write();
        // Its lock on the file goes first.
        *database = None;
        match checked(&self.path) {
            Ok(again) => *database = Some(again),
            Err(error) => self.blame(format!("the views on disk cannot be opened again: {error}")),
        }
    }

    fn try_get(&self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, redb::Error> {
        let database = self.database.read();
        let reading = database.as_ref().ok_or(redb::Error::DatabaseClosed)?.begin_read()?;
        let table = match reading.open_table(Bytewise::new(table)) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            opened => opened?,
        };
        Ok(table.get(key)?.map(|row| row.value().to_vec()))
    }

    fn try_newest(
        &self,
        table: &str,
        least: &[u8],
        below: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Bytes>, redb::Error> {
        let database = self.database.read();
        let reading = database.as_ref().ok_or(redb::Error::DatabaseClosed)?.begin_read()?;
        let table = match reading.open_table(Bytewise::new(table)) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            opened => opened?,
        };
        let range = match below {
            Some(below) => table.range(least..below)?,
            None => table.range(least..)?,
        };
        let rows = range
            .rev()
            .take(limit)
            .map(|row| row.map(|(key, row)| (key.value().to_vec(), row.value().to_vec())));
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn try_keep(&self, mut changes: Vec<Change>, upto: Upto) -> Result<(), redb::Error> {
        let database = self.database.read();
        let mut writing = database.as_ref().ok_or(redb::Error::DatabaseClosed)?.begin_write()?;
        // Else a process that was killed costs seconds at the next start.
        writing.set_quick_repair(true);
        changes.sort_by(|a, b| (a.table, &a.key).cmp(&(b.table, &b.key)));
        for of_table in changes.chunk_by(|a, b| a.table == b.table) {
            write(&writing, of_table)?;
        }
        writing.open_table(Bytewise::new(UPTO))?.insert(FOLD.as_bytes(), &*write_upto(upto))?;
        writing.commit()?;
        Ok(())
    }

    fn trusted<T: Default>(&self, read: Result<T, redb::Error>) -> T {
        read.unwrap_or_else(|error| {
            self.blame(format!("the views on disk cannot be read: {error}"));
            T::default()
        })
    }

    /// From now on nothing is put on the shelf, and no later process reads it.
    fn blame(&self, why: String) {
        tracing::error!(why, "the views cannot be trusted; the next start folds the journal again");
        self.fault.lock().get_or_insert(why);
        if let Err(error) = remove(&self.path) {
            tracing::error!(%error, "the views on disk could not be removed; remove them before the next start");
        }
    }
}

/// The file as a database, whole by its checksums: damage is found here, once, and
/// not while rows are read.
fn checked(path: &Path) -> Result<Database, DatabaseError> {
    let mut database = Database::builder().set_cache_size(CACHE_BYTES).open(path)?;
    if !database.check_integrity()? {
        return Err(StorageError::Corrupted("a checksum does not fit".to_owned()).into());
    }
    Ok(database)
}

fn write(writing: &WriteTransaction, changes: &[Change]) -> Result<(), redb::Error> {
    let Some(first) = changes.first() else { return Ok(()) };
    let mut table = writing.open_table(Bytewise::new(first.table))?;
    for change in changes {
        match &change.row {
            Some(row) => drop(table.insert(&*change.key, &**row)?),
            None => drop(table.remove(&*change.key)?),
        }
    }
    Ok(())
}

fn write_upto(upto: Upto) -> Vec<u8> {
    [&upto.position.to_be_bytes()[..], &upto.hash.0[..]].concat()
}

fn read_upto(said: &[u8]) -> Option<Upto> {
    let (position, hash) = said.split_first_chunk()?;
    Some(Upto { position: u64::from_be_bytes(*position), hash: Digest(hash.try_into().ok()?) })
}

impl Shelf for FileShelf {
    fn get(&self, table: &'static str, key: &[u8]) -> Option<Vec<u8>> {
        self.trusted(self.try_get(table, key))
    }

    fn newest(&self, table: &'static str, least: &[u8], below: Option<&[u8]>, limit: usize) -> Vec<Bytes> {
        self.trusted(self.try_newest(table, least, below, limit))
    }

    fn keep(&self, changes: Vec<Change>, upto: Upto) -> Result<(), String> {
        if let Some(fault) = self.fault() {
            return Err(fault);
        }
        let space = rustix::fs::statvfs(&self.path).map_err(|error| error.to_string())?;
        if space.f_bavail.saturating_mul(space.f_frsize) < FREE_BYTES_MIN {
            return Err("the disk is nearly full".to_owned());
        }
        self.try_keep(changes, upto).map_err(|error| {
            self.open_again();
            error.to_string()
        })
    }

    fn doubt(&self, table: &'static str) {
        self.blame(format!("a row of `{table}` on disk is not what this version writes"));
    }

    fn fault(&self) -> Option<String> {
        self.fault.lock().clone()
    }
}

#[cfg(test)]
mod tests;
