//! Addresses, records and waits of the HTTP transport.

use super::*;

fn driver() -> HttpDriver {
    let secret = SecretString::from("s3cr3t!".to_owned());
    HttpDriver::new("http://127.0.0.1:9/base", None, vec![secret], 1000).expect("it is an address")
}

fn request(path: &[&str], query: &[(&str, &str)]) -> HttpRequest {
    HttpRequest {
        method: "GET".to_owned(),
        path: path.iter().map(|part| (*part).to_owned()).collect(),
        query: query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        headers: Vec::new(),
        body: None,
        timeout: Duration::from_secs(1),
    }
}

#[test]
fn values_stay_values_in_an_address() {
    for (hostile, encoded) in [
        ("../admin", "..%2Fadmin"),
        ("a/b", "a%2Fb"),
        ("a\\b", "a%5Cb"),
        ("a?x=1", "a%3Fx%3D1"),
        ("a#b", "a%23b"),
        ("a%2fb", "a%252fb"),
        ("%2e%2e", "%252e%252e"),
        ("a\nb\t", "a%0Ab%09"),
        (".\n.", ".%0A."),
        ("\"q\"", "%22q%22"),
        ("😀", "%F0%9F%98%80"),
        ("a;b=c", "a%3Bb%3Dc"),
        (" a ", "%20a%20"),
        ("@evil:80", "@evil:80"),
    ] {
        let url = driver().url(&request(&["Users", hostile], &[("filter", hostile)])).expect("it is encoded");
        assert_eq!(url.origin().ascii_serialization(), "http://127.0.0.1:9", "{hostile}");
        assert_eq!(url.path(), format!("/base/Users/{encoded}"));
        let query: Vec<_> = url.query_pairs().map(|(_, value)| value.into_owned()).collect();
        assert_eq!(query, [hostile]);
    }
    for dots in [".", ".."] {
        assert!(driver().url(&request(&["Users", dots], &[])).is_err());
    }
}

#[test]
fn addresses_that_no_connector_may_have() {
    for address in [
        "http://169.254.169.254/",
        "http://[fe80::1]/",
        "http://[::ffff:169.254.169.254]/",
        "http://0.0.0.0/",
        "http://0/",
        "http://2852039166/",
        "http://0xA9FEA9FE/",
        "http://0251.0376.0251.0376/",
        "http://169.254.43518/",
        "http://user:pw@127.0.0.1/",
        "http://169.254.169.254./",
        "https://a.example/?x=1",
        "https://a.example/#x",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "127.0.0.1:80",
        "",
        "http://",
    ] {
        let refused = HttpDriver::new(address, None, Vec::new(), 10).err();
        assert!(refused.as_ref().is_some_and(|why| !why.contains("pw")), "{address}: {refused:?}");
    }
    for address in ["http://127.0.0.1:80/", "https://10.0.0.1/a/b", "http://[::1]:80", "https://idp.example"]
    {
        assert!(HttpDriver::new(address, None, Vec::new(), 10).is_ok(), "{address}");
    }
}

#[test]
fn the_record_holds_no_query_values_and_no_secrets() {
    let line = driver().line(&request(&["host"], &[("key", "s3cr3t!")]));
    assert_eq!(line, "GET http://127.0.0.1:9/base/host?key=…");
    assert_eq!(driver().clean("x s3cr3t! \u{1b}[2J"), "x … \\u{1b}[2J");
}

#[test]
fn a_wished_wait_is_believed_up_to_an_hour() {
    for (text, seconds) in [
        ("0", Some(0)),
        ("2", Some(2)),
        ("1000000000", Some(3600)),
        ("99999999999999999999999", Some(3600)),
        ("Wed, 21 Oct 2015 07:28:00 GMT", Some(0)),
        ("Tue, 31 Dec 2999 23:59:59 GMT", Some(3600)),
        ("-1", None),
        ("1e9", None),
        ("soon", None),
        ("", None),
    ] {
        let headers = HeaderMap::from_iter([(reqwest::header::RETRY_AFTER, HeaderValue::from_static(text))]);
        assert_eq!(retry_after(&headers).map(|wait| wait.as_secs()), seconds, "{text}");
    }
}
