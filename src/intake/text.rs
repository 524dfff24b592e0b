//! Text from the world, made harmless and checked for what it claims to be.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

/// Characters of a mail address (RFC 5321, section 4.5.3.1: 64 + 1 + 255).
pub const EMAIL_CHARS_MAX: usize = 320;

/// Characters of a host name or site (RFC 1035 has 253; sites may be phrases).
pub const SITE_CHARS_MAX: usize = 300;

/// Hex digits of a SHA-256.
const SHA256_DIGITS: usize = 64;

/// Hex digits of an MD5.
const MD5_DIGITS: usize = 32;

/// One line: trimmed, every control character and every character that hides
/// or reorders text escaped visibly (`\u{1b}`), cut at `chars_max` with `…`.
#[must_use]
pub fn one_line(text: &str, chars_max: usize) -> String {
    clean(text, chars_max, false)
}

/// As [`one_line`], but line ends and tabs stay, CRLF becoming LF.
#[must_use]
pub fn many_lines(text: &str, chars_max: usize) -> String {
    clean(&text.replace("\r\n", "\n"), chars_max, true)
}

fn clean(text: &str, chars_max: usize, lines: bool) -> String {
    let mut cleaned = String::new();
    let mut left = chars_max;
    let mut escape = String::new();
    for c in text.trim().chars() {
        escape.clear();
        match c {
            '\n' | '\t' if lines => escape.push(c),
            '\n' => escape.push_str("\\n"),
            '\r' => escape.push_str("\\r"),
            '\t' => escape.push_str("\\t"),
            _ if misleads(c) => {
                let _ = write!(escape, "\\u{{{:x}}}", u32::from(c));
            }
            _ => escape.push(c),
        }
        let length = escape.chars().count();
        if length > left {
            // The mark replaces the last character, so that the limit holds.
            while cleaned.chars().count() + 1 > chars_max && cleaned.pop().is_some() {}
            cleaned.push('…');
            break;
        }
        left -= length;
        cleaned.push_str(&escape);
    }
    cleaned
}

/// Control characters steer terminals and cut text (NUL); the others hide or
/// reorder what a person reads (CVE-2021-42574, Unicode UTS 55).
fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
        || matches!(c, '\u{e0000}'..='\u{e007f}' | '\u{fff9}'..='\u{fffb}')
}

/// Whether a text is one mail address: one `@` with something on both sides,
/// no white space, nothing that misleads, no list.
#[must_use]
pub fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else {
        return false;
    };
    !local.is_empty()
        && !domain.is_empty()
        && !domain.contains('@')
        && text.chars().count() <= EMAIL_CHARS_MAX
        && !text.chars().any(|c| {
            c.is_whitespace() || misleads(c) || matches!(c, ',' | ';' | '<' | '>' | '"' | '\\' | '/' | ':')
        })
}

/// An address as machines write it, a zone (`%eth0`) and a port (`ip:port`,
/// `[v6]:port`) left out.
#[must_use]
pub fn ip(text: &str) -> Option<String> {
    address(text).map(|ip| ip.to_string())
}

/// An address that says which machine it is: every machine has its own loopback and
/// link-local ones.
#[must_use]
pub fn ip_of_host(text: &str) -> Option<String> {
    let tells = |ip: &IpAddr| match ip.to_canonical() {
        IpAddr::V4(ip) => !(ip.is_loopback() || ip.is_link_local() || ip.is_unspecified()),
        IpAddr::V6(ip) => !(ip.is_loopback() || ip.is_unicast_link_local() || ip.is_unspecified()),
    };
    // Some write a list as one text.
    let parts = text.split([',', ';', ' ']).filter_map(address);
    address(text).into_iter().chain(parts).find(tells).map(|ip| ip.to_string())
}

fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let in_brackets = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let bare = in_brackets.split('%').next()?;
    bare.parse::<IpAddr>().ok().or_else(with_port)
}

/// The ids of techniques in a text such as `T1078`, `Valid Accounts (T1078)` or
/// `T1078, T1110.001`; a text without such an id is one itself.
#[must_use]
pub fn techniques(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '.');
    let words = words.map(|word| word.rsplit_once("attack.").map_or(word, |(_, id)| id));
    let ids: Vec<_> =
        words.map(|word| word.trim_matches('.').to_uppercase()).filter(|word| is_technique(word)).collect();
    if ids.is_empty() { vec![text.to_owned()] } else { ids }
}

/// `T` with four digits, and perhaps a part of three.
fn is_technique(word: &str) -> bool {
    let digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    word.strip_prefix('T').is_some_and(|rest| match rest.split_once('.') {
        Some((of, part)) => digits(of, 4) && digits(part, 3),
        None => digits(rest, 4),
    })
}

/// A SHA-256 in lowercase hex.
#[must_use]
pub fn sha256(text: &str) -> Option<String> {
    hex_of(text, SHA256_DIGITS)
}

/// An MD5 in lowercase hex.
#[must_use]
pub fn md5(text: &str) -> Option<String> {
    hex_of(text, MD5_DIGITS)
}

fn hex_of(text: &str, digits: usize) -> Option<String> {
    let text = text.trim();
    let is = text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit());
    is.then(|| text.to_ascii_lowercase())
}

/// A web address that may be shown as a link: `http` or `https` only.
#[must_use]
pub fn web_address(text: &str, chars_max: usize) -> Option<String> {
    let text = text.trim();
    let lower = text.get(..8).unwrap_or(text).to_ascii_lowercase();
    let is = (lower.starts_with("https://") || lower.starts_with("http://"))
        && text.chars().count() <= chars_max
        && !text.chars().any(|c| c.is_whitespace() || misleads(c) || matches!(c, '"' | '<' | '>'));
    is.then(|| text.to_owned())
}

/// The site a text names: the host of a web address, else the text in one
/// line (`External Drive` stays as it is).
#[must_use]
pub fn site(text: &str) -> String {
    let text = text.trim();
    let after_scheme = text.split_once("://").map(|(_, rest)| rest);
    let rest = after_scheme.unwrap_or(text);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let looks_like_host =
        authority.contains('.') && !authority.chars().any(|c| c.is_whitespace() || misleads(c));
    if after_scheme.is_none() && !looks_like_host {
        return one_line(text, SITE_CHARS_MAX);
    }
    let host = authority.rsplit('@').next().unwrap_or(authority);
    let host = match host.rsplit_once(':') {
        Some((name, port))
            if (!name.contains(':') || name.ends_with(']')) && port.bytes().all(|b| b.is_ascii_digit()) =>
        {
            name
        }
        _ => host,
    };
    one_line(&host.to_lowercase(), SITE_CHARS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_misleads_a_reader_is_shown_instead_of_obeyed() {
        for (text, shown) in [
            ("a\u{1b}[31mred", "a\\u{1b}[31mred"),
            ("nul\0l", "nul\\u{0}l"),
            ("two\r\nlines", "two\\r\\nlines"),
            ("gpj.\u{202e}exe", "gpj.\\u{202e}exe"),
            ("  plain ümlaut 漢字 ", "plain ümlaut 漢字"),
        ] {
            assert_eq!(one_line(text, 100), shown);
        }
        assert_eq!(many_lines("a\r\nb\tc\u{7}", 100), "a\nb\tc\\u{7}");
    }

    #[test]
    fn long_text_is_cut_with_a_mark_within_the_limit() {
        assert_eq!(one_line("abcdef", 4), "abc…");
        assert_eq!(one_line("abcd", 4), "abcd");
        assert_eq!(one_line("abc\u{1b}", 5), "abc…");
    }

    #[test]
    fn only_one_plain_address_counts_as_mail_address() {
        for (text, is) in [
            ("a@b.example", true),
            ("Administrator", false),
            ("a@b@c", false),
            ("@b", false),
            ("a b@c.example", false),
            ("a@b.example,c@d.example", false),
            ("a@b.example\0", false),
            ("CORP\\jdoe@x", false),
        ] {
            assert_eq!(is_email(text), is, "{text}");
        }
    }

    #[test]
    fn a_site_is_the_host_of_an_address_or_the_words_themselves() {
        for (text, is) in [
            ("https://www.example.com/a?b", "www.example.com"),
            ("https://user:pw@Drive.Example.com:8443/x", "drive.example.com"),
            ("www.example.com/dms/prv", "www.example.com"),
            ("External Drive", "External Drive"),
            ("Dropbox", "Dropbox"),
            ("http://[::1]:80/", "[::1]"),
        ] {
            assert_eq!(site(text), is, "{text}");
        }
    }

    #[test]
    fn a_technique_is_its_id_whatever_stands_around_it() {
        for (text, ids) in [
            ("Valid Accounts (T1078)", vec!["T1078"]),
            ("T1078, t1110.001", vec!["T1078", "T1110.001"]),
            ("attack.t1059", vec!["T1059"]),
            ("CSTA0001", vec!["CSTA0001"]),
            ("Suspicious activity", vec!["Suspicious activity"]),
        ] {
            assert_eq!(techniques(text), ids, "{text}");
        }
    }

    #[test]
    fn only_web_addresses_become_links() {
        assert!(web_address("https://example.com/x", 100).is_some());
        for bad in ["javascript:alert(1)", "https://a b", "ftp://x", "", "http", "https://x\u{1b}"] {
            assert_eq!(web_address(bad, 100), None, "{bad}");
        }
    }

    #[test]
    fn addresses_and_hashes_are_taken_only_when_they_are_such() {
        assert_eq!(ip("fe80:0:0:0:bd2b:9ac6:5b3a:b47f%eth0").as_deref(), Some("fe80::bd2b:9ac6:5b3a:b47f"));
        assert_eq!(ip("LAPTOP-1"), None);
        assert_eq!(ip("198.51.100.7:63070").as_deref(), Some("198.51.100.7"));
        assert_eq!(ip("[2001:db8::7]:443").as_deref(), Some("2001:db8::7"));
        assert_eq!(ip("[2001:db8::7]").as_deref(), Some("2001:db8::7"));
        for none in ["127.0.0.1", "::1", "169.254.7.7", "fe80::1%eth0", "0.0.0.0", "::ffff:127.0.0.1"] {
            assert_eq!(ip_of_host(none), None, "{none}");
        }
        assert_eq!(ip_of_host("10.0.0.7").as_deref(), Some("10.0.0.7"));
        assert_eq!(ip_of_host("127.0.0.1, 192.0.2.10,203.0.113.30").as_deref(), Some("192.0.2.10"));
        assert_eq!(sha256(&"AB".repeat(32)), Some("ab".repeat(32)));
        assert_eq!(sha256("abc"), None);
    }
}
