//! Addresses of people, compared one way everywhere.

/// An address as it is compared: without spaces around it, in lower case. RFC 5321
/// (section 2.4) lets a host tell cases of a mailbox apart; for who may decide, two
/// cases of one address are one person.
pub fn address_key(address: &str) -> String {
    address.trim().to_lowercase()
}

/// Whether two addresses are the same.
pub fn same_address(one: &str, other: &str) -> bool {
    address_key(one) == address_key(other)
}
