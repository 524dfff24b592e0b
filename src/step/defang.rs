//! Addresses on the web that came from the world, written so that no mail
//! program makes a link of them.
//!
//! A file name can read `https://evil.example`; mailed as it is, under the name
//! of the security team, it is one click from being followed. Responders write
//! such addresses `hxxps://evil[.]example`, which everybody can still read.

use crate::domain::value::Value;

/// What begins an address that mail programs turn into a link, and how it is
/// written instead.
const SCHEMES: [(&str, &str); 4] =
    [("https://", "hxxps://"), ("http://", "hxxp://"), ("ftp://", "fxp://"), ("mailto:", "mailto[:]")];

/// A text without anything that becomes a link: schemes are broken, and so are
/// the dots of names such as `evil.example` or `ledger.zip`. The addresses of
/// people stay as they are; they are needed to know whom something is about.
pub fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    let mut before = None;
    while let Some(c) = rest.chars().next() {
        if let Some((scheme, instead)) = SCHEMES.iter().find(|(scheme, _)| begins(rest, scheme)) {
            out.push_str(instead);
            rest = &rest[scheme.len()..];
            before = Some('/');
            continue;
        }
        let length = rest.find(|c: char| !is_name(c)).unwrap_or(rest.len());
        if length == 0 {
            out.push(c);
            rest = &rest[c.len_utf8()..];
            before = Some(c);
            continue;
        }
        let (name, after) = rest.split_at(length);
        let of_a_person = before == Some('@') || after.starts_with('@');
        if of_a_person || !is_domain(name) {
            out.push_str(name);
        } else {
            out.push_str(&name.replace('.', "[.]"));
        }
        rest = after;
        before = name.chars().next_back();
    }
    out
}

/// Every text in a value, at any depth; keys are ours and stay.
pub fn value(value: Value) -> Value {
    match value {
        Value::String(it) => Value::String(text(&it)),
        Value::Array(items) => items.into_iter().map(self::value).collect(),
        Value::Object(map) => map.into_iter().map(|(key, it)| (key, self::value(it))).collect(),
        other => other,
    }
}

/// A page without addresses that become links: only what stands between the
/// tags, so that links the template itself holds still lead somewhere.
pub fn html(page: &str) -> String {
    let mut out = String::with_capacity(page.len() + 16);
    let mut rest = page;
    while !rest.is_empty() {
        let end = rest.find('<').unwrap_or(rest.len());
        let mut words = rest[..end].to_owned();
        for (scheme, instead) in SCHEMES {
            words = replaced(&words, scheme, instead);
        }
        out.push_str(&replaced(&words, "www.", "www[.]"));
        rest = &rest[end..];
        let tag = rest.find('>').map_or(rest.len(), |at| at + 1);
        out.push_str(&rest[..tag]);
        rest = &rest[tag..];
    }
    out
}

fn begins(text: &str, with: &str) -> bool {
    text.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with))
}

fn replaced(text: &str, what: &str, instead: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if begins(rest, what) {
            out.push_str(instead);
            rest = &rest[what.len()..];
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

/// A character of a domain or file name; letters of every language can stand
/// in a domain.
fn is_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '-' | '_')
}

/// Whether it reads as a domain: parts with a dot between, the last of letters.
/// `1.5` and `v2.0` are none.
fn is_domain(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    let Some((first, last)) = name.rsplit_once('.') else {
        return false;
    };
    let four = name.split('.').count() == 4 && name.split('.').all(|part| part.parse::<u8>().is_ok());
    let word = last.chars().count() >= 2 && last.chars().all(|c| c.is_alphabetic() || c == '-');
    let code = last.to_lowercase().starts_with("xn--");
    !first.is_empty() && (word || code || four)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_from_the_world_becomes_a_link_and_everything_is_still_read() {
        for (given, wanted) in [
            ("https://evil.example/a?b=c.d", "hxxps://evil[.]example/a?b=c.d"),
            ("HTTP://Evil.Example", "hxxp://Evil[.]Example"),
            ("open www.evil.example now.", "open www[.]evil[.]example now."),
            ("ledger-2026.csv.zip", "ledger-2026[.]csv[.]zip"),
            ("drive.personal-cloud.example", "drive[.]personal-cloud[.]example"),
            ("ping 203.0.113.9", "ping 203[.]0[.]113[.]9"),
            ("пример.рф", "пример[.]рф"),
            ("bücher.xn--p1ai", "bücher[.]xn--p1ai"),
            ("ftp://a.example", "fxp://a[.]example"),
            ("Dana Whitfield <dana.w@example.com>", "Dana Whitfield <dana.w@example.com>"),
            ("version 2.0 of 48,211 rows. Done", "version 2.0 of 48,211 rows. Done"),
            ("https://dana@evil.example", "hxxps://dana@evil.example"),
            ("2026-03-02T08:58:00.123Z", "2026-03-02T08:58:00.123Z"),
            ("", ""),
        ] {
            assert_eq!(text(given), wanted, "{given}");
        }
    }

    #[test]
    fn values_are_cleaned_at_any_depth_and_keep_their_kind() {
        let given = json!({ "a.b": ["x.example", 7, null], "c": { "d": "https://x.example" } });
        assert_eq!(
            value(given),
            json!({ "a.b": ["x[.]example", 7, null], "c": { "d": "hxxps://x[.]example" } })
        );
    }

    #[test]
    fn a_page_keeps_its_own_links_and_its_style() {
        let page =
            r#"<style>a.b{}</style><a href="https://wiki.example">HTTPS://evil.example</a> www.evil.example"#;
        assert_eq!(
            html(page),
            r#"<style>a.b{}</style><a href="https://wiki.example">hxxps://evil.example</a> www[.]evil.example"#
        );
    }
}
