//! Every address of the API with what it does, in one list to read. The
//! handlers stand in `server.rs`; a test holds the two together.

use crate::domain::alert::Fate;
use crate::domain::incident::{Disposition, Status};
use crate::web::openapi::{Answer, Described, Given};
use crate::web::shapes::Shape;

const fn given(name: &'static str, shape: Shape, says: &'static str) -> Given {
    Given { name, shape, required: false, says }
}

const fn needed(name: &'static str, shape: Shape, says: &'static str) -> Given {
    Given { name, shape, required: true, says }
}

const fn get(says: &'static str, query: &'static [Given], answer: Answer) -> Described {
    Described { method: "get", says, role: Some("reader"), query, body: &[], answer }
}

const fn post(role: &'static str, says: &'static str, body: &'static [Given], answer: Answer) -> Described {
    Described { method: "post", says, role: Some(role), query: &[], body, answer }
}

/// Open to whoever calls, or to whom the sender's signature vouches for.
const fn open(method: &'static str, says: &'static str, answer: Answer) -> Described {
    Described { method, says, role: None, query: &[], body: &[], answer }
}

const INCIDENTS: &[Given] = &[
    given("after", Shape::Id("inc"), "the `next` of the page before"),
    given("limit", Shape::Whole(1, 500), "rows of a page, 1 to 500"),
];
const DETECTIONS: &[Given] = &[
    given("after", Shape::Rule, "the `next` of the page before"),
    given("limit", Shape::Whole(1, 500), "rows of a page, 1 to 500"),
];
const ALERTS: &[Given] = &[
    given("after", Shape::Id("alt"), "the `next` of the page before"),
    given("limit", Shape::Whole(1, 500), "rows of a page, 1 to 500"),
    given("source", Shape::Text, "only of this source"),
    given("severity_min", Shape::Whole(0, 100), "only those at least this severe, 0 to 100"),
    given("incident", Shape::Id("inc"), "only of this incident"),
    given(
        "fate",
        Shape::OneOf(&Fate::NAMES),
        "only those with this fate: run_started, joined, suppressed, ended or no_playbook",
    ),
];
/// The largest number that every reader of JSON keeps exactly.
pub const ENTRIES_MAX: u64 = 9_007_199_254_740_991;

const UNDO: &[Given] = &[
    given("plan", Shape::Flag, "looks, says what would be done, and does nothing"),
    given("only", Shape::List(&Shape::Words, 0, 1_000), "only these: steps or containments"),
    given("anyway", Shape::Flag, "also over what somebody else changed since; needs `why`"),
    given("why", Shape::Words, "the reason, in your words"),
    given("wait_seconds", Shape::Whole(0, 20), "how long the answer waits for what comes of it, 0 to 20"),
];
const WHY: &[Given] = &[given("why", Shape::Words, "the reason, in your words")];
const START: &[Given] = &[
    given("alert", Shape::Any, "a normalised alert, or what `source` sends"),
    given("alert_id", Shape::Id("alt"), "an alert that is on record, instead of `alert`"),
    given("source", Shape::Text, "the source whose rules read `alert`"),
    given("inputs", Shape::Object, "inputs by name"),
    given("input_texts", Shape::Texts, "inputs as typed: the declared type says what each text means"),
];
const BACKTEST: &[Given] = &[
    given("text", Shape::File, "the changed playbook; this or `playbook` is needed"),
    given("file", Shape::Text, "what its file is called, for messages"),
    given("playbook", Shape::Text, "the name of one in the library, instead of `text`"),
    given("against_text", Shape::File, "what it is held against; else the one of its name in the library"),
    given("against_file", Shape::Text, "what that file is called"),
    given(
        "against_version",
        Shape::Whole(0, 4_294_967_295),
        "a version of which a run is on record, instead of `against_text`",
    ),
    given("since", Shape::Time, "only alerts that came in since this time; else 90 days"),
    given("limit", Shape::Whole(1, 10_000), "how many alerts, the newest first: 1 to 10,000, else 1,000"),
    given(
        "reads",
        Shape::OneOf(&["none", "live"]),
        "none: steps that read get no answer; live: systems are asked today",
    ),
];
/// Runs that one order may name. Those of a larger crowd are let go on by `all`.
pub const RELEASED_MAX: usize = 1_000;

const RELEASE: &[Given] = &[
    given("runs", Shape::List(&Shape::Id("run"), 0, RELEASED_MAX), "these; this or `all` is needed"),
    given("all", Shape::Flag, "all that are set aside"),
    given("note", Shape::Words, "the reason, in your words"),
];
const NOTE: &[Given] = &[given("note", Shape::Words, "the reason, in your words")];
const APPROVALS: &[Given] = &[
    given("after", Shape::Id("apr"), "the `next` of the page before"),
    given("limit", Shape::Whole(1, 500), "rows of a page, 1 to 500"),
    given("open", Shape::Flag, "only open ones (true) or closed ones (false)"),
    given("run", Shape::Id("run"), "only of this run"),
];
const QUESTIONS: &[Given] = &[
    given("after", Shape::Id("qst"), "the `next` of the page before"),
    given("limit", Shape::Whole(1, 500), "rows of a page, 1 to 500"),
    given("open", Shape::Flag, "only open ones (true) or closed ones (false)"),
    given("run", Shape::Id("run"), "only of this run"),
];

const CHANGE: &[Given] = &[
    given("severity", Shape::Whole(0, 100), "0 to 100"),
    given("status", Shape::OneOf(&Status::NAMES), "open, investigating, contained or closed"),
    given("disposition", Shape::OneOf(&Disposition::NAMES), "how it ended"),
    given("assignee", Shape::Words, "who has it"),
    given("note", Shape::Words, "a fact, in your words"),
    given("tags", Shape::List(&Shape::Words, 0, 20), "tags to add"),
    given("why", Shape::Words, "the reason, in your words"),
];

/// Paths under `/api/v1`, each with its methods.
pub const ROUTES: &[(&str, &[Described])] = &[
    (
        "/alerts/{source}",
        &[
            get("one alert by its id, with what became of it", &[], Answer::Object),
            open(
                "post",
                "a webhook: takes alerts of a configured source, proven as the source says; durable before it answers, with 200 where the sender knows no other success; a handshake gets its value back; 429 beyond the source's limits, 503 while too many runs wait",
                Answer::Accepted,
            ),
        ],
    ),
    (
        "/alerts/{source}/raw",
        &[Described {
            role: Some("responder"),
            ..get("what the sender of an alert sent, as it was read", &[], Answer::Object)
        }],
    ),
    ("/alerts", &[get("alerts, the newest first", ALERTS, Answer::Page)]),
    (
        "/sources/{source}/alerts",
        &[post(
            "responder",
            "takes what a configured source would send from a person; the body is read by the source's rules; durable before it answers; 503 while too many runs wait",
            &[],
            Answer::Accepted,
        )],
    ),
    ("/playbooks", &[get("the playbooks that can be run", &[], Answer::Page)]),
    (
        "/playbooks/check",
        &[post(
            "reader",
            "every mistake in a playbook, with its place; nothing is kept",
            &[
                needed("text", Shape::File, "the playbook file"),
                given("file", Shape::Text, "its name, as messages repeat it"),
            ],
            Answer::Object,
        )],
    ),
    ("/playbooks/{name}", &[get("one playbook, checked, with its text", &[], Answer::Object)]),
    (
        "/playbooks/{name}/runs",
        &[Described {
            query: &[given(
                "wait",
                Shape::Seconds(60),
                "answer with the end of the run (200), or after so long with the run as it goes on (202)",
            )],
            ..post(
                "responder",
                "starts a run; an `Idempotency-Key` starts one run only and stands for one content (422 with another); 503 while too many runs wait",
                START,
                Answer::Started,
            )
        }],
    ),
    (
        "/playbooks/{name}/plan",
        &[post("responder", "a dry run: reads happen, effects become a plan", START, Answer::Object)],
    ),
    (
        "/backtests",
        &[post(
            "responder",
            "puts stored alerts through two forms of a playbook and tells where they decide differently; nothing is done and nothing is written",
            BACKTEST,
            Answer::Object,
        )],
    ),
    (
        "/runs",
        &[get(
            "runs, the newest first",
            &[
                given("after", Shape::Id("run"), "the `next` of the page before"),
                given("limit", Shape::Whole(1, 500), "rows of a page, 1 to 500"),
                given("playbook", Shape::Text, "only of this playbook"),
                given("incident", Shape::Id("inc"), "only of this incident"),
                given("live", Shape::Flag, "only those that have not ended"),
            ],
            Answer::Page,
        )],
    ),
    (
        "/runs/{id}",
        &[get(
            "everything the journal says about one run, and in `waiting_on` whom it waits for",
            &[],
            Answer::Object,
        )],
    ),
    (
        "/runs/{id}/events",
        &[get(
            "the entries of a run as they come; `Last-Event-ID` goes on from there",
            &[given("after", Shape::Whole(0, ENTRIES_MAX), "the number of the last entry seen")],
            Answer::Events,
        )],
    ),
    (
        "/runs/{id}/rerun",
        &[post(
            "responder",
            "does a run once more: its playbook as it is now, with the inputs and the stored alert that it had",
            &[],
            Answer::Started,
        )],
    ),
    ("/runs/{id}/cancel", &[post("responder", "ends a run", WHY, Answer::Object)]),
    (
        "/runs/{id}/undo",
        &[post("responder", "lifts what a run contained, the newest first", UNDO, Answer::Accepted)],
    ),
    (
        "/runs/{id}/settle",
        &[post(
            "responder",
            "says what happened to an uncertain step",
            &[
                needed("step", Shape::Text, "the step"),
                needed("happened", Shape::Flag, "whether it did"),
                given("note", Shape::Words, "how you know"),
            ],
            Answer::Object,
        )],
    ),
    (
        "/runs/{id}/release",
        &[post(
            "responder",
            "lets a run go on that was set aside because it was lost with its server again and again",
            NOTE,
            Answer::Object,
        )],
    ),
    (
        "/runs/release",
        &[post(
            "responder",
            "lets runs go on that were set aside, and says of each what became of it",
            RELEASE,
            Answer::Object,
        )],
    ),
    ("/incidents", &[get("incidents, the newest first", INCIDENTS, Answer::Page)]),
    (
        "/incidents/{id}",
        &[
            get("one incident", &[], Answer::Object),
            Described {
                method: "patch",
                ..post(
                    "responder",
                    "puts facts on record of an incident; what is absent stays",
                    CHANGE,
                    Answer::Object,
                )
            },
        ],
    ),
    (
        "/incidents/{id}/undo",
        &[post(
            "responder",
            "lifts what the runs of an incident contained, the newest first",
            UNDO,
            Answer::Accepted,
        )],
    ),
    (
        "/incidents/{id}/merge",
        &[post(
            "responder",
            "makes all of an incident part of another one and closes it",
            &[
                needed("into", Shape::Id("inc"), "the incident that holds both from here on"),
                needed("why", Shape::Words, "the reason, in your words"),
            ],
            Answer::Object,
        )],
    ),
    (
        "/incidents/{id}/split",
        &[post(
            "responder",
            "takes some alerts of an incident, with their runs, into a new one",
            &[
                needed("alerts", Shape::List(&Shape::Id("alt"), 1, 10_000), "their ids"),
                needed("why", Shape::Words, "the reason, in your words"),
            ],
            Answer::Created,
        )],
    ),
    (
        "/exceptions",
        &[
            get(
                "exceptions, the newest first",
                &[
                    given("after", Shape::Id("exc"), "the `next` of the page before"),
                    given("limit", Shape::Whole(1, 500), "rows of a page, 1 to 500"),
                    given("holding", Shape::Flag, "only those that hold now"),
                ],
                Answer::Page,
            ),
            post(
                "responder",
                "for a time, alerts of a rule have no effect; they are stored all the same",
                &[
                    needed("rule", Shape::Words, "the rule's name or id at its detector"),
                    needed("owner", Shape::Words, "who answers for it"),
                    needed("why", Shape::Words, "the reason, in your words"),
                    needed("until", Shape::Time, "when it ends, within 92 days"),
                    given("source", Shape::Text, "only alerts of this source"),
                    given("subject", Shape::Words, "only alerts about this person or account"),
                    given("host", Shape::Words, "only alerts on this machine"),
                    given("when", Shape::Words, "only alerts for which this holds: CEL over `alert`"),
                    given(
                        "severity_max",
                        Shape::Whole(0, 100),
                        "only alerts up to this severity; 89 when absent",
                    ),
                ],
                Answer::Created,
            ),
        ],
    ),
    ("/exceptions/{id}", &[get("one exception", &[], Answer::Object)]),
    ("/exceptions/{id}/end", &[post("responder", "ends an exception before its time", WHY, Answer::Object)]),
    (
        "/detections",
        &[get("the rules of detectors: how often they fired and were right", DETECTIONS, Answer::Page)],
    ),
    (
        "/detections/message",
        &[get(
            "one rule, and what to write to whoever answers for it",
            &[
                needed("source", Shape::Text, "the source its alerts come in by"),
                needed("rule", Shape::Text, "the rule's name, else its id"),
            ],
            Answer::Object,
        )],
    ),
    ("/approvals", &[get("approvals, the newest first", APPROVALS, Answer::Page)]),
    ("/approvals/{id}", &[get("one approval", &[], Answer::Object)]),
    (
        "/approvals/{id}/approve",
        &[post("approver", "says yes; counts only for whom is asked", NOTE, Answer::Object)],
    ),
    (
        "/approvals/{id}/reject",
        &[post("approver", "says no; counts only for whom is asked", NOTE, Answer::Object)],
    ),
    ("/questions", &[get("questions, the newest first", QUESTIONS, Answer::Page)]),
    ("/questions/{id}", &[get("one question, with what may be answered", &[], Answer::Object)]),
    (
        "/questions/{id}/answer",
        &[post(
            "reader",
            "answers a question that was sent to the caller",
            &[
                needed("choice", Shape::Text, "the value of a choice"),
                given("fields", Shape::Object, "what else is asked for, by name"),
                given(
                    "field_texts",
                    Shape::Texts,
                    "fields as typed: the declared type says what each text means",
                ),
            ],
            Answer::Object,
        )],
    ),
    (
        "/containments",
        &[get(
            "what is or was contained, the newest first",
            &[
                given("after", Shape::Id("ctn"), "the `next` of the page before"),
                given("limit", Shape::Whole(1, 500), "rows of a page, 1 to 500"),
                given("holding", Shape::Flag, "only what holds (true) or was lifted (false)"),
                given("run", Shape::Id("run"), "only of this run"),
            ],
            Answer::Page,
        )],
    ),
    ("/containments/{id}", &[get("one containment", &[], Answer::Object)]),
    ("/containments/{id}/undo", &[post("responder", "lifts one containment", UNDO, Answer::Accepted)]),
    (
        "/containments/{id}/extend",
        &[post(
            "responder",
            "lets a containment hold longer",
            &[needed(
                "seconds",
                Shape::Whole(1, 31 * 24 * 3600),
                "how much longer than it would hold now, 1 second to 31 days",
            )],
            Answer::Object,
        )],
    ),
    (
        "/attention",
        &[get(
            "all that needs a person, what the caller is asked and the most urgent first, each with the commands that come next",
            &[
                given("after", Shape::Place, "the `next` of the page before"),
                given("limit", Shape::Whole(1, 500), "rows of a page, 1 to 500"),
                given("run", Shape::Id("run"), "only of this run"),
                given("mine", Shape::Flag, "only what the caller is asked"),
            ],
            Answer::Page,
        )],
    ),
    ("/schedules", &[get("the schedules of the playbooks, with their next firings", &[], Answer::Page)]),
    ("/schedules/{id}", &[get("one schedule", &[], Answer::Object)]),
    ("/polls", &[get("the sources that are polled: cursor, last success, failures", &[], Answer::Page)]),
    (
        "/reports",
        &[
            get(
                "summaries that runs wrote and kept, the newest first",
                &[
                    given("after", Shape::Id("rep"), "the `next` of the page before"),
                    given("limit", Shape::Whole(1, 500), "rows of a page, 1 to 500"),
                    given("run", Shape::Id("run"), "only of this run"),
                    given("incident", Shape::Id("inc"), "only of this incident"),
                ],
                Answer::Page,
            ),
            post(
                "reader",
                "a summary of a run or an incident, written now from the journal alone",
                &[
                    needed("of", Shape::Text, "a run or an incident"),
                    needed("template", Shape::Text, "executive, technical, or one of the house"),
                    given("audience", Shape::Text, "for whom"),
                    given("format", Shape::OneOf(&["html", "markdown"]), "html or markdown"),
                ],
                Answer::Text,
            ),
        ],
    ),
    ("/reports/{id}", &[get("one kept summary, as it was written", &[], Answer::Text)]),
    (
        "/store/backup",
        &[post("admin", "the whole journal as JSON lines, while the server runs", &[], Answer::Lines)],
    ),
    ("/openapi.json", &[open("get", "this description", Answer::Object)]),
];

/// What is said of a call: its method in lower case, its address as the router has it.
pub fn described(method: &str, path: &str) -> Option<&'static Described> {
    let (_, all) = ROUTES.iter().find(|(known, _)| *known == path)?;
    all.iter().find(|one| one.method == method)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_of_the_router_is_described() {
        let router = include_str!("server.rs");
        let api = router.split(".fallback").next().unwrap_or_default();
        let routed: Vec<&str> =
            api.split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(routed.len() >= 25, "{routed:?}");
        for path in &routed {
            assert!(ROUTES.iter().any(|(described, _)| described == path), "{path} is not described");
        }
        for (path, _) in ROUTES {
            assert!(routed.contains(path), "{path} is described and leads nowhere");
        }
    }
}
