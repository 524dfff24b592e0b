//! The systems and laptops of the practice range, as the asset inventory
//! knows them.

use crate::lab::seed::{AccountKind, Person, address};

/// One asset in the inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    pub name: String,
    /// `application`, `service` or `laptop`.
    pub kind: String,
    pub description: String,
    /// `low`, `medium` or `high`.
    pub criticality: String,
    /// `public`, `internal`, `confidential` or `restricted`.
    pub data_class: String,
    /// Mail address of the owner.
    pub owner: String,
    pub support_group: String,
    /// Whether the company manages it (a mobile device manager, a build system).
    pub managed: bool,
}

/// name, kind, description, criticality, data class, owner's login, group.
type Row = (&'static str, &'static str, &'static str, &'static str, &'static str, &'static str, &'static str);

const SYSTEMS: &[Row] = &[
    (
        "payments-ledger",
        "application",
        "Ledger of card and bank payments",
        "high",
        "confidential",
        "priya.nair",
        "payments-platform",
    ),
    (
        "hr-portal",
        "application",
        "Personal files, pay and leave",
        "high",
        "restricted",
        "lee.park",
        "people-systems",
    ),
    (
        "source-control",
        "service",
        "Source code of all products",
        "high",
        "confidential",
        "jo.lindqvist",
        "developer-platform",
    ),
    (
        "finance-warehouse",
        "service",
        "Reporting copies of finance data",
        "medium",
        "confidential",
        "morgan.reyes",
        "finance-data",
    ),
    ("crm", "application", "Customers and contracts", "medium", "confidential", "alex.chen", "sales-systems"),
    (
        "build-farm",
        "service",
        "Builds and releases",
        "medium",
        "internal",
        "alex.chen2",
        "developer-platform",
    ),
    (
        "status-page",
        "application",
        "Public status of the services",
        "low",
        "public",
        "alex.chen2",
        "developer-platform",
    ),
];

/// Every system, then one laptop for each person.
pub fn assets(people: &[Person]) -> Vec<Asset> {
    let systems =
        SYSTEMS.iter().map(|&(name, kind, description, criticality, data_class, owner, group)| Asset {
            name: name.to_owned(),
            kind: kind.to_owned(),
            description: description.to_owned(),
            criticality: criticality.to_owned(),
            data_class: data_class.to_owned(),
            owner: address(owner),
            support_group: group.to_owned(),
            managed: true,
        });
    let laptops = people.iter().filter(|p| p.kind == AccountKind::Employee).map(|person| Asset {
        name: laptop_of(person),
        kind: "laptop".to_owned(),
        description: format!("Laptop of {}", person.name()),
        criticality: "low".to_owned(),
        data_class: "internal".to_owned(),
        owner: person.email.clone(),
        support_group: "workplace".to_owned(),
        managed: person.contract == "permanent",
    });
    systems.chain(laptops).collect()
}

/// The name of a person's laptop: `LT-DWHITFIELD-01`. A login that ends in a
/// digit (a second person of the name) gets that digit as the number.
pub fn laptop_of(person: &Person) -> String {
    let number = person.login.chars().last().filter(char::is_ascii_digit).unwrap_or('1');
    let initial = person.given.chars().next().unwrap_or('X');
    format!("LT-{initial}{}-0{number}", person.family).to_uppercase()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chrono::NaiveDate;

    use super::*;
    use crate::lab::seed;

    #[test]
    fn every_asset_is_owned_by_somebody_known() {
        let people = seed::people(5, NaiveDate::from_ymd_opt(2026, 1, 5).expect("a real day"));
        let assets = assets(&people);
        for asset in &assets {
            assert!(people.iter().any(|p| p.email == asset.owner), "{} has no owner", asset.name);
        }
        let dana = assets.iter().find(|a| a.name == "LT-DWHITFIELD-01").expect("the subject's laptop");
        assert_eq!(dana.owner, "dana.whitfield@example.com");
        let named: BTreeSet<_> =
            assets.iter().filter(|a| a.name.starts_with("LT-ACHEN")).map(|a| &a.name).collect();
        assert_eq!(named.len(), 2, "the two people called Alex Chen have a laptop each");
    }
}
