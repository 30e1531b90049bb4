//! Addresses of providers: TLS, but on private networks.

use std::net::IpAddr;

use ureq::http::Uri;

use super::fault::Fault;

/// The host of a provider's address, with its port if it names one.
pub(super) fn host_of(url: &str) -> Result<String, Fault> {
    let fault = |text: &str, remedy: &str| Err(Fault::new("url", text, remedy));
    // What a template puts in stands behind the host and does not matter here.
    let end = url.find("://").map_or(0, |at| at + 3);
    let rest = url.get(end..).unwrap_or_default();
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let start = url.get(..end + authority.len()).unwrap_or_default();
    let Ok(uri) = start.parse::<Uri>() else { return fault("no URL", EXAMPLE) };
    let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.host()) else { return fault("no URL", EXAMPLE) };
    if authority.contains('@') {
        return fault("a name or password stands in the URL", "user and secret_file are for them");
    }
    if authority.contains('{') || host.is_empty() {
        return fault("the host must be written out", EXAMPLE);
    }
    match scheme {
        "https" => {}
        "http" if is_private(host) => {}
        "http" => return fault("everybody on the way could read numbers and codes", "https://"),
        _ => return fault("not HTTP", EXAMPLE),
    }
    Ok(authority.to_owned())
}

/// The same without what the URL may end in; a base for paths.
pub(super) fn base_of(url: &str) -> String {
    url.trim_end_matches('/').to_owned()
}

/// An address that only this machine, its network or its VPN can reach.
fn is_private(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(IpAddr::V4(v4)) => {
            let [a, b, ..] = v4.octets();
            // RFC 6598: what carriers and VPNs use between themselves.
            v4.is_loopback() || v4.is_private() || v4.is_link_local() || (a == 100 && (64..128).contains(&b))
        }
        Ok(IpAddr::V6(v6)) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

const EXAMPLE: &str = "e.g. \"https://api.example.com/sms\"";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_is_required_but_at_home() {
        for (url, expected) in [
            ("https://rest.nexmo.com", Ok("rest.nexmo.com")),
            ("https://a.example:8443/x?to={number}", Ok("a.example:8443")),
            ("https://a.example?to={number}", Ok("a.example")),
            ("http://192.168.1.20:8080", Ok("192.168.1.20:8080")),
            ("http://10.0.0.1/", Ok("10.0.0.1")),
            ("http://100.64.0.9/", Ok("100.64.0.9")),
            ("http://127.0.0.1:1", Ok("127.0.0.1:1")),
            ("http://[::1]:8080/", Ok("[::1]:8080")),
            ("http://[fd00::1]/", Ok("[fd00::1]")),
            ("http://localhost:8080", Ok("localhost:8080")),
            ("http://a.example/", Err("everybody on the way could read numbers and codes")),
            ("http://192.0.2.1/", Err("everybody on the way could read numbers and codes")),
            ("http://[2001:db8::1]/", Err("everybody on the way could read numbers and codes")),
            ("ftp://a.example/", Err("not HTTP")),
            ("https://u:p@a.example/", Err("a name or password stands in the URL")),
            ("https://{number}.example/", Err("no URL")),
            ("a.example", Err("no URL")),
            ("/x", Err("no URL")),
            ("https://", Err("no URL")),
            ("", Err("no URL")),
        ] {
            let is = host_of(url).map_err(|fault| fault.text);
            assert_eq!(is.as_deref().map_err(String::as_str), expected, "{url}");
        }
    }
}
