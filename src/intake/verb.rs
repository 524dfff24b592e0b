//! Who is at fault follows from what was done: one table of words for all sources.
//!
//! ```text
//! granting, resetting, suspending, removing, to somebody named → the one it was done to
//! reading, sharing, making public, acting for another          → the doer
//! changing what is administered, with nobody named             → nobody
//! any other word                                  → whom it was done to, else the doer
//! ```

/// Who is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Who did it.
    Doer,
    /// Whom it was done to.
    Target,
    /// A setting was changed, or the one it was done to is not named.
    Nobody,
}

/// What a person does with data, with own access, or in the place of another.
const DOING: &[&str] = &[
    "access",
    "accessed",
    "acl",
    "acls",
    "attempt",
    "auth",
    "authenticate",
    "authentication",
    "authorize",
    "bypass",
    "clone",
    "cloned",
    "consent",
    "content",
    "copied",
    "copy",
    "delegate",
    "delegated",
    "deny",
    "download",
    "downloaded",
    "exfiltration",
    "export",
    "exported",
    "fail",
    "failed",
    "failure",
    "fetch",
    "forward",
    "forwarded",
    "impersonate",
    "impersonation",
    "logged",
    "login",
    "loginas",
    "logon",
    "logout",
    "match",
    "matched",
    "opened",
    "overridden",
    "override",
    "preview",
    "previewed",
    "print",
    "printed",
    "public",
    "publish",
    "published",
    "query",
    "read",
    "reveal",
    "revealed",
    "saml",
    "search",
    "searched",
    "select",
    "send",
    "sent",
    "share",
    "shared",
    "sharing",
    "show",
    "shown",
    "sign",
    "signin",
    "signon",
    "sso",
    "sync",
    "synced",
    "takeout",
    "unauth",
    "unauthorized",
    "unload",
    "upload",
    "uploaded",
    "use",
    "used",
    "view",
    "viewed",
    "visibility",
];

/// What is done to somebody's account, membership or rights. Where somebody is named
/// it counts more than a word of doing: `access.revoked` is about who lost it.
const DONE_TO: &[&str] = &[
    "activate",
    "activated",
    "add",
    "added",
    "assign",
    "assigned",
    "ban",
    "banned",
    "block",
    "blocked",
    "deactivate",
    "deactivated",
    "demote",
    "demoted",
    "disable",
    "disabled",
    "enable",
    "enabled",
    "expire",
    "expired",
    "grant",
    "granted",
    "invite",
    "invited",
    "lock",
    "locked",
    "promote",
    "promoted",
    "remove",
    "removed",
    "reset",
    "resets",
    "revoke",
    "revoked",
    "suspend",
    "suspended",
    "unassign",
    "unassigned",
    "unban",
    "unlock",
    "unlocked",
    "unsuspend",
];

/// What people own and work with: changing it, or who may see it, is a doing.
const DATA: &[&str] = &[
    "calendar", "channel", "content", "doc", "document", "drive", "file", "folder", "inbox", "item",
    "mailbox", "message", "repo",
];

/// What is done with rights: to somebody, also where that one is not named.
const RIGHTS: &[&str] = &[
    "assign",
    "assigned",
    "ban",
    "banned",
    "demote",
    "demoted",
    "grant",
    "granted",
    "invite",
    "invited",
    "lock",
    "locked",
    "promote",
    "promoted",
    "reset",
    "resets",
    "revoke",
    "revoked",
    "suspend",
    "suspended",
    "unassign",
    "unassigned",
    "unban",
    "unlock",
    "unlocked",
    "unsuspend",
];

/// Settings: of whatever they say who may do it, changing them is not doing it.
const SETTINGS: &[&str] = &[
    "config",
    "configuration",
    "permission",
    "permissions",
    "policies",
    "policy",
    "pref",
    "preference",
    "rule",
    "rules",
    "setting",
    "settings",
];

/// What those work on who look after alerts: whoever closes one is not whom it is about.
const WORKED_ON: &[&str] = &[
    "alert",
    "alerts",
    "case",
    "cases",
    "detection",
    "detections",
    "finding",
    "findings",
    "incident",
    "incidents",
    "investigation",
];

/// A rule that speaks of somebody is no change of the rule.
const SPEAKS: &[&str] = &["attempt", "evaluate", "match", "matched", "violation"];

/// Changes that are done to data as well as to people.
const CHANGING: &[&str] = &[
    "alter", "change", "changed", "clear", "create", "created", "delete", "deleted", "drop", "edit",
    "revoke", "set", "update", "updated",
];

/// What belongs to a person's account.
const OF_PEOPLE: &[&str] =
    &["account", "accounts", "factor", "member", "members", "mfa", "password", "session", "user", "users"];

/// What is administered: a change of it is about nobody but whom it names.
const ADMINISTERED: &[&str] = &[
    "admin",
    "app",
    "application",
    "branch",
    "client",
    "credential",
    "domain",
    "federation",
    "firewall",
    "group",
    "groups",
    "hook",
    "integration",
    "license",
    "membership",
    "org",
    "organization",
    "principal",
    "privilege",
    "privileges",
    "role",
    "roles",
    "setup",
    "team",
    "tenant",
    "warning",
    "zone",
];

/// Who is at fault by the name of an action, such as `user.lifecycle.suspend`,
/// `private_channel_converted_to_public`, `grantUserRoles` or `Add member to role.`;
/// `targeted` says whether somebody is named to whom it was done.
#[must_use]
pub fn fault(verb: &str, targeted: bool) -> Fault {
    let words = words(verb);
    let any = |table: &[&str]| words.iter().any(|word| table.contains(&word.as_str()));
    let (doing, done_to) = (any(DOING), any(DONE_TO));
    if targeted && (done_to || !doing) {
        Fault::Target
    } else if (any(SETTINGS) || any(WORKED_ON)) && !any(SPEAKS) && !any(DATA) {
        Fault::Nobody
    } else if doing || any(DATA) {
        Fault::Doer
    } else if any(ADMINISTERED) || any(RIGHTS) || ((done_to || any(CHANGING)) && any(OF_PEOPLE)) {
        Fault::Nobody
    } else {
        Fault::Doer
    }
}

/// The words of a name, in lower case: `MailItemsAccessed` has three.
fn words(verb: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut after_small = false;
    for c in verb.chars() {
        let parts = !c.is_alphanumeric() || (c.is_uppercase() && after_small);
        after_small = c.is_lowercase() || c.is_ascii_digit();
        if parts && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_follows_from_the_verb_in_every_vendors_spelling() {
        use Fault::{Doer, Nobody, Target};
        for (verb, targeted, expected) in [
            ("user.lifecycle.suspend", true, Target),
            ("user.lifecycle.suspend", false, Nobody),
            ("user.session.start", false, Doer),
            ("user.authentication.sso", true, Doer),
            ("policy.rule.update", false, Nobody),
            ("app.generic.unauth_app_access_attempt", false, Doer),
            ("access.revoked", true, Target),
            ("private_channel_converted_to_public", false, Doer),
            ("native_dlp_rule_deactivated", false, Nobody),
            ("anomaly", false, Doer),
            ("grantUserRoles", true, Target),
            ("Add member to role.", true, Target),
            ("Set-DlpCompliancePolicy", false, Nobody),
            ("SHARED_LINK_POLICY", false, Nobody),
            ("detection_update", false, Nobody),
            ("owner_transferred", true, Target),
            ("CHANGE_FOLDER_PERMISSION", false, Doer),
            ("groups change_acl_permission", false, Nobody),
            ("DlpRuleMatch", false, Doer),
            ("grant of vault", false, Nobody),
            ("MailItemsAccessed", false, Doer),
            ("FileDeleted", false, Doer),
            ("New-InboxRule", false, Doer),
            ("calendar change_calendar_acls", false, Doer),
            ("groups_enterprise remove_user", true, Target),
            ("account_warning account_disabled_hijacked", false, Nobody),
            ("never seen before", true, Target),
            ("never seen before", false, Doer),
        ] {
            assert_eq!(fault(verb, targeted), expected, "{verb} {targeted}");
        }
    }

    #[test]
    fn names_part_into_words_at_signs_and_capitals() {
        assert_eq!(words("MailItemsAccessed"), ["mail", "items", "accessed"]);
        assert_eq!(words("DELETE_USER.now"), ["delete", "user", "now"]);
    }
}
