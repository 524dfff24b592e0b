//! The people of the practice range: a few written by hand because playbooks
//! turn on them, the rest drawn from the seed. All invented, all example.com.

use std::collections::BTreeSet;

use chrono::{Days, NaiveDate};

use crate::lab::chance::Chance;

/// How many people are drawn from the seed beside the named ones: enough that
/// a list has more than one page, few enough to read.
pub const DRAWN_PEOPLE: usize = 30;

/// The mail domain of everybody here (reserved by RFC 2606).
pub const DOMAIN: &str = "example.com";

/// How long after the lab's first start the subject leaves, in days.
pub const NOTICE_DAYS: u64 = 6;

/// Whether an account belongs to a human being.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountKind {
    /// A person; the HR directory knows them too.
    Employee,
    /// A service or emergency account; only the identity provider knows it.
    Service,
}

/// One account, and the person behind it where there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Id at the identity provider.
    pub id: String,
    /// Id in the HR directory.
    pub hr_id: String,
    pub employee_id: String,
    /// Mail address, and the user name at the identity provider.
    pub email: String,
    pub aliases: Vec<String>,
    /// Account name on machines: the mail address without its domain.
    pub login: String,
    pub given: String,
    pub family: String,
    pub title: String,
    pub department: String,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// `active`, `notice` or `left`.
    pub status: String,
    pub start_date: NaiveDate,
    pub end_date: Option<NaiveDate>,
    /// `permanent` or `contractor`.
    pub contract: String,
    /// Mail address of the manager.
    pub manager: Option<String>,
    pub on_leave: bool,
    pub kind: AccountKind,
    pub groups: Vec<String>,
}

impl Person {
    /// The name as people write it.
    pub fn name(&self) -> String {
        if self.family.is_empty() { self.given.clone() } else { format!("{} {}", self.given, self.family) }
    }

    /// Whether this address, in any case, is one of theirs.
    pub fn has_address(&self, address: &str) -> bool {
        self.email.eq_ignore_ascii_case(address)
            || self.aliases.iter().any(|a| a.eq_ignore_ascii_case(address))
    }
}

/// login, given, family, title, department, manager's login, employee number.
type Named = (&'static str, &'static str, &'static str, &'static str, &'static str, &'static str, u32);

const NAMED: &[Named] = &[
    ("dana.whitfield", "Dana", "Whitfield", "Senior Data Engineer", "Finance Data", "morgan.reyes", 20417),
    ("morgan.reyes", "Morgan", "Reyes", "Head of Finance Data", "Finance Data", "jo.lindqvist", 20102),
    ("priya.nair", "Priya", "Nair", "Payments Platform Lead", "Payments", "jo.lindqvist", 20131),
    ("ana.duarte", "Ana", "Duarte", "Incident Response Lead", "Security", "jo.lindqvist", 20155),
    ("sam.okafor", "Sam", "Okafor", "Incident Response Lead", "Security", "jo.lindqvist", 20188),
    ("lee.park", "Lee", "Park", "HR Partner", "People", "jo.lindqvist", 20061),
    ("noor.haddad", "Noor", "Haddad", "Counsel, Employment and Privacy", "Legal", "jo.lindqvist", 20044),
    ("jo.lindqvist", "Jo", "Lindqvist", "Director of Technology", "Technology", "", 20003),
    ("alex.chen", "Alex", "Chen", "Account Manager", "Sales", "jo.lindqvist", 20266),
    ("alex.chen2", "Alex", "Chen", "Site Reliability Engineer", "Technology", "jo.lindqvist", 20391),
];

/// login, display name, title, group.
const SERVICE: &[(&str, &str, &str, &str)] = &[
    ("svc-backup", "Nightly backup", "Service account", "service-accounts"),
    ("breakglass", "Emergency administrator", "Emergency account", "domain-admins"),
];

const GIVEN: &[&str] = &[
    "Aisha", "Bruno", "Carmen", "Daniel", "Elif", "Femi", "Greta", "Hugo", "Imani", "Jonas", "Keiko",
    "Lucia", "Mateo", "Nadia", "Oskar", "Petra", "Quentin", "Rosa", "Stefan", "Tomoko", "Uma", "Viktor",
    "Wanda", "Yusuf",
];
const FAMILY: &[&str] = &[
    "Abara",
    "Bergman",
    "Castillo",
    "Dvorak",
    "Eriksen",
    "Fontaine",
    "Grabowski",
    "Hoshino",
    "Ibarra",
    "Jansen",
    "Kowalczyk",
    "Lindgren",
    "Marchetti",
    "Novak",
    "Osei",
    "Pereira",
    "Quist",
    "Rahman",
    "Sorensen",
    "Takeda",
    "Ueda",
    "Varga",
    "Weiss",
    "Zamora",
];
/// Department, title, manager's login.
const POSTS: &[(&str, &str, &str)] = &[
    ("Finance Data", "Data Analyst", "morgan.reyes"),
    ("Finance Data", "Data Engineer", "morgan.reyes"),
    ("Payments", "Software Engineer", "priya.nair"),
    ("Payments", "Payments Operations Analyst", "priya.nair"),
    ("Security", "Security Analyst", "ana.duarte"),
    ("People", "People Operations Specialist", "lee.park"),
    ("Legal", "Paralegal", "noor.haddad"),
    ("Technology", "Systems Engineer", "jo.lindqvist"),
    ("Sales", "Sales Representative", "jo.lindqvist"),
];
const COUNTRIES: &[&str] = &["GB", "GB", "DE", "ES", "SE", "US"];

/// The address that both people called Alex Chen are reached by.
pub const SHARED_ALIAS: &str = "achen@example.com";

/// Everybody, in a fixed order, for a lab that first started on that day.
pub fn people(seed: u64, started: NaiveDate) -> Vec<Person> {
    let mut all: Vec<Person> = NAMED.iter().map(|named| named_person(seed, started, named)).collect();
    all.extend(SERVICE.iter().map(|&account| service_account(seed, started, account)));
    let mut taken: BTreeSet<String> = all.iter().map(|p| p.login.clone()).collect();
    let mut number = 0_u32;
    while all.len() < NAMED.len() + SERVICE.len() + DRAWN_PEOPLE {
        let person = drawn_person(seed, started, number);
        number += 1;
        if taken.insert(person.login.clone()) {
            all.push(person);
        }
    }
    all
}

/// The mail address of a login here.
pub fn address(login: &str) -> String {
    format!("{login}@{DOMAIN}")
}

fn group_of(department: &str) -> String {
    department.to_lowercase().replace(' ', "-")
}

fn named_person(seed: u64, started: NaiveDate, named: &Named) -> Person {
    let &(login, given, family, title, department, manager, number) = named;
    let mut chance = Chance::new(seed, &format!("person {login}"));
    let subject = login == "dana.whitfield";
    let mut groups = vec!["everyone".to_owned(), group_of(department)];
    if subject {
        groups.push("ledger-readers".to_owned());
    }
    Person {
        id: chance.uuid(),
        hr_id: format!("hr-{number}"),
        employee_id: format!("E-{number}"),
        email: address(login),
        aliases: if family == "Chen" { vec![SHARED_ALIAS.to_owned()] } else { Vec::new() },
        login: login.to_owned(),
        given: given.to_owned(),
        family: family.to_owned(),
        title: title.to_owned(),
        department: department.to_owned(),
        country: "GB".to_owned(),
        status: if subject { "notice" } else { "active" }.to_owned(),
        start_date: days_before(started, 700 + chance.below(2_500)),
        end_date: subject.then(|| days_after(started, NOTICE_DAYS)),
        contract: "permanent".to_owned(),
        manager: (!manager.is_empty()).then(|| address(manager)),
        on_leave: false,
        kind: AccountKind::Employee,
        groups,
    }
}

fn service_account(seed: u64, started: NaiveDate, account: (&str, &str, &str, &str)) -> Person {
    let (login, name, title, group) = account;
    Person {
        id: Chance::new(seed, &format!("person {login}")).uuid(),
        hr_id: String::new(),
        employee_id: String::new(),
        email: address(login),
        aliases: Vec::new(),
        login: login.to_owned(),
        given: name.to_owned(),
        family: String::new(),
        title: title.to_owned(),
        department: "Technology".to_owned(),
        country: "GB".to_owned(),
        status: "active".to_owned(),
        start_date: days_before(started, 1_500),
        end_date: None,
        contract: "permanent".to_owned(),
        manager: None,
        on_leave: false,
        kind: AccountKind::Service,
        groups: vec![group.to_owned()],
    }
}

fn drawn_person(seed: u64, started: NaiveDate, number: u32) -> Person {
    let mut chance = Chance::new(seed, &format!("drawn {number}"));
    let (given, family) = (chance.pick(GIVEN), chance.pick(FAMILY));
    let (department, title, manager) = chance.pick(POSTS);
    let login = format!("{}.{}", given.to_lowercase(), family.to_lowercase());
    let contractor = chance.below(6) == 0;
    let left = chance.below(12) == 0;
    Person {
        id: chance.uuid(),
        hr_id: format!("hr-{}", 21_000 + number),
        employee_id: format!("E-{}", 21_000 + number),
        email: address(&login),
        aliases: Vec::new(),
        login,
        given: given.to_owned(),
        family: family.to_owned(),
        title: title.to_owned(),
        department: department.to_owned(),
        country: chance.pick(COUNTRIES).to_owned(),
        status: if left { "left" } else { "active" }.to_owned(),
        start_date: days_before(started, 60 + chance.below(2_000)),
        end_date: if left {
            Some(days_before(started, 3 + chance.below(40)))
        } else {
            contractor.then(|| days_after(started, 30 + chance.below(300)))
        },
        contract: if contractor { "contractor" } else { "permanent" }.to_owned(),
        manager: Some(address(manager)),
        on_leave: !left && chance.below(10) == 0,
        kind: AccountKind::Employee,
        groups: vec!["everyone".to_owned(), group_of(department)],
    }
}

// A date at the end of the calendar stays where it is: there is no later one.
fn days_after(day: NaiveDate, days: u64) -> NaiveDate {
    day.checked_add_days(Days::new(days)).unwrap_or(day)
}

fn days_before(day: NaiveDate, days: u64) -> NaiveDate {
    day.checked_sub_days(Days::new(days)).unwrap_or(day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day() -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 9, 14).expect("a real day")
    }

    #[test]
    fn one_seed_gives_one_population_and_another_gives_another() {
        assert_eq!(people(3, day()), people(3, day()));
        assert_ne!(people(3, day()), people(4, day()));
    }

    #[test]
    fn every_account_has_its_own_id_address_and_login_and_a_known_manager() {
        let all = people(11, day());
        assert_eq!(all.len(), NAMED.len() + SERVICE.len() + DRAWN_PEOPLE);
        let distinct = |f: fn(&Person) -> &String| all.iter().map(f).collect::<BTreeSet<_>>().len();
        assert_eq!(distinct(|p| &p.id), all.len());
        assert_eq!(distinct(|p| &p.email), all.len());
        assert_eq!(distinct(|p| &p.login), all.len());
        for person in &all {
            if let Some(manager) = &person.manager {
                assert!(all.iter().any(|p| &p.email == manager), "{} reports to nobody", person.email);
            }
        }
    }

    #[test]
    fn the_subject_leaves_six_days_after_the_lab_starts() {
        let all = people(1, day());
        let dana = all.iter().find(|p| p.login == "dana.whitfield").expect("the subject");
        assert_eq!(dana.status, "notice");
        assert_eq!(dana.end_date, NaiveDate::from_ymd_opt(2026, 9, 20));
        assert_eq!(dana.employee_id, "E-20417");
    }

    #[test]
    fn two_people_answer_to_one_name_and_one_alias() {
        let all = people(1, day());
        assert_eq!(all.iter().filter(|p| p.name() == "Alex Chen").count(), 2);
        assert_eq!(all.iter().filter(|p| p.has_address("AChen@example.com")).count(), 2);
    }
}
