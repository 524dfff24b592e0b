//! Groups and their addresses.

use std::collections::BTreeMap;

use crate::domain::address::address_key;
use crate::domain::value::Value;
use crate::yaml::diagnostic::did_you_mean;

/// People that one entry, group or list may come to. A message to more is a
/// broadcast, which is not what questions and approvals are for.
pub const RECIPIENTS_MAX: usize = 50;

/// Groups by name.
#[derive(Debug, Clone, Default)]
pub struct People {
    groups: BTreeMap<String, Vec<String>>,
}

impl People {
    /// Groups with their addresses, put in lower case.
    pub fn new(groups: impl IntoIterator<Item = (String, Vec<String>)>) -> Self {
        let lower = |addresses: Vec<String>| addresses.iter().map(|address| address_key(address)).collect();
        Self { groups: groups.into_iter().map(|(name, addresses)| (name, lower(addresses))).collect() }
    }

    /// The names of all groups.
    pub fn names(&self) -> Vec<String> {
        self.groups.keys().cloned().collect()
    }

    /// The groups an address is in.
    pub fn groups_of(&self, address: &str) -> Vec<String> {
        let address = address_key(address);
        self.groups
            .iter()
            .filter(|(_, members)| members.contains(&address))
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// The addresses that entries (addresses and `group:NAME`) come to, each
    /// once, in order.
    ///
    /// # Errors
    /// An unknown or empty group, something that is no address, nobody at all,
    /// or more than [`RECIPIENTS_MAX`].
    pub fn resolve<S: AsRef<str>>(&self, entries: &[S]) -> Result<Vec<String>, String> {
        let mut found: Vec<String> = Vec::new();
        for entry in entries {
            let entry = entry.as_ref().trim();
            let addresses = match entry.strip_prefix("group:") {
                Some(group) => self.members(group)?.to_vec(),
                None if is_address(entry) => vec![address_key(entry)],
                None => {
                    return Err(format!(
                        "`{}` is neither a mail address nor group:NAME",
                        entry.escape_debug()
                    ));
                }
            };
            for address in addresses {
                if !found.contains(&address) {
                    found.push(address);
                }
            }
        }
        match found.len() {
            0 => Err("it comes to nobody".to_owned()),
            n if n > RECIPIENTS_MAX => {
                Err(format!("it comes to {n} people; at most {RECIPIENTS_MAX} are written to at once"))
            }
            _ => Ok(found),
        }
    }

    fn members(&self, group: &str) -> Result<&[String], String> {
        match self.groups.get(group) {
            Some(members) if !members.is_empty() => Ok(members),
            Some(_) => {
                Err(format!("the group `{group}` is empty; add people under `people.groups` in the settings"))
            }
            None => {
                let meant = did_you_mean(group, self.groups.keys())
                    .map(|meant| format!(" (did you mean `{meant}`?)"))
                    .unwrap_or_default();
                Err(format!(
                    "there is no group `{}`{meant}; add it under `people.groups` in the settings",
                    group.escape_debug()
                ))
            }
        }
    }
}

/// The entries of a value that names people: one text or a list of texts.
pub fn entries_of(value: &Value) -> Vec<String> {
    match value {
        Value::String(one) => vec![one.clone()],
        Value::Array(many) => many.iter().filter_map(|entry| entry.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    }
}

/// Whether a text looks like one mail address: enough to refuse names and lists;
/// the mail driver parses it for real.
pub fn is_address(text: &str) -> bool {
    let mut parts = text.split('@');
    let (Some(local), Some(domain), None) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let plain = |part: &str| {
        !part.is_empty()
            && !part
                .chars()
                .any(|c| c.is_whitespace() || c.is_control() || matches!(c, ',' | ';' | '<' | '>' | '"'))
    };
    plain(local) && plain(domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_come_to_addresses_each_once() {
        let people = People::new([
            ("leads".to_owned(), vec!["Ana@x.org".to_owned(), "sam@x.org".to_owned()]),
            ("empty".to_owned(), vec![]),
        ]);
        assert_eq!(
            people.resolve(&["group:leads", "ana@x.org", "lee@x.org"]),
            Ok(vec!["ana@x.org".into(), "sam@x.org".into(), "lee@x.org".into()])
        );
        assert_eq!(people.groups_of("ANA@x.org"), ["leads"]);
        for (entries, says) in [
            (vec!["group:lead"], "did you mean `leads`"),
            (vec!["group:empty"], "is empty"),
            (vec!["Ana"], "neither"),
            (vec![], "nobody"),
            (vec!["a@b, c@d"], "neither"),
        ] {
            let error = people.resolve(&entries).expect_err("it is refused");
            assert!(error.contains(says), "{error}");
        }
    }
}
