//! Source files: what is wrong with one is told at once and in place.

use std::fs;
use std::path::Path;

use quell::intake::source::SourceSpec;
use serde_json::json;

use crate::{one, own};

#[test]
fn broken_source_files_are_told_all_their_mistakes_at_their_places() {
    for (yaml, expected) in [
        ("", vec![("wrong-type", "")]),
        ("source: s\ntitle: S\n", vec![("missing-key", "")]),
        ("source: S!\ntitle: S\nfields: { title: x }\n", vec![("bad-id", "S!")]),
        ("source: s\ntitle: S\nfields: { user.name: x }\n", vec![("missing-key", "{ user.name: x }")]),
        (
            "source: s\ntitel: S\nsplit: alerts\nzone: Mars/Base\nproven: sure\nfields:\n  title: ${ rwa.t }\n  \
             titel: x\n  user.email: ${ raw. }\n  severity: { from: \"${ raw.s }\", scale: 1-7, words: { high: 900 } }\n  \
             category: burglary\n  objects: [ { each: \"files[0]\", nam: x } ]\n",
            vec![
                ("missing-key", ""),
                ("not-one-of", "sure"),
                ("bad-path", "alerts"),
                ("bad-zone", "Mars/Base"),
                ("unknown-name", "rwa"),
                ("bad-expression", ""),
                ("not-one-of", "burglary"),
                ("not-one-of", "1-7"),
                ("out-of-range", "900"),
                ("bad-path", "\"files[0]\""),
                ("unknown-key", "nam"),
                ("unknown-key", "titel"),
                ("unknown-key", "titel"),
            ],
        ),
        (
            "source: s\ntitle: S\nfields:\n  title: \"${ item.t }\"\n  user.name: []\n",
            vec![("unknown-name", "item"), ("out-of-range", "[]")],
        ),
        (
            "source: s\ntitle: S\nfields: { title: x }\nfingerprint: [ user.mail ]\n",
            vec![("not-one-of", "user.mail")],
        ),
    ] {
        let mistakes = SourceSpec::read("s.yaml", yaml).expect_err(yaml);
        let found: Vec<_> = mistakes
            .iter()
            .zip(expected.iter().map(|(_, at)| *at).chain(std::iter::repeat("")))
            .map(|(one, at)| {
                (one.code, if at.is_empty() { "" } else { &yaml[one.place.start..one.place.end] })
            })
            .collect();
        assert_eq!(found, expected, "{yaml}\n{mistakes:#?}");
        assert!(mistakes.iter().all(|one| one.code == "wrong-type" || one.help.is_some()), "{mistakes:#?}");
    }
}

#[test]
fn ten_lines_are_a_source() {
    let guide =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/alerts.md")).expect("the guide");
    let yaml = guide.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    assert!(yaml.lines().count() <= 10, "the guide promises ten lines");
    let spec = own(yaml);
    let page = json!({"data": {"incidents": [{"id": 7, "policy": "Payroll leaves", "risk": 91,
        "when": "2026-03-04 09:00:00", "user": {"login": "jdoe"}}]}});
    let alert = one(&spec, &page);
    assert_eq!((alert.title.as_str(), alert.severity), ("Payroll leaves", 91));
    assert_eq!(alert.user.name.as_deref(), Some("jdoe"));
    assert!(alert.event_time.is_some());
}
