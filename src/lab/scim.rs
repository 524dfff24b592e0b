//! SCIM 2.0 as values: a user as a resource (RFC 7643), filters and PATCH
//! requests read (RFC 7644). No sockets here.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::lab::seed::{AccountKind, Person};
use crate::lab::world::{UserState, World};

/// The media type of every SCIM body (RFC 7644, section 3.1).
pub const MEDIA_TYPE: &str = "application/scim+json";
/// Users on a page when the client asks for no count, and at most.
pub const PAGE_DEFAULT: usize = 20;
pub const PAGE_MAX: usize = 100;
/// Operations in one PATCH: clients send a handful.
pub const OPERATIONS_MAX: usize = 50;

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";
const CONFIG: &str = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig";

/// A refusal as RFC 7644 section 3.12 words it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub status: u16,
    /// `invalidFilter`, `invalidSyntax`, … for status 400.
    pub scim_type: Option<&'static str>,
    pub detail: String,
}

impl Refused {
    /// A refusal without a SCIM error keyword.
    pub fn new(status: u16, detail: impl Into<String>) -> Self {
        Self { status, scim_type: None, detail: detail.into() }
    }

    /// Status 400 with its keyword.
    pub fn bad(scim_type: &'static str, detail: impl Into<String>) -> Self {
        Self { status: 400, scim_type: Some(scim_type), detail: detail.into() }
    }

    /// The error body.
    pub fn body(&self) -> Value {
        let mut body =
            json!({ "schemas": [ERROR], "status": self.status.to_string(), "detail": self.detail });
        if let Some(scim_type) = self.scim_type {
            body["scimType"] = json!(scim_type);
        }
        body
    }
}

/// The entity tag of a user's version.
pub fn etag(state: &UserState) -> String {
    format!("W/\"{}\"", state.version)
}

/// Whether an `If-Match` header lets a change of this version through.
/// SCIM servers hand out weak tags and compare them weakly (section 3.14).
pub fn if_match_holds(header: Option<&str>, etag: &str) -> bool {
    header.is_none_or(|tags| tags.split(',').map(str::trim).any(|tag| tag == "*" || tag == etag))
}

/// A user as the provider shows it. `base` is the address of `/scim/v2`.
pub fn user(world: &World, base: &str, person: &Person, state: &UserState) -> Value {
    let mut emails = vec![json!({ "value": person.email, "type": "work", "primary": true })];
    emails.extend(person.aliases.iter().map(|alias| json!({ "value": alias, "type": "other" })));
    let groups: Vec<Value> = person
        .groups
        .iter()
        .map(|group| json!({ "value": group, "display": group, "type": "direct" }))
        .collect();
    let mut enterprise = json!({ "department": person.department });
    if !person.employee_id.is_empty() {
        enterprise["employeeNumber"] = json!(person.employee_id);
    }
    if let Some(manager) = person.manager.as_deref().and_then(|email| world.person_at(email)) {
        enterprise["manager"] = json!({
            "value": manager.id,
            "displayName": manager.name(),
            "$ref": format!("{base}/Users/{}", manager.id),
        });
    }
    let mut user = json!({
        "schemas": [USER, ENTERPRISE],
        "id": person.id,
        "userName": person.email,
        "displayName": person.name(),
        "name": { "formatted": person.name(), "givenName": person.given, "familyName": person.family },
        "title": person.title,
        "userType": match person.kind {
            AccountKind::Employee => "Employee",
            AccountKind::Service => "Service",
        },
        "active": state.active,
        "emails": emails,
        "groups": groups,
        "meta": {
            "resourceType": "User",
            "created": world.state().started_at,
            "lastModified": state.modified,
            "location": format!("{base}/Users/{}", person.id),
            "version": etag(state),
        },
    });
    user[ENTERPRISE] = enterprise;
    if !person.employee_id.is_empty() {
        user["externalId"] = json!(person.employee_id);
    }
    user
}

/// A page of users (section 3.4.2). `start` counts from 1.
pub fn list(total: usize, start: usize, resources: &[Value]) -> Value {
    json!({
        "schemas": [LIST],
        "totalResults": total,
        "startIndex": start,
        "itemsPerPage": resources.len(),
        "Resources": resources,
    })
}

/// What this provider can do (RFC 7643, section 5).
pub fn provider_config(base: &str) -> Value {
    json!({
        "schemas": [CONFIG],
        "patch": { "supported": true },
        "bulk": { "supported": false, "maxOperations": 0, "maxPayloadSize": 0 },
        "filter": { "supported": true, "maxResults": PAGE_MAX },
        "changePassword": { "supported": false },
        "sort": { "supported": false },
        "etag": { "supported": true },
        "authenticationSchemes": [{
            "type": "oauthbearertoken",
            "name": "Bearer token",
            "description": "The token that the lab prints when it starts",
        }],
        "meta": { "resourceType": "ServiceProviderConfig", "location": format!("{base}/ServiceProviderConfig") },
    })
}

/// A filter of the one form that finding a person needs: `attribute eq "value"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    UserName(String),
    Email(String),
    Id(String),
    ExternalId(String),
}

impl Filter {
    /// Reads a filter; every other form is refused with `invalidFilter`.
    pub fn read(text: &str) -> Result<Self, Refused> {
        let refused = || {
            Refused::bad(
                "invalidFilter",
                "this server filters by: userName, emails.value, id or externalId, then eq, then a quoted value",
            )
        };
        let (attribute, rest) = text.trim().split_once(char::is_whitespace).ok_or_else(refused)?;
        let (operator, value) = rest.trim_start().split_once(char::is_whitespace).ok_or_else(refused)?;
        if !operator.eq_ignore_ascii_case("eq") {
            return Err(refused());
        }
        // The value is a JSON string (RFC 7644, figure 1).
        let value: String = serde_json::from_str(value.trim()).map_err(|_| refused())?;
        let attribute = attribute.to_ascii_lowercase();
        let core = USER.to_ascii_lowercase() + ":";
        match attribute.strip_prefix(&core).unwrap_or(&attribute) {
            "username" => Ok(Self::UserName(value)),
            "emails.value" | "emails" => Ok(Self::Email(value)),
            "id" => Ok(Self::Id(value)),
            "externalid" => Ok(Self::ExternalId(value)),
            _ => Err(refused()),
        }
    }

    /// Whether this account is meant. Names and addresses ignore case, ids
    /// do not (RFC 7643, sections 3.1 and 4.1).
    pub fn matches(&self, person: &Person) -> bool {
        match self {
            Self::UserName(value) => person.email.eq_ignore_ascii_case(value),
            Self::Email(value) => person.has_address(value),
            Self::Id(value) => person.id == *value,
            Self::ExternalId(value) => !person.employee_id.is_empty() && person.employee_id == *value,
        }
    }
}

#[derive(Deserialize)]
struct PatchRequest {
    schemas: Vec<String>,
    #[serde(rename = "Operations")]
    operations: Vec<Operation>,
}

#[derive(Deserialize)]
struct Operation {
    op: String,
    path: Option<String>,
    value: Option<Value>,
}

/// Reads a PATCH request: the value `active` has after it, or `None` when it
/// sets nothing. All operations are checked before any counts, since a PATCH
/// is atomic (section 3.5.2).
pub fn patch(body: &[u8]) -> Result<Option<bool>, Refused> {
    let request: PatchRequest = serde_json::from_slice(body)
        .map_err(|e| Refused::bad("invalidSyntax", format!("not a PatchOp: {e}")))?;
    if !request.schemas.iter().any(|schema| schema.eq_ignore_ascii_case(PATCH)) {
        return Err(Refused::bad("invalidSyntax", format!("schemas must contain {PATCH}")));
    }
    if request.operations.is_empty() || request.operations.len() > OPERATIONS_MAX {
        return Err(Refused::bad(
            "invalidValue",
            format!("Operations must have 1 to {OPERATIONS_MAX} entries"),
        ));
    }
    let mut active = None;
    for operation in request.operations {
        // `add` on a single-valued attribute replaces it (section 3.5.2.1).
        match operation.op.to_ascii_lowercase().as_str() {
            "replace" | "add" => {
                if let Some(value) = operation_sets(operation.path.as_deref(), operation.value)? {
                    active = Some(value);
                }
            }
            "remove" => return Err(Refused::bad("mutability", "nothing here can be removed")),
            other => {
                return Err(Refused::bad("invalidSyntax", format!("unknown op {other:?}")));
            }
        }
    }
    Ok(active)
}

fn operation_sets(path: Option<&str>, value: Option<Value>) -> Result<Option<bool>, Refused> {
    let value = value.ok_or_else(|| Refused::bad("invalidValue", "the operation has no value"))?;
    if let Some(path) = path {
        writable(path)?;
        return boolean(&value).map(Some);
    }
    let Value::Object(attributes) = value else {
        return Err(Refused::bad("invalidValue", "without a path, the value must be an object"));
    };
    let mut active = None;
    for (name, value) in &attributes {
        writable(name)?;
        active = Some(boolean(value)?);
    }
    Ok(active)
}

fn writable(path: &str) -> Result<(), Refused> {
    let path = path.to_ascii_lowercase();
    let core = USER.to_ascii_lowercase() + ":";
    if path.strip_prefix(&core).unwrap_or(&path) == "active" {
        Ok(())
    } else {
        Err(Refused::bad("mutability", format!("only active can be changed here, not {path:?}")))
    }
}

/// Entra ID sends booleans as `"True"` and `"False"`; servers take both.
fn boolean(value: &Value) -> Result<bool, Refused> {
    match value {
        Value::Bool(value) => Ok(*value),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(Refused::bad("invalidValue", "active is true or false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_sets_active_in_every_way_that_clients_write_it() {
        for (operations, expected) in [
            (json!([{"op": "replace", "path": "active", "value": false}]), Ok(Some(false))),
            (json!([{"op": "Replace", "path": "Active", "value": "False"}]), Ok(Some(false))),
            (json!([{"op": "replace", "value": {"active": true}}]), Ok(Some(true))),
            (json!([{"op": "add", "path": format!("{USER}:active"), "value": "True"}]), Ok(Some(true))),
            (json!([{"op": "replace", "value": {}}]), Ok(None)),
            (json!([{"op": "replace", "path": "active", "value": "no"}]), Err("invalidValue")),
            (json!([{"op": "replace", "path": "active"}]), Err("invalidValue")),
            (json!([{"op": "replace", "path": "title", "value": "x"}]), Err("mutability")),
            (json!([{"op": "remove", "path": "active"}]), Err("mutability")),
            (json!([{"op": "disable", "path": "active", "value": true}]), Err("invalidSyntax")),
            (json!([]), Err("invalidValue")),
        ] {
            let body = json!({ "schemas": [PATCH], "Operations": operations }).to_string();
            let read = patch(body.as_bytes()).map_err(|e| e.scim_type.unwrap_or_default());
            assert_eq!(read, expected, "{body}");
        }
        assert_eq!(patch(b"{").expect_err("cut off").scim_type, Some("invalidSyntax"));
        let foreign = json!({ "schemas": ["urn:x"], "Operations": [] }).to_string();
        assert_eq!(patch(foreign.as_bytes()).expect_err("another schema").scim_type, Some("invalidSyntax"));
    }

    #[test]
    fn filters_of_the_known_form_are_read_and_others_refused() {
        for (text, expected) in [
            (r#"userName eq "a@b""#, Some(Filter::UserName("a@b".into()))),
            (r#"USERNAME Eq "a@b""#, Some(Filter::UserName("a@b".into()))),
            (r#"emails.value eq "a@b""#, Some(Filter::Email("a@b".into()))),
            (r#"externalId eq "E-1""#, Some(Filter::ExternalId("E-1".into()))),
            (r#"id eq "1""#, Some(Filter::Id("1".into()))),
            (r#"userName sw "a""#, None),
            ("userName eq a", None),
            (r#"userName eq "a" or id eq "b""#, None),
            (r#"title eq "x""#, None),
            ("userName pr", None),
            ("", None),
        ] {
            assert_eq!(Filter::read(text).ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn if_match_compares_any_listed_tag() {
        for (header, holds) in [
            (None, true),
            (Some("*"), true),
            (Some("W/\"2\""), true),
            (Some("W/\"1\", W/\"2\""), true),
            (Some("W/\"1\""), false),
            (Some("bogus"), false),
        ] {
            assert_eq!(if_match_holds(header, "W/\"2\""), holds, "{header:?}");
        }
    }
}
