//! The world's text as text: never markup, in HTML or in Markdown.

/// Text without what no reader sees: control characters become spaces, and
/// the marks that turn the direction of writing around are dropped, so that a
/// name can't show itself backwards.
fn visible(text: &str, keep_lines: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' if keep_lines => out.push('\n'),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{feff}' => {}
            '\u{2028}' | '\u{2029}' => out.push(' '),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// For HTML: in an element or a quoted attribute.
pub fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in visible(text, true).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '`' => out.push_str("&#96;"),
            c => out.push(c),
        }
    }
    out
}

/// For plain text: mail bodies and text of questions. Lines are kept.
pub fn plain(text: &str) -> String {
    visible(text, true)
}

/// For Markdown, in a paragraph, a list or a table cell. What could begin
/// markup is escaped; lines become spaces; web addresses are written `hxxps`,
/// as responders do, because many readers turn a bare address into a link
/// that somebody then follows.
pub fn markdown(text: &str) -> String {
    let text = defang(&visible(text, false));
    let mut out = String::with_capacity(text.len() + 16);
    let body = text.trim_start();
    let digits = body.bytes().take_while(u8::is_ascii_digit).count();
    let alone = |rest: &str| rest.is_empty() || rest.starts_with(' ');
    let mut before = ' ';
    for (at, c) in body.char_indices() {
        let after = &body[at + c.len_utf8()..];
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // Inside a word it emphasises nothing, and ids are full of it.
            '_' if before.is_alphanumeric() && after.starts_with(char::is_alphanumeric) => out.push(c),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '$' | '^' => {
                out.push('\\');
                out.push(c);
            }
            // These mean something only where a line begins.
            '#' if at == 0 && !alone(body.trim_start_matches('#')) => out.push(c),
            '#' | '+' | '-' | '=' | ':' if at == 0 => {
                out.push('\\');
                out.push(c);
            }
            '.' | ')' if digits > 0 && at == digits && alone(after) => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
        before = c;
    }
    out
}

/// For Markdown, as a quotation: each line is escaped by itself and ends where
/// it ended (two spaces are Markdown's line break).
pub fn quote(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(markdown).collect();
    let quoted = lines.iter().enumerate().map(|(at, line)| {
        let more = lines.get(at + 1).is_some_and(|next| !next.is_empty());
        match line.is_empty() {
            true => ">".to_owned(),
            false if more => format!("> {line}  "),
            false => format!("> {line}"),
        }
    });
    quoted.collect::<Vec<_>>().join("\n")
}

/// Web addresses that nothing turns into a link.
fn defang(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let starts =
            |prefix: &str| rest.get(..prefix.len()).is_some_and(|it| it.eq_ignore_ascii_case(prefix));
        if starts("http://") || starts("https://") {
            out.push_str("hxxp");
            rest = &rest[4..];
        } else if starts("ftp://") {
            out.push_str("fxp");
            rest = &rest[3..];
        } else if starts("www.") {
            out.push_str("www[.]");
            rest = &rest[4..];
        } else {
            let next = rest.chars().next().map_or(1, char::len_utf8);
            out.push_str(&rest[..next]);
            rest = &rest[next..];
        }
    }
    out
}

/// For Markdown, as code: everything inside is literal. The fence is longer
/// than any run of backticks in the text; `|` is escaped, because cells of a
/// table are cut before code is read.
pub fn code(text: &str) -> String {
    let text = visible(text, false);
    let text = text.trim();
    if text.is_empty() {
        return "–".to_owned();
    }
    let mut longest = 0;
    let mut run = 0;
    for c in text.chars() {
        run = if c == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    let fence = "`".repeat(longest + 1);
    let pad = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    // Of `\\|` a table reads the two backslashes first and cuts at the bar.
    let text = text.replace("\\|", "\\ |").replace('|', "\\|");
    format!("{fence}{pad}{text}{pad}{fence}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_stays_text() {
        for (text, wanted) in [
            ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
            ("\" onload='x'", "&quot; onload=&#39;x&#39;"),
            ("a\u{202e}txt.exe\u{0}b", "atxt.exe b"),
        ] {
            assert_eq!(html(text), wanted);
        }
    }

    #[test]
    fn markdown_stays_text() {
        for (text, wanted) in [
            ("[click](http://evil)", "\\[click\\](hxxp://evil)"),
            ("# big\n- list", "\\# big - list"),
            ("1. one", "1\\. one"),
            ("a|b *c* _d_ `e`", "a\\|b \\*c\\* \\_d\\_ \\`e\\`"),
            ("![x](y)<b>", "!\\[x\\](y)&lt;b&gt;"),
            ("see www.evil.example", "see www\\[.\\]evil.example"),
            ("2026-11-23 09:34 UTC", "2026-11-23 09:34 UTC"),
            ("#12, #13", "#12, #13"),
            ("###", "\\###"),
            ("rep_01 _x_ __y__", "rep_01 \\_x\\_ \\_\\_y\\_\\_"),
            ("1.43", "1.43"),
        ] {
            assert_eq!(markdown(text), wanted);
        }
    }

    #[test]
    fn a_quotation_keeps_its_lines_and_stays_a_quotation() {
        assert_eq!(quote("Hello,\n\nwho: *D*\n# what"), "> Hello,\n>\n> who: \\*D\\*  \n> \\# what");
    }

    #[test]
    fn code_keeps_backticks_inside() {
        assert_eq!(code("a`b"), "``a`b``");
        assert_eq!(code("`a`"), "`` `a` ``");
        assert_eq!(code("a|b\nc"), "`a\\|b c`");
        assert_eq!(code("a\\|b"), "`a\\ \\|b`");
        assert_eq!(code(""), "–");
    }
}
