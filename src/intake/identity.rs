//! Who a user is: accounts that are no person, and one person named twice.

use crate::domain::alert::User;

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
const STARTS: &[&str] = &["svc-", "svc_", "svc.", "service-account", "serviceaccount", "system:"];

/// How names and addresses of accounts end that were made for programs:
/// machine accounts of Active Directory, bots, service accounts of Google.
const ENDS: &[&str] = &["$", "[bot]", ".gserviceaccount.com"];

/// Well-known SIDs of Windows for the system and its services.
const SIDS: &[&str] = &["S-1-5-18", "S-1-5-19", "S-1-5-20"];

/// Whether what an account is called says that it belongs to a program or a
/// machine. A source can say so too, where its detector does.
#[must_use]
pub fn is_service(user: &User) -> bool {
    let by_name = [&user.email, &user.name].into_iter().flatten().any(|name| {
        let name = name.trim().to_lowercase();
        let bare = name.rsplit('\\').next().unwrap_or_default();
        BUILT_IN.contains(&bare)
            || STARTS.iter().any(|start| bare.starts_with(start))
            || ENDS.iter().any(|end| bare.ends_with(end))
    });
    by_name || user.id.as_ref().is_some_and(|id| SIDS.contains(&id.as_str()))
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
        ] {
            assert!(is_service(&user(email, id, name)), "{email}{id}{name}");
        }
        for name in ["CORP\\jdoe", "Svenja", "Administrator", "rooted", "systema"] {
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
