//! Whether a browser sends what a page of ours asked it to send. Another site can
//! have a browser post a form here; it can neither leave these headers out nor
//! change them. Programs and old mail readers send none of them; what they post
//! still needs the confirmation that only our page holds.

use axum::http::{HeaderMap, header};

use crate::intake::signature::challenge::OKTA_CHALLENGE;
use crate::service::error::Sort;
use crate::web::problem::Problem;

/// Lets a request through that no other site has caused.
///
/// # Errors
/// When a browser says that it comes from elsewhere.
pub fn from_this_site(headers: &HeaderMap, public_url: &str) -> Result<(), Problem> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("elsewhere").trim());
    let host = text(header::HOST.as_str());
    let is_ours = |origin: &str| {
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        let public = public_url.trim_end_matches('/');
        origin.eq_ignore_ascii_case(origin_of(public))
            || authority.zip(host).is_some_and(|(origin, host)| origin.eq_ignore_ascii_case(host))
    };
    let from_elsewhere = match (text("sec-fetch-site"), text("origin")) {
        (Some("same-origin"), None | Some("null")) => false,
        (None | Some("same-origin"), Some(origin)) => !is_ours(origin),
        // Typed, or out of the list of what was open before.
        (Some("none"), None) => false,
        (Some(_), _) => true,
        (None, None) => false,
    };
    if !from_elsewhere {
        return Ok(());
    }
    Err(Problem::new(
        Sort::Forbidden,
        "other-site",
        "this was sent from another site, so nothing was answered. Please open the link of your mail and use the page there",
    ))
}

/// The scheme and authority of an address.
fn origin_of(url: &str) -> &str {
    let after = url.find("://").map_or(0, |at| at + 3);
    let end = url[after..].find('/').map_or(url.len(), |at| after + at);
    &url[..end]
}

/// Whether the headers are Okta's question to a source, which comes without a token.
pub fn is_handshake(headers: &HeaderMap) -> bool {
    headers.contains_key(OKTA_CHALLENGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_site_has_a_browser_post_is_refused() {
        let public = "https://quell.example.com/behind";
        for (site, origin, passes) in [
            // Programs and old readers say nothing.
            (None, None, true),
            (Some("same-origin"), Some("https://quell.example.com"), true),
            (Some("same-origin"), Some("http://10.0.0.7:8787"), true),
            (Some("same-origin"), Some("null"), true),
            (Some("same-origin"), None, true),
            (Some("none"), None, true),
            (None, Some("https://quell.example.com"), true),
            (None, Some("HTTPS://Quell.Example.com"), true),
            (None, Some("null"), false),
            (None, Some("https://evil.example"), false),
            (None, Some("https://quell.example.com.evil.example"), false),
            (None, Some("http://quell.example.com"), false),
            (Some("cross-site"), None, false),
            (Some("cross-site"), Some("null"), false),
            (Some("cross-site"), Some("https://quell.example.com"), false),
            (Some("same-site"), Some("https://other.example.com"), false),
            (Some("same-origin"), Some("https://evil.example"), false),
            (Some("none"), Some("https://evil.example"), false),
            (Some("what"), None, false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, "10.0.0.7:8787".parse().expect("a header"));
            for (name, value) in [("sec-fetch-site", site), ("origin", origin)] {
                if let Some(value) = value {
                    headers.insert(name, value.parse().expect("a header"));
                }
            }
            assert_eq!(from_this_site(&headers, public).is_ok(), passes, "{site:?} {origin:?}");
        }
    }
}
