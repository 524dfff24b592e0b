//! Addresses on the web that came from the world, written so that no mail
//! program makes a link of them. Every mail passes here, once, when it is sent
//! (`messages.rs`); until then texts are as they came.
//!
//! A file name can read `https://evil.example`; mailed as it is, under the name
//! of the security team, it is one click from being followed. Responders write
//! such addresses `hxxps://evil[.]example`, which everybody can still read.

use std::borrow::Cow;
use std::collections::BTreeSet;

/// What begins an address that mail programs turn into a link, and how it is
/// written instead.
const SCHEMES: [(&str, &str); 4] =
    [("https://", "hxxps://"), ("http://", "hxxp://"), ("ftp://", "fxp://"), ("mailto:", "mailto[:]")];

/// Addresses that a mail may hold as they are: an author or Quell itself wrote them.
#[derive(Debug, Default)]
pub struct OwnLinks {
    whole: BTreeSet<String>,
    /// What stands before a value that is filled in; the host is whole.
    begun: Vec<String>,
}

impl OwnLinks {
    /// The addresses in these texts: templates, and what authors wrote into steps.
    pub fn in_texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut written = Self::default();
        for text in texts {
            let mut at = 0;
            for piece in pieces(text) {
                let word = core(piece);
                let (before, after) = (&text[..at], &text[at + piece.len()..]);
                at += piece.len();
                // What a value begins is the world's.
                if !before.ends_with("}}") && broken(word) != word {
                    if !after.starts_with("{{") {
                        written.whole.insert(word.to_owned());
                    } else if word.split_once("://").is_some_and(|(_, rest)| rest.contains('/')) {
                        written.begun.push(word.to_owned());
                    }
                }
            }
        }
        written
    }

    /// These and one more.
    #[must_use]
    pub fn and(mut self, link: &str) -> Self {
        self.whole.insert(link.to_owned());
        self
    }

    fn holds(&self, word: &str) -> bool {
        self.whole.contains(word) || self.begun.iter().any(|begun| word.starts_with(begun))
    }
}

/// A text cut where an address ends or begins; nothing is left out.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let ends = |c: char| c.is_whitespace() || "<>\"'()[]{}|\\^`*".contains(c);
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let end = match ends(first) {
            true => first.len_utf8(),
            false => rest.find(ends).unwrap_or(rest.len()),
        };
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(piece)
    })
}

/// A word without the marks that end a sentence.
fn core(word: &str) -> &str {
    word.trim_end_matches(['.', ',', ';', ':', '!', '?'])
}

/// A text in which nothing becomes a link but what was written by an author or by
/// Quell: schemes are broken, and so are the dots of names such as `evil.example` or
/// `ledger.zip`. The addresses of people stay as they are; they are needed to know
/// whom something is about.
pub fn text(text: &str, own: &OwnLinks) -> String {
    pieces(text)
        .map(|piece| if own.holds(core(piece)) { Cow::from(piece) } else { Cow::from(broken(piece)) })
        .collect()
}

/// A page in which nothing becomes a link but what was written by an author or by
/// Quell, and what the template itself makes one: only what stands between the tags
/// is looked at.
pub fn html(page: &str, own: &OwnLinks) -> String {
    let mut out = String::with_capacity(page.len() + 16);
    let mut rest = page;
    while !rest.is_empty() {
        let end = rest.find('<').unwrap_or(rest.len());
        for piece in pieces(&rest[..end]) {
            // As the template's engine writes it.
            let known = own.holds(&core(piece).replace("&amp;", "&"));
            out.push_str(&if known { Cow::from(piece) } else { Cow::from(broken(piece)) });
        }
        rest = &rest[end..];
        // A style is no text, and its dots are its own.
        let close = if begins(rest, "<style") { "</style>" } else { ">" };
        let tag = rest.find(close).map_or(rest.len(), |at| at + close.len());
        out.push_str(&rest[..tag]);
        rest = &rest[tag..];
    }
    out
}

fn broken(text: &str) -> String {
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

fn begins(text: &str, with: &str) -> bool {
    text.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with))
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
            assert_eq!(text(given, &OwnLinks::default()), wanted, "{given}");
            assert_eq!(text(wanted, &OwnLinks::default()), wanted, "once is enough: {given}");
        }
    }

    #[test]
    fn what_an_author_or_quell_writes_stays_and_nothing_that_only_looks_like_it() {
        let author = "See https://wiki.example/leavers. Or https://tickets.example/t/{{with.id}}, and {{with.x}}.evil.example, https://{{with.host}}/a";
        let written = OwnLinks::in_texts([author, "plain words"]).and("http://127.0.0.1:7/q/tok");
        for (given, wanted) in [
            ("See https://wiki.example/leavers.", "See https://wiki.example/leavers."),
            ("(https://wiki.example/leavers)", "(https://wiki.example/leavers)"),
            ("https://tickets.example/t/77,", "https://tickets.example/t/77,"),
            ("http://127.0.0.1:7/q/tok", "http://127.0.0.1:7/q/tok"),
            ("http://127.0.0.1:7/q/other", "hxxp://127[.]0[.]0[.]1:7/q/other"),
            ("https://wiki.example/leavers/more", "hxxps://wiki[.]example/leavers/more"),
            ("https://wiki.example.evil.example", "hxxps://wiki[.]example[.]evil[.]example"),
            ("https://tickets.example.evil.example/t/", "hxxps://tickets[.]example[.]evil[.]example/t/"),
            ("https://a.example/a", "hxxps://a[.]example/a"),
            ("a.evil.example", "a[.]evil[.]example"),
        ] {
            assert_eq!(text(given, &written), wanted, "{given}");
        }
    }

    #[test]
    fn a_page_keeps_its_own_links_and_its_style() {
        let page = r#"<style>h1.big{}</style><a href="https://wiki.example">HTTPS://evil.example</a> www.evil.example b.example https://own.example/?a=1&amp;b=2"#;
        assert_eq!(
            html(page, &OwnLinks::in_texts(["https://own.example/?a=1&b=2"])),
            r#"<style>h1.big{}</style><a href="https://wiki.example">hxxps://evil[.]example</a> www[.]evil[.]example b[.]example https://own.example/?a=1&amp;b=2"#
        );
    }
}
