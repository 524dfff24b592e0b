//! Every address of the API with what it does, in one list to read. The
//! handlers stand in `server.rs`; a test holds the two together.

use crate::web::openapi::{Answer, Described, Given};

const fn given(name: &'static str, kind: &'static str, says: &'static str) -> Given {
    Given { name, kind, required: false, says }
}

const fn needed(name: &'static str, kind: &'static str, says: &'static str) -> Given {
    Given { name, kind, required: true, says }
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

const PAGE: &[Given] = &[
    given("after", "string", "the `next` of the page before"),
    given("limit", "integer", "rows of a page, 1 to 500"),
];
const ALERTS: &[Given] = &[
    given("after", "string", "the `next` of the page before"),
    given("limit", "integer", "rows of a page, 1 to 500"),
    given("source", "string", "only of this source"),
    given("severity_min", "integer", "only those at least this severe, 0 to 100"),
    given("incident", "string", "only of this incident"),
    given(
        "fate",
        "string",
        "only those with this fate: run_started, joined, suppressed, ended or no_playbook",
    ),
];
const UNDO: &[Given] = &[
    given("plan", "boolean", "looks, says what would be done, and does nothing"),
    given("only", "array", "only these: steps or containments"),
    given("anyway", "boolean", "also over what somebody else changed since; needs `why`"),
    given("why", "string", "the reason, in your words"),
    given("wait_seconds", "integer", "how long the answer waits for what comes of it, 0 to 20"),
];
const WHY: &[Given] = &[given("why", "string", "the reason, in your words")];
const START: &[Given] = &[
    given("alert", "object", "a normalised alert, or what `source` sends"),
    given("source", "string", "the source whose rules read `alert`"),
    given("inputs", "object", "inputs by name"),
    given("input_texts", "object", "inputs as typed: the declared type says what each text means"),
];
const BACKTEST: &[Given] = &[
    given("text", "string", "the changed playbook; this or `playbook` is needed"),
    given("file", "string", "what its file is called, for messages"),
    given("playbook", "string", "the name of one in the library, instead of `text`"),
    given("against_text", "string", "what it is held against; else the one of its name in the library"),
    given("against_file", "string", "what that file is called"),
    given("against_version", "integer", "a version of which a run is on record, instead of `against_text`"),
    given("since", "string", "only alerts that came in since this time; else 90 days"),
    given("limit", "integer", "how many alerts, the newest first: 1 to 10,000, else 1,000"),
    given("reads", "string", "none: steps that read get no answer; live: systems are asked today"),
];
const NOTE: &[Given] = &[given("note", "string", "the reason, in your words")];
const OPEN: &[Given] = &[
    given("after", "string", "the `next` of the page before"),
    given("limit", "integer", "rows of a page, 1 to 500"),
    given("open", "boolean", "only open ones (true) or closed ones (false)"),
    given("run", "string", "only of this run"),
];

const CHANGE: &[Given] = &[
    given("severity", "integer", "0 to 100"),
    given("status", "string", "open, investigating, contained or closed"),
    given("disposition", "string", "how it ended"),
    given("assignee", "string", "who has it"),
    given("note", "string", "a fact, in your words"),
    given("tags", "array", "tags to add"),
    given("why", "string", "the reason, in your words"),
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
                needed("text", "string", "the playbook file"),
                given("file", "string", "its name, as messages repeat it"),
            ],
            Answer::Object,
        )],
    ),
    ("/playbooks/{name}", &[get("one playbook, checked, with its text", &[], Answer::Object)]),
    (
        "/playbooks/{name}/runs",
        &[post(
            "responder",
            "starts a run; an `Idempotency-Key` header starts one run only; 503 while too many runs wait",
            START,
            Answer::Created,
        )],
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
                given("after", "string", "the `next` of the page before"),
                given("limit", "integer", "rows of a page, 1 to 500"),
                given("playbook", "string", "only of this playbook"),
                given("incident", "string", "only of this incident"),
                given("live", "boolean", "only those that have not ended"),
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
            &[given("after", "integer", "the number of the last entry seen")],
            Answer::Events,
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
                needed("step", "string", "the step"),
                needed("happened", "boolean", "whether it did"),
                given("note", "string", "how you know"),
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
    ("/incidents", &[get("incidents, the newest first", PAGE, Answer::Page)]),
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
                needed("into", "string", "the incident that holds both from here on"),
                needed("why", "string", "the reason, in your words"),
            ],
            Answer::Object,
        )],
    ),
    (
        "/incidents/{id}/split",
        &[post(
            "responder",
            "takes some alerts of an incident, with their runs, into a new one",
            &[needed("alerts", "array", "their ids"), needed("why", "string", "the reason, in your words")],
            Answer::Created,
        )],
    ),
    (
        "/exceptions",
        &[
            get(
                "exceptions, the newest first",
                &[
                    given("after", "string", "the `next` of the page before"),
                    given("limit", "integer", "rows of a page, 1 to 500"),
                    given("holding", "boolean", "only those that hold now"),
                ],
                Answer::Page,
            ),
            post(
                "responder",
                "for a time, alerts of a rule have no effect; they are stored all the same",
                &[
                    needed("rule", "string", "the rule's name or id at its detector"),
                    needed("owner", "string", "who answers for it"),
                    needed("why", "string", "the reason, in your words"),
                    needed("until", "string", "when it ends, within 92 days"),
                    given("source", "string", "only alerts of this source"),
                    given("subject", "string", "only alerts about this person or account"),
                    given("host", "string", "only alerts on this machine"),
                    given("when", "string", "only alerts for which this holds: CEL over `alert`"),
                    given("severity_max", "integer", "only alerts up to this severity; 89 when absent"),
                ],
                Answer::Created,
            ),
        ],
    ),
    ("/exceptions/{id}", &[get("one exception", &[], Answer::Object)]),
    ("/exceptions/{id}/end", &[post("responder", "ends an exception before its time", WHY, Answer::Object)]),
    (
        "/detections",
        &[get("the rules of detectors: how often they fired and were right", PAGE, Answer::Page)],
    ),
    (
        "/detections/message",
        &[get(
            "one rule, and what to write to whoever answers for it",
            &[
                needed("source", "string", "the source its alerts come in by"),
                needed("rule", "string", "the rule's name, else its id"),
            ],
            Answer::Object,
        )],
    ),
    ("/approvals", &[get("approvals, the newest first", OPEN, Answer::Page)]),
    ("/approvals/{id}", &[get("one approval", &[], Answer::Object)]),
    (
        "/approvals/{id}/approve",
        &[post("approver", "says yes; counts only for whom is asked", NOTE, Answer::Object)],
    ),
    (
        "/approvals/{id}/reject",
        &[post("approver", "says no; counts only for whom is asked", NOTE, Answer::Object)],
    ),
    ("/questions", &[get("questions, the newest first", OPEN, Answer::Page)]),
    ("/questions/{id}", &[get("one question, with what may be answered", &[], Answer::Object)]),
    (
        "/questions/{id}/answer",
        &[post(
            "reader",
            "answers a question that was sent to the caller",
            &[
                needed("choice", "string", "the value of a choice"),
                given("fields", "object", "what else is asked for, by name"),
                given(
                    "field_texts",
                    "object",
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
                given("after", "string", "the `next` of the page before"),
                given("limit", "integer", "rows of a page, 1 to 500"),
                given("holding", "boolean", "only what holds (true) or was lifted (false)"),
                given("run", "string", "only of this run"),
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
            &[needed("seconds", "integer", "how much longer than it would hold now, 1 second to 31 days")],
            Answer::Object,
        )],
    ),
    (
        "/attention",
        &[get(
            "all that needs a person, the most urgent first, each with the commands that come next",
            &[
                given("after", "string", "the `next` of the page before"),
                given("limit", "integer", "rows of a page, 1 to 500"),
                given("run", "string", "only of this run"),
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
                    given("after", "string", "the `next` of the page before"),
                    given("limit", "integer", "rows of a page, 1 to 500"),
                    given("run", "string", "only of this run"),
                    given("incident", "string", "only of this incident"),
                ],
                Answer::Page,
            ),
            post(
                "reader",
                "a summary of a run or an incident, written now from the journal alone",
                &[
                    needed("of", "string", "a run or an incident"),
                    needed("template", "string", "executive, technical, or one of the house"),
                    given("audience", "string", "for whom"),
                    given("format", "string", "html or markdown"),
                ],
                Answer::Text,
            ),
        ],
    ),
    ("/reports/{id}", &[get("one kept summary, as it was written", &[], Answer::Text)]),
    (
        "/store/backup",
        &[post("admin", "the whole journal as JSON lines, while the server runs", &[], Answer::Text)],
    ),
    ("/openapi.json", &[open("get", "this description", Answer::Object)]),
];

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
