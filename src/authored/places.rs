//! Where a name stands: an expression knows what it names, the file knows where.

use crate::yaml::node::{Node, NodeValue, Place};

/// The place of the word `path[at]` where the texts of `node` first spell
/// `path[..=at]` (`a.b`, `a.?b`, `a["b"]`); the whole of `node` when none does.
pub fn place_of_name(node: &Node, source: &str, path: &[String], at: usize) -> Place {
    let Some((root, rest)) = path.get(..=at).and_then(<[String]>::split_first) else {
        return node.place;
    };
    let mut found = None;
    each_text(node, &mut |leaf, text| {
        if found.is_none() {
            found = words(text, root)
                .find_map(|start| spelt(text, start, start + root.len(), rest))
                .map(|(start, end)| leaf.place_within(source, start, end));
        }
    });
    found.unwrap_or(node.place)
}

/// Each text in a node.
pub fn each_text<'a>(node: &'a Node, with: &mut dyn FnMut(&'a Node, &'a str)) {
    match &node.value {
        NodeValue::Str(text) => with(node, text),
        NodeValue::List(items) => items.iter().for_each(|item| each_text(item, with)),
        NodeValue::Map(entries) => entries.iter().for_each(|(_, item)| each_text(item, with)),
        _ => {}
    }
}

/// The word at the start of `text`.
pub fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    &text[..end.unwrap_or(text.len())]
}

/// The places where `name` stands as a word of its own and not after a dot.
fn words<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(name).map(|(start, _)| start).filter(move |start| {
        let before = text[..*start].trim_end().chars().next_back();
        let joined = before.is_some_and(|c| c == '.' || c == '?')
            || text[..*start].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        !joined && word(&text[*start..]) == name
    })
}

/// Follows `rest` from the end of a name; gives where its last part stands.
fn spelt(text: &str, mut start: usize, mut end: usize, rest: &[String]) -> Option<(usize, usize)> {
    for part in rest {
        let after = text[end..].trim_start();
        let key = if let Some(key) = after.strip_prefix('.') {
            let key = key.strip_prefix('?').unwrap_or(key).trim_start();
            (word(key) == part).then_some(key)?
        } else {
            let key = after.strip_prefix('[')?;
            let key = key.strip_prefix('?').unwrap_or(key).trim_start();
            let key = key.strip_prefix(['"', '\''])?;
            key.starts_with(part.as_str()).then_some(key)?
        };
        start = text.len() - key.len();
        end = start + part.len();
        // Past the quote and bracket of `["b"]`.
        let closing = text[end..].find(']').filter(|_| text[end..].starts_with(['"', '\'']));
        if let Some(closing) = closing.filter(|_| part != rest.last().unwrap_or(part)) {
            end += closing + 1;
        }
    }
    Some((start, end))
}

#[cfg(test)]
mod tests {
    use super::place_of_name;
    use crate::yaml::reader::read;

    #[test]
    fn the_word_at_fault_is_found_however_it_is_spelt() {
        for (text, path, at, word) in [
            ("${ steps.persn.end_date != null }", "steps.persn.end_date", 1, "persn"),
            ("${ x.steps.a + steps . a }", "steps.a", 1, "a"),
            ("${ has(steps.a.?b) }", "steps.a.b", 2, "b"),
            ("${ alert[\"usr\"].email }", "alert.usr.email", 1, "usr"),
            ("${ alert[\"user\"].mail }", "alert.user.mail", 2, "mail"),
            ("${ usr_x + usr }", "usr", 0, "usr"),
        ] {
            let source = format!("a: 'é'\nb: {{ c: ['{text}'] }}\n");
            let node = read("t", &source).expect("it is YAML");
            let path: Vec<String> = path.split('.').map(str::to_owned).collect();
            let place = place_of_name(&node, &source, &path, at);
            assert_eq!(&source[place.start..place.end], word, "{text}");
            assert!(place.start > source.find("${").expect("it is there"), "{text}");
        }
    }
}
