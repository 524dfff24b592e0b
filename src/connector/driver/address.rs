//! Which network addresses are called, whatever a name resolves to.
//!
//! Internal systems are the normal case, so private addresses are allowed: only
//! the host that the operator configured is ever called. What is refused are
//! addresses that no configured system has and that an attacker who controls a
//! name would choose: link-local ones, where clouds keep credentials, and this
//! machine itself under any name but its own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Metadata services that are not link-local: Alibaba Cloud, Azure's wire
/// server, and AWS over IPv6.
const METADATA_V4: [Ipv4Addr; 2] = [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16)];
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// Addresses that are never called: link-local and metadata ones, those that
/// mean "any" or "all", and IPv6 forms of these.
pub fn never_called(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            v4.is_link_local()
                || v4.octets()[0] == 0
                || v4.is_broadcast()
                || v4.is_multicast()
                || METADATA_V4.contains(&v4)
        }
        IpAddr::V6(v6) => {
            let link_local = (v6.segments()[0] & 0xffc0) == 0xfe80;
            link_local
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6 == METADATA_V6
                || embedded(v6).is_some_and(|v4| never_called(IpAddr::V4(v4)))
        }
    }
}

/// The IPv4 address inside an IPv6 one: mapped (RFC 4291 §2.5.5), NAT64
/// (RFC 6052) and 6to4 (RFC 3056).
fn embedded(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let of = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] => of(g, h),
        // Deprecated "compatible" addresses; ::1 is loopback and not one of them.
        [0, 0, 0, 0, 0, 0] if v6 != Ipv6Addr::LOCALHOST => of(g, h),
        [0x2002, ..] => of(b, c),
        _ => None,
    }
}

/// The addresses of a configured host that may be called.
///
/// # Errors
/// When it resolves to none; says why.
pub async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let own_name = is_own_name(host);
    let literal = host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    let found: Vec<SocketAddr> = match literal {
        Some(address) => vec![SocketAddr::new(address, port)],
        None => tokio::net::lookup_host((host, port))
            .await
            .map_err(|error| format!("`{host}` cannot be resolved: {error}"))?
            .filter(|address| own_name || !is_loopback(address.ip()))
            .collect(),
    };
    let allowed: Vec<SocketAddr> = found.into_iter().filter(|address| !never_called(address.ip())).collect();
    if allowed.is_empty() {
        return Err(format!(
            "`{host}` resolves to no address that may be called (for this machine itself, write 127.0.0.1 or localhost)"
        ));
    }
    Ok(allowed)
}

/// Whether this is a name of the machine itself (RFC 6761 §6.3).
pub fn is_own_name(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}

fn is_loopback(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback(),
        IpAddr::V6(v6) => v6.is_loopback() || embedded(v6).is_some_and(|v4| v4.is_loopback()),
    }
}

/// [`resolve`] for reqwest, which asks it for names and never for literals.
pub struct GuardedResolver;

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = resolve(name.as_str(), 0).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_addresses_are_never_called_in_any_form() {
        for address in [
            "169.254.169.254",
            "169.254.0.1",
            "0.0.0.0",
            "0.1.2.3",
            "255.255.255.255",
            "224.0.0.1",
            "100.100.100.200",
            "168.63.129.16",
            "fe80::1",
            "febf::1",
            "::",
            "ff02::1",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "fd00:ec2::254",
        ] {
            assert!(never_called(address.parse().expect("it is an address")), "{address}");
        }
        for address in [
            "127.0.0.1",
            "::1",
            "10.0.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "fd12::1",
            "203.0.113.1",
            "2001:db8::1",
        ] {
            assert!(!never_called(address.parse().expect("it is an address")), "{address}");
        }
    }

    #[tokio::test]
    async fn only_the_machines_own_name_means_the_machine() {
        assert!(resolve("localhost", 80).await.is_ok());
        assert!(resolve("127.0.0.1", 80).await.is_ok());
        assert!(resolve("[fe80::1]", 80).await.is_err());
        for (name, own) in [
            ("localhost", true),
            ("LOCALHOST.", true),
            ("a.localhost", true),
            ("localhost.evil.example", false),
        ] {
            assert_eq!(is_own_name(name), own, "{name}");
        }
    }
}
