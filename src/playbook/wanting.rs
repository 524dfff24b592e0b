//! Which playbooks want an alert: the triggers of a library in one index.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::expr::EvalError;
use crate::domain::expr::scope::Scope;
use crate::domain::playbook::{AlertTrigger, Trigger};
use crate::domain::trigger::TriggerIndex;
use crate::domain::trigger::miss::Miss;
use crate::domain::value::Value;
use crate::playbook::library::Prepared;

/// The triggers of all playbooks that start on alerts.
#[derive(Debug, Default)]
pub struct Wanting {
    index: TriggerIndex,
    /// The playbook and the trigger at each place of the index.
    places: Vec<(Arc<Prepared>, AlertTrigger)>,
}

impl Wanting {
    /// Those of these playbooks.
    pub fn of(playbooks: &BTreeMap<String, Arc<Prepared>>) -> Self {
        let triggers = |prepared: &Arc<Prepared>| {
            let alerts = prepared.plan.playbook.triggers.iter().filter_map(|trigger| match trigger {
                Trigger::Alert(trigger) => Some((Arc::clone(prepared), trigger.clone())),
                Trigger::Schedule(_) => None,
            });
            alerts.collect::<Vec<_>>()
        };
        let places: Vec<(Arc<Prepared>, AlertTrigger)> = playbooks.values().flat_map(triggers).collect();
        let named =
            places.iter().map(|(prepared, trigger)| (prepared.plan.playbook.name.as_str(), &trigger.when));
        Self { index: TriggerIndex::new(named), places }
    }

    /// The triggers that want an alert, and those that cannot be decided.
    pub fn decide(
        &self,
        alert: &Value,
        scope: &Scope<'_>,
    ) -> impl Iterator<Item = (&Arc<Prepared>, &AlertTrigger, Result<(), EvalError>)> {
        let decided = self.index.decide(alert, scope).into_iter();
        decided.map(|(place, outcome)| {
            let (prepared, trigger) = &self.places[place];
            (prepared, trigger, outcome)
        })
    }

    /// The trigger that came closest to wanting an alert that none wants.
    pub fn closest_miss(&self, alert: &Value, scope: &Scope<'_>) -> Option<Miss> {
        self.index.closest_miss(alert, scope)
    }
}
