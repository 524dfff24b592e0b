//! Who a user is: what a source's rules give, accounts that are no person, and one
//! person named twice.

use crate::domain::alert::User;
use crate::domain::value::Value;
use crate::intake::normalise::TEXT_CHARS_MAX;
use crate::intake::record::{Record, email};
use crate::intake::rule::{Sight, as_text};
use crate::intake::text;

/// The keys by which a source tells the subject: address, id, name, number, service.
pub const SUBJECT: [&str; 5] = ["user.email", "user.id", "user.name", "user.employee_id", "user.service"];

/// The keys by which a source tells who did it.
pub const ACTOR: [&str; 5] = ["actor.email", "actor.id", "actor.name", "actor.employee_id", "actor.service"];

/// The keys by which a source tells one of several.
pub const LISTED: [&str; 5] = ["email", "id", "name", "employee_id", "service"];

/// Accounts that operating systems bring along, in lower case, without domain.
const BUILT_IN: &[&str] = &[
    "system",
    "localsystem",
    "local service",
    "network service",
    "anonymous logon",
    "nt authority",
    "root",
    "daemon",
    "nobody",
    "www-data",
];

/// How names of accounts begin that were made for programs.
/// The last is the automated process of Salesforce.
const STARTS: &[&str] =
    &["svc-", "svc_", "svc.", "service-account", "serviceaccount", "system:", "autoproc@"];

/// How names and addresses of accounts end that were made for programs: machine
/// accounts of Active Directory, bots, service accounts of Google, applications of Box.
const ENDS: &[&str] = &["$", "[bot]", ".gserviceaccount.com", "@boxdevedition.com"];

/// Accounts of Windows with a number behind: window manager, font driver host.
const NUMBERED: &[&str] = &["dwm-", "umfd-"];

/// Well-known SIDs of Windows for the system and its services.
const SIDS: &[&str] = &["S-1-5-18", "S-1-5-19", "S-1-5-20"];

/// How SIDs of Windows begin for the window manager and the font driver host.
const SID_STARTS: &[&str] = &["S-1-5-90-", "S-1-5-96-"];

/// A user by the rules of its keys. What stands where an address is wanted and is none
/// becomes the name, so that nothing is ever sent to or done to an address that is no
/// address; beside an address only when it says the same, for it may be of another.
#[must_use]
pub fn user(record: &Record, sight: &Sight<'_>, keys: [&str; 5]) -> Option<User> {
    let [mail, id, name, employee_id, service] = keys;
    let text = |key| record.first(key, sight, of_one);
    let address = record.checked(mail, sight, email);
    let same = |login: &String| address.as_ref().is_none_or(|address| is_login_of(login, address));
    let login = |value: &Value| of_one(value).filter(|text| !text::is_email(text)).filter(same);
    let mut user = User {
        id: text(id),
        name: text(name).or_else(|| record.first(mail, sight, login)),
        employee_id: text(employee_id),
        service: record.first(service, sight, Value::as_bool).unwrap_or(false),
        email: address.clone(),
    };
    user.service = user.service || is_service(&user);
    (!user.is_nobody()).then_some(user)
}

/// What one account is called; a text that lists several names nobody.
fn of_one(value: &Value) -> Option<String> {
    let is_list = |text: &String| {
        let parts = text.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '|'));
        text.contains(';') || parts.filter(|part| part.contains('@')).count() > 1
    };
    as_text(value, TEXT_CHARS_MAX).filter(|text| !is_list(text))
}

/// Whether an account, perhaps with its domain, is what stands before the `@`.
fn is_login_of(login: &str, address: &str) -> bool {
    let bare = login.rsplit('\\').next().unwrap_or_default();
    let local = address.split('@').next().unwrap_or_default();
    bare.to_lowercase() == local.to_lowercase()
}

/// Whether what an account is called says that it belongs to a program or a
/// machine. A source can say so too, where its detector does.
#[must_use]
pub fn is_service(user: &User) -> bool {
    let by_name = [&user.email, &user.name].into_iter().flatten().any(|name| {
        let name = name.trim().to_lowercase();
        let bare = name.rsplit('\\').next().unwrap_or_default();
        let bare = bare.split_once("(uid=").map_or(bare, |(name, _)| name);
        let numbered =
            |start: &&str| bare.strip_prefix(*start).is_some_and(|rest| rest.parse::<u32>().is_ok());
        BUILT_IN.contains(&bare)
            || NUMBERED.iter().any(numbered)
            || STARTS.iter().any(|start| bare.starts_with(start))
            || ENDS.iter().any(|end| bare.ends_with(end))
    });
    let by_id =
        |id: &String| SIDS.contains(&id.as_str()) || SID_STARTS.iter().any(|start| id.starts_with(start));
    by_name || user.id.as_ref().is_some_and(by_id)
}

/// The list with one entry for each user: two that share the mail address or
/// the id, and contradict one another in nothing, are one.
#[must_use]
pub fn merged(users: Vec<User>) -> Vec<User> {
    let mut kept: Vec<User> = Vec::with_capacity(users.len());
    for user in users {
        match kept.iter_mut().find(|known| are_one(known, &user)) {
            Some(known) => {
                known.service |= user.service;
                let User { email, id, name, employee_id, .. } = user;
                known.email = known.email.take().or(email);
                known.id = known.id.take().or(id);
                known.name = known.name.take().or(name);
                known.employee_id = known.employee_id.take().or(employee_id);
            }
            None => kept.push(user),
        }
    }
    kept
}

fn are_one(one: &User, other: &User) -> bool {
    let same = |one: &Option<String>, other: &Option<String>| match (one, other) {
        (Some(one), Some(other)) => Some(one.eq_ignore_ascii_case(other)),
        _ => None,
    };
    let mail = same(&one.email, &other.email);
    let id = same(&one.id, &other.id);
    let number = same(&one.employee_id, &other.employee_id);
    let told = [mail, id, number];
    let agree = told.contains(&Some(true)) && !told.contains(&Some(false));
    agree || User { service: one.service, ..other.clone() } == *one
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(email: &str, id: &str, name: &str) -> User {
        let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        User { email: said(email), id: said(id), name: said(name), ..User::default() }
    }

    #[test]
    fn accounts_of_programs_are_told_by_what_they_are_called() {
        for (email, id, name) in [
            ("", "", "CORP\\svc-backup"),
            ("", "", "NT AUTHORITY\\SYSTEM"),
            ("", "", "FS-EU-03$"),
            ("", "", "dependabot[bot]"),
            ("etl@project.iam.gserviceaccount.com", "", ""),
            ("svc.mail@example.com", "", ""),
            ("", "S-1-5-18", ""),
            ("", "S-1-5-96-0-1", ""),
            ("", "", "root(uid=0)"),
            ("", "", "Window Manager\\DWM-1"),
            ("", "", "UMFD-0"),
            ("AutomationUser_1_x@boxdevedition.com", "", ""),
            ("autoproc@00dxx0000001234", "", ""),
        ] {
            assert!(is_service(&user(email, id, name)), "{email}{id}{name}");
        }
        for name in
            ["CORP\\jdoe", "Svenja", "Administrator", "rooted", "systema", "ann(uid=1000)", "dwm-fan", "DWM-"]
        {
            assert!(!is_service(&user("", "", name)), "{name}");
        }
    }

    #[test]
    fn one_person_named_twice_is_one_and_namesakes_stay_two() {
        let twice = merged(vec![user("A@b.example", "", "Ann"), user("a@b.example", "7", "")]);
        assert_eq!(twice, [user("A@b.example", "7", "Ann")]);
        let namesakes = [user("a@b.example", "", "Ann"), user("c@b.example", "", "Ann")];
        assert_eq!(merged(namesakes.to_vec()), namesakes);
        let apart = [user("a@b.example", "7", ""), user("a@b.example", "8", "")];
        assert_eq!(merged(apart.to_vec()), apart);
        let name_alone = [user("a@b.example", "", "Ann"), user("", "", "Ann")];
        assert_eq!(merged(name_alone.to_vec()), name_alone);
        assert_eq!(merged(vec![user("", "", "Ann"), user("", "", "Ann")]).len(), 1);
    }
}
