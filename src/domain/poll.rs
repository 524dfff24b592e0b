//! Asking a system that only offers a list: from where, and when again.
//!
//! ```text
//!   cursor ─with→ operation (R) ─output→ alerts ─taken, durable→ cursor advanced
//!                                                     │
//!        a stop here: the page is read again, and its alerts are known
//! ```
//! What is asked next is a fact of the journal. When it is asked is worked out
//! here, without a clock: time and chance are arguments.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::expr::scope::Scope;
use crate::domain::expr::template::Template;
use crate::domain::expr::{EvalError, Expr};
use crate::domain::id::PollId;
use crate::domain::time::Timestamp;
use crate::domain::value::{Value, canonical};

/// Pages that are read in a row before the next pause: a backlog is worked off
/// quickly, and a peer whose pages never end is asked no more often than this.
pub const PAGES_IN_A_ROW_MAX: u32 = 100;

/// The first wait after a failure, where the usual one is not shorter; each further
/// one doubles it.
const BACK_OFF_FIRST: Duration = Duration::from_secs(5);

/// The longest wait after failures: an outage of a night is over 15 minutes after
/// its end.
const BACK_OFF_MAX: Duration = Duration::from_secs(15 * 60);

/// Failures in a row after which people are told: with the waits between them, two
/// and a half minutes. A restart of the peer is shorter.
pub const FAILURES_TOLD: u32 = 5;

/// The share of a wait that chance takes off at the most, so that sources that
/// failed together do not come back together.
const JITTER: f64 = 0.2;

/// How a source is asked for its alerts.
#[derive(Debug, Clone)]
pub struct PollSpec {
    /// The configured connector.
    pub connector: String,
    /// Its operation, which only reads.
    pub operation: String,
    /// What the operation is given, over `cursor`.
    pub input: Template,
    /// The cursor before anything was read; null when none is given.
    pub first: Value,
    /// The cursor of the next page, over `output` and `cursor`; none where every
    /// answer is the whole list.
    pub cursor: Option<Expr>,
    /// The alerts in what the operation gives; none = all that it gives.
    pub alerts: Option<Expr>,
    /// Whether a further page waits; none = when this one held something and told
    /// where the next begins.
    pub more: Option<Expr>,
    /// How long between two looks.
    pub every: Duration,
    /// How long one answer may take.
    pub timeout: Duration,
}

/// That a page was taken, all of it durable before this is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Advanced {
    /// The configured source.
    pub source: String,
    /// Where the next page begins.
    pub cursor: Value,
    /// Alerts of the page that were new.
    pub taken: u32,
    /// Alerts of the page that had come before.
    pub known: u32,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct PolledPage {
    /// Its alerts, as the source's rules read them.
    pub alerts: Value,
    /// Where the next page begins.
    pub cursor: Value,
    /// Whether a further page waits, or may wait.
    pub more: bool,
    /// Whether what waits cannot be asked for: the next page begins where this one began.
    pub stands_still: bool,
}

impl PollSpec {
    /// The id of this poll of this source. It names what is asked and where that
    /// begins: another operation or another `first` begins anew, another pace does not.
    pub fn id(&self, source: &str) -> PollId {
        let label = canonical(&Value::from(vec![
            Value::from(source),
            Value::from(self.connector.as_str()),
            Value::from(self.operation.as_str()),
            self.first.clone(),
        ]));
        PollId::derived(ulid::Ulid::nil(), &label)
    }

    /// What an answer holds. A next cursor that is null or empty is none: it stays, and
    /// where `more` says nothing no page waits. A page that held something and leads
    /// back to its own beginning may be full: whether more waits is not known then.
    ///
    /// # Errors
    /// When an expression fails on it.
    pub fn page(&self, cursor: &Value, output: &Value) -> Result<PolledPage, EvalError> {
        let scope = Scope::new().with("cursor", cursor).with("output", output);
        let alerts = self.alerts.as_ref().map_or_else(|| Ok(output.clone()), |alerts| alerts.eval(&scope))?;
        let next = self.cursor.as_ref().map(|next| next.eval(&scope)).transpose()?;
        let next = next.filter(|next| !next.is_null() && next.as_str() != Some(""));
        let held_something = match &alerts {
            Value::Null => false,
            Value::Array(items) => !items.is_empty(),
            _ => true,
        };
        let more = match &self.more {
            Some(more) => more.eval_bool(&scope)?,
            None => held_something && next.is_some(),
        };
        let next = next.unwrap_or_else(|| cursor.clone());
        Ok(PolledPage { stands_still: more && next == *cursor, more, alerts, cursor: next })
    }
}

/// What came of one look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looked {
    /// A page was read, and all of it is durable.
    Page {
        /// Whether the next one waits.
        more: bool,
    },
    /// It was not read, or not taken.
    Failed {
        /// How long the peer asks us to wait.
        retry_after: Option<Duration>,
    },
}

/// How a poll stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// Looks that failed, in a row.
    pub failures: u32,
    /// Pages that were read in a row, without a pause between them.
    pub pages: u32,
}

/// How it stands after a look, and when the next one comes. `chance` is between 0 and 1.
pub fn next_poll(
    standing: Standing,
    looked: Looked,
    every: Duration,
    now: Timestamp,
    chance: f64,
) -> (Standing, Timestamp) {
    let shortened = |wait: Duration| wait.mul_f64(1.0 - JITTER * chance.clamp(0.0, 1.0));
    match looked {
        Looked::Page { more: true } if standing.pages + 1 < PAGES_IN_A_ROW_MAX => {
            (Standing { failures: 0, pages: standing.pages + 1 }, now)
        }
        Looked::Page { .. } => (Standing::default(), now.after(shortened(every))),
        Looked::Failed { retry_after } => {
            let failures = standing.failures.saturating_add(1);
            let doubled = BACK_OFF_FIRST.min(every).saturating_mul(2u32.saturating_pow(failures - 1));
            let wait = shortened(doubled.min(BACK_OFF_MAX));
            // Who says when to come back is not asked before.
            let wait = wait.max(retry_after.unwrap_or_default());
            (Standing { failures, pages: 0 }, now.after(wait))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: Timestamp = Timestamp::from_millis(1_795_427_682_123);
    const EVERY: Duration = Duration::from_secs(60);

    fn spec(cursor: Option<&str>, alerts: Option<&str>, more: Option<&str>) -> PollSpec {
        let expr = |text: Option<&str>| text.map(|text| Expr::parse(text).expect("it reads"));
        PollSpec {
            connector: "okta".to_owned(),
            operation: "list".to_owned(),
            input: Template::parse(&json!({})).expect("it reads"),
            first: json!("a"),
            cursor: expr(cursor),
            alerts: expr(alerts),
            more: expr(more),
            every: EVERY,
            timeout: EVERY,
        }
    }

    fn wait(standing: Standing, looked: Looked, chance: f64) -> (u32, Duration) {
        let (after, at) = next_poll(standing, looked, EVERY, NOW, chance);
        (after.failures, at.since(NOW))
    }

    #[test]
    fn pages_come_in_a_row_and_then_there_is_a_pause() {
        let mut standing = Standing::default();
        let mut at_once = 0;
        loop {
            let (next, at) = next_poll(standing, Looked::Page { more: true }, EVERY, NOW, 0.0);
            standing = next;
            if at > NOW {
                assert_eq!((at.since(NOW), standing), (EVERY, Standing::default()));
                break;
            }
            at_once += 1;
        }
        assert_eq!(at_once, PAGES_IN_A_ROW_MAX - 1);
        assert_eq!(wait(Standing::default(), Looked::Page { more: false }, 0.0), (0, EVERY));
        assert_eq!(wait(Standing::default(), Looked::Page { more: false }, 1.0), (0, EVERY.mul_f64(0.8)));
    }

    #[test]
    fn failures_double_the_wait_up_to_a_cap_and_a_page_ends_them() {
        let mut standing = Standing { failures: 0, pages: 7 };
        let mut waits = Vec::new();
        for _ in 0..40 {
            let (next, at) = next_poll(standing, Looked::Failed { retry_after: None }, EVERY, NOW, 0.0);
            standing = next;
            waits.push(at.since(NOW).as_secs());
        }
        assert_eq!(waits[..9], [5, 10, 20, 40, 80, 160, 320, 640, 900]);
        assert_eq!((waits[39], standing), (900, Standing { failures: 40, pages: 0 }));
        assert_eq!(wait(standing, Looked::Page { more: true }, 0.5), (0, Duration::ZERO));
        let told = Looked::Failed { retry_after: Some(Duration::from_secs(3000)) };
        assert_eq!(wait(Standing::default(), told, 1.0), (1, Duration::from_secs(3000)));
    }

    #[test]
    fn a_page_says_where_the_next_begins_and_whether_more_waits_that_cannot_be_asked_for() {
        let list = spec(Some("output.next"), Some("output.items"), None);
        let page = |spec: &PollSpec, output: Value| spec.page(&json!("a"), &output).expect("it holds");
        for (output, cursor, more, stands_still) in [
            (json!({"items": [1], "next": "b"}), json!("b"), true, false),
            (json!({"items": [1], "next": "a"}), json!("a"), true, true),
            (json!({"items": [1], "next": null}), json!("a"), false, false),
            (json!({"items": [1], "next": ""}), json!("a"), false, false),
            (json!({"items": [], "next": "a"}), json!("a"), false, false),
            (json!({"items": [], "next": "b"}), json!("b"), false, false),
            (json!({"items": [1], "next": 7}), json!(7), true, false),
        ] {
            let found = page(&list, output.clone());
            assert_eq!(
                (found.cursor, found.more, found.stands_still),
                (cursor, more, stands_still),
                "{output}"
            );
        }
        assert!(list.page(&json!("a"), &json!({"items": []})).is_err(), "it says nothing of the next");
        let told = spec(Some("output.next"), Some("output.items"), Some("output.more"));
        assert!(page(&told, json!({"items": [], "next": "b", "more": true})).more);
        assert!(!page(&told, json!({"items": [1], "next": "b", "more": false})).more);
        for (output, stands_still) in [
            (json!({"items": [1], "next": "a", "more": true}), true),
            (json!({"items": [], "next": null, "more": true}), true),
            (json!({"items": [1], "next": "a", "more": false}), false),
        ] {
            assert_eq!(page(&told, output.clone()).stands_still, stands_still, "{output}");
        }
        let whole = page(&spec(None, None, None), json!([1, 2]));
        let (alerts, cursor) = (json!([1, 2]), json!("a"));
        assert_eq!(whole, PolledPage { alerts, cursor, more: false, stands_still: false });
    }

    #[test]
    fn another_beginning_is_another_poll_and_another_pace_is_not() {
        let one = spec(None, None, None);
        let paced = PollSpec { every: Duration::from_secs(5), ..one.clone() };
        let anew = PollSpec { first: json!("b"), ..one.clone() };
        assert_eq!(one.id("okta"), paced.id("okta"));
        assert_ne!(one.id("okta"), anew.id("okta"));
        assert_ne!(one.id("okta"), one.id("other"));
    }
}
