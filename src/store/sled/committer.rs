//! The one thread that writes: it takes the batches that wait, makes them
//! durable together, and only then answers.
//!
//! Any error while writing or syncing is final: after a failed sync the system
//! may have dropped what it could not write, so trying again would acknowledge
//! what is not there. The journal stops, and opening it anew finds what holds.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::sync::mpsc;

use crate::domain::event::Event;
use crate::domain::id::StreamId;
use crate::domain::value::Digest;
use crate::failpoint::{pass_with, record};
use crate::store::admit;
use crate::store::codec;
use crate::store::error::StoreError;
use crate::store::journal::{Head, Receipt};
use crate::store::sled::disk::{guarded, sled_error};
use crate::store::sled::head::HeadFile;
use crate::store::sled::journal::Shared;
use crate::store::sled::keys;
use crate::store::sled::prepare::Job;
use crate::store::sled::sweep;

/// Batches made durable together at most: one sync for all who wait.
const GROUP_JOBS: usize = 256;
/// Bytes made durable together at most, well within one segment.
const GROUP_BYTES: usize = 2 << 20;
/// Streams whose last number is remembered; some 40 bytes each. Starts anew when
/// full; what is not remembered is looked up.
const REMEMBERED_STREAMS: usize = 16_384;

/// The state of the thread.
pub struct Committer {
    shared: Arc<Shared>,
    jobs: mpsc::Receiver<Job>,
    db_file: File,
    head_file: HeadFile,
    last: HashMap<StreamId, u64>,
}

/// What a group will write.
struct Group {
    batch: ::sled::Batch,
    writes: bool,
    head: Head,
    last: HashMap<StreamId, u64>,
    keys: HashMap<String, StreamId>,
    blobs: HashSet<Digest>,
}

type Answer = Result<Receipt, StoreError>;

impl Committer {
    pub fn new(shared: Arc<Shared>, jobs: mpsc::Receiver<Job>, db_file: File, head_file: HeadFile) -> Self {
        Self { shared, jobs, db_file, head_file, last: HashMap::new() }
    }

    /// Runs until the journal is dropped.
    pub fn run(mut self) {
        while let Some(first) = self.jobs.blocking_recv() {
            let group = self.gather(first);
            let about = || group.first().map_or_else(String::new, |job| record(&job.entries));
            pass_with("append.taken", about);
            let answers = match self.shared.failure() {
                Some(why) => Err(why),
                None => self.shared.space.check().and_then(|()| self.commit_in_time(&group)),
            };
            match answers {
                Ok(answers) => {
                    pass_with("append.shown", about);
                    self.answer(group, answers);
                }
                Err(error) => {
                    for job in group {
                        let _ = job.reply.send(Err(error.clone()));
                    }
                }
            }
            self.restore_ballast();
        }
    }

    /// Makes a group durable; whoever asks for the journal's health sees when that hangs.
    fn commit_in_time(&mut self, group: &[Job]) -> Result<Vec<Answer>, StoreError> {
        self.shared.set_committing(Some(Instant::now()));
        let answers = self.commit(group);
        self.shared.set_committing(None);
        answers
    }

    /// Answers each; what orders something to be erased once it is gone.
    fn answer(&mut self, group: Vec<Job>, answers: Vec<Answer>) {
        let mut orders = Vec::new();
        for (job, answer) in group.into_iter().zip(answers) {
            let erases = job.entries.iter().any(|entry| matches!(entry.event, Event::Erased(_)));
            match answer {
                Ok(receipt) if erases => orders.push((job, receipt)),
                // Whoever asked may have gone; the batch stays.
                answer => drop(job.reply.send(answer)),
            }
        }
        let Some((_, last)) = orders.last() else { return };
        self.shared.erased_at.store(last.position, Ordering::SeqCst);
        // The fact is durable, so this is done now if the disk takes it at all.
        let swept = guarded("erasing from the journal", || {
            sweep::finish(&self.shared.disk, &self.db_file, self.shared.head())
        });
        if let Err(error) = &swept
            && *error != StoreError::Full
        {
            self.shared.fail(error);
        }
        for (job, receipt) in orders {
            self.shared.known.forget(&job.entries);
            drop(job.reply.send(swept.clone().map(|()| receipt)));
        }
    }

    /// The batches that wait already, up to the limits.
    fn gather(&mut self, first: Job) -> Vec<Job> {
        let mut bytes = first.bytes();
        let mut group = vec![first];
        while group.len() < GROUP_JOBS && bytes < GROUP_BYTES {
            let Ok(job) = self.jobs.try_recv() else { break };
            bytes += job.bytes();
            group.push(job);
        }
        group
    }

    /// Makes the group durable; the error is final, and remembered.
    fn commit(&mut self, jobs: &[Job]) -> Result<Vec<Answer>, StoreError> {
        guarded("appending to the journal", || self.write(jobs)).map_err(|error| {
            let error = match error {
                // Space was checked before; now nobody knows what was written.
                StoreError::Full => StoreError::Io {
                    doing: "appending to the journal".to_owned(),
                    why: "no space is left on the disk".to_owned(),
                },
                other => other,
            };
            self.shared.fail(&error);
            error
        })
    }

    fn write(&mut self, jobs: &[Job]) -> Result<Vec<Answer>, StoreError> {
        let mut group = Group {
            batch: ::sled::Batch::default(),
            writes: false,
            head: self.shared.head(),
            last: HashMap::new(),
            keys: HashMap::new(),
            blobs: HashSet::new(),
        };
        let mut answers = Vec::with_capacity(jobs.len());
        for job in jobs {
            answers.push(match self.place(job, &mut group) {
                Err(
                    error @ (StoreError::Conflict { .. }
                    | StoreError::Taken { .. }
                    | StoreError::Malformed { .. }),
                ) => Err(error),
                Err(error) => return Err(error),
                Ok(receipt) => Ok(receipt),
            });
        }
        if group.writes {
            self.make_durable(group, &answers)?;
        }
        Ok(answers)
    }

    /// Puts a job into the group's batch, or refuses it.
    fn place(&self, job: &Job, group: &mut Group) -> Answer {
        let disk = &self.shared.disk;
        let durable = self.shared.head().position;
        let moved = admit::fit(
            &job.claims,
            &job.keys,
            |stream| match group.last.get(&stream).or_else(|| self.last.get(&stream)) {
                Some(&seq) => Ok(seq),
                None => disk.last_seq(stream),
            },
            |key| match group.keys.get(key) {
                Some(&stream) => Ok(Some(stream)),
                None => disk.key(key, durable),
            },
        )?;
        for (digest, bytes) in &job.blobs {
            let key = keys::blob(*digest);
            let kept = !group.blobs.insert(*digest)
                || disk.db.contains_key(key).map_err(|error| sled_error("reading a blob", &error))?;
            if !kept {
                group.batch.insert(key.as_slice(), bytes.as_slice());
                group.writes = true;
            }
        }
        if job.entries.is_empty() {
            return Ok(Receipt { position: group.head.position, entries: job.entries.clone() });
        }
        let (record, head) = codec::seal(group.head, &job.packed);
        group.batch.insert(&keys::record(head.position), record);
        let first = job.entries[0].stream;
        for (&stream, &seq) in &moved {
            // A stream that was only looked at has nothing in this record.
            if job.entries.iter().any(|entry| entry.stream == stream) {
                group.batch.insert(&keys::stream_at(stream, head.position), keys::short(seq));
            }
        }
        let keyed = job.claims.first().map_or(first, |(stream, ..)| *stream);
        for key in &job.keys {
            group.batch.insert(keys::unique(key), keys::unique_value(head.position, keyed));
            group.keys.insert(key.clone(), keyed);
        }
        for (run, rest) in &job.rests {
            match rest {
                Some(rest) => group.batch.insert(&keys::rest(*run), keys::rest_value(*rest)),
                None => group.batch.remove(&keys::rest(*run)),
            }
        }
        for (key, value) in sweep::marks(head.position, &job.entries) {
            group.batch.insert(key, value);
        }
        group.last.extend(moved);
        group.head = head;
        group.writes = true;
        Ok(Receipt { position: head.position, entries: job.entries.clone() })
    }

    /// sled, then the disk, then the mark outside sled; then it is shown.
    fn make_durable(&mut self, group: Group, answers: &[Answer]) -> Result<(), StoreError> {
        let about = || answers.iter().flatten().next().map_or_else(String::new, |one| record(&one.entries));
        let db = &self.shared.disk.db;
        db.apply_batch(group.batch).map_err(|error| sled_error("writing to sled", &error))?;
        pass_with("append.written", about);
        db.flush().map_err(|error| sled_error("flushing sled", &error))?;
        pass_with("append.flushed", about);
        self.db_file.sync_data().map_err(|error| StoreError::io("syncing sled's file", &error))?;
        pass_with("append.synced", about);
        if group.head != self.shared.head() {
            self.head_file.mark(group.head).map_err(|error| StoreError::io("marking the head", &error))?;
        }
        pass_with("append.marked", about);
        if self.last.len() + group.last.len() > REMEMBERED_STREAMS {
            self.last.clear();
        }
        self.last.extend(group.last);
        for digest in group.blobs {
            self.shared.known.insert(digest);
        }
        let records = answers.iter().flatten().filter(|receipt| !receipt.entries.is_empty());
        self.shared.publish(group.head, records.cloned());
        Ok(())
    }

    /// Lays the ballast down again once there is space. A failure is no matter
    /// of the batches: the space is checked before each group.
    fn restore_ballast(&self) {
        if self.shared.space.is_ballast_gone() {
            let _ = self.shared.space.lay_ballast();
        }
    }
}
