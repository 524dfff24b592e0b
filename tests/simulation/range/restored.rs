//! A run whose journal is read from a backup: the world has gone on since, and the
//! entries of that are gone.

use quell::domain::command::Command;
use quell::domain::event::{Event, SetAside};
use quell::domain::owed::commands;
use quell::domain::playbook::{Body, Effect};
use quell::domain::run::StepKey;

use crate::range::{Range, TURNS_MAX};

impl Range {
    /// Plays a run to its end, reads its journal from a backup that ends somewhere
    /// before that, and plays on until nothing is left to happen.
    pub fn play_and_restore(&mut self) -> Result<(), String> {
        self.play()?;
        let end = self.journal.iter().position(|entry| matches!(entry.event, Event::RunEnded { .. }));
        let before = |at: &&usize| end.is_none_or(|end| **at <= end);
        let records: Vec<usize> = self.records.iter().filter(before).copied().collect();
        // One that was over in its first record was in flight in no backup.
        let Some(last) = (records.len() as u64).checked_sub(1) else { return Ok(()) };
        let cut = self.chance.below(last + 1);
        let cut = usize::try_from(cut).ok().and_then(|at| records.get(at)).ok_or("no such record")?;
        self.restore(*cut)?;
        let asked = self.peer.asked;
        for command in commands(&self.state) {
            if let Command::Perform(perform) = command {
                for signal in perform.lost_at_work() {
                    self.record(signal)?;
                }
            }
        }
        self.dispatch();
        if let Some((_, perform)) =
            self.flying.iter().find(|(_, it)| !it.phase.undoes() && !it.phase.watches())
        {
            return Err(format!("{} {} is carried out while the run is held", perform.key, perform.phase));
        }
        for _ in 0..TURNS_MAX {
            if !self.turn()? {
                self.asked_first += self.peer.asked - asked;
                return self.once_after_all();
            }
        }
        Err("it never comes to rest".to_owned())
    }

    /// What the entries up to there add up to, and that the run is held.
    fn restore(&mut self, cut: usize) -> Result<(), String> {
        self.journal.truncate(cut);
        self.faults = false;
        self.restored = true;
        // Whose a change is that was made after the backup, no entry can tell.
        self.peer.theirs.clear();
        self.state = self.replay()?;
        self.queued = self.state.queued.is_some();
        let mut held = self.journal[cut - 1].clone();
        held.seq += 1;
        held.at = self.now;
        held.event = Event::RunQuarantined(SetAside { why: "read from a backup".to_owned(), restored: true });
        self.journal.push(held);
        self.state = self.replay()?;
        Ok(())
    }

    /// What can be asked for by its mark was done once, however much of it is on record.
    fn once_after_all(&self) -> Result<(), String> {
        for (name, count) in self.peer.once.iter().filter(|(_, count)| **count > 1) {
            let key: StepKey = name.split('/').nth(1).ok_or("a key names its step")?.parse()?;
            let Some((_, step)) = self.plan.playbook.step(&key.id) else { continue };
            let can_ask = matches!(&step.body, Body::Perform(action)
                if action.effect == Effect::Once && action.reconcile.is_some());
            if can_ask {
                return Err(format!("{name} can be asked for, and happened {count} times"));
            }
        }
        if let Some((key, keys)) = self.peer.keyed.iter().find(|(_, keys)| keys.len() > 1) {
            return Err(format!("a keyed effect happened {} times: {key}", keys.len()));
        }
        if self.state.ended.is_none() {
            return Err("nothing is left to happen, and the run has not ended".to_owned());
        }
        Ok(())
    }
}
