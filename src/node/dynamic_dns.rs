//! Names that follow the node's address: every five minutes it finds out which addresses others see, and where they changed tells the
//! name server (RFC 2136) or a provider's URL.
//!
//! An IPv6 address, and an IPv4 one that is nobody's private one, is read off this machine: it is what the system would send from; no
//! packet is sent for that. Where a router translates, `address_urls` are asked, and believed if they answer with one public address.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use smol::Timer;
use zeroize::Zeroizing;

use super::name_server::NameServer;
use super::watch::{Subject, Watch};
use crate::config::DynamicDns;
use crate::fetch::{Asker, Request};
use crate::net::dns::Change;

/// Looks again and again. Ends with the node.
pub(super) async fn follow(settings: DynamicDns, name_server: Option<NameServer>, watch: Watch) {
    let asker = match Asker::new(settings.ca_file.as_deref(), ANSWER_BYTES_MAX) {
        Ok(asker) => Arc::new(asker),
        Err(text) => {
            log::warn!("dynamic_dns: {text}");
            return watch.trouble(Subject::Address, format!("names do not follow the node's address: {text}"));
        }
    };
    // Told once after a start also when nothing changed: it may have changed while the node was off.
    let mut told: BTreeMap<bool, IpAddr> = BTreeMap::new();
    let mut failures = 0;
    loop {
        let addresses = find(&settings, &asker).await;
        let changed = news(&told, &addresses);
        if !changed.is_empty() {
            match tell(&settings, name_server.as_ref(), &asker, &changed).await {
                Ok(()) => {
                    for address in changed {
                        log::info!("{} now lead to {address}", settings.names.join(", "));
                        told.insert(address.is_ipv6(), address);
                    }
                    failures = 0;
                    watch.over(Subject::Address);
                }
                Err(text) => {
                    failures += 1;
                    let text = format!("names do not follow the node's address: {text}");
                    if failures == 1 {
                        log::warn!("{text}");
                    }
                    watch.trouble(Subject::Address, text);
                }
            }
        }
        // A server that refuses is asked less and less often, up to every five hours.
        Timer::after(LOOK_EVERY * 2u32.pow(u32::min(failures, 6))).await;
    }
}

/// Addresses that were not told yet.
fn news(told: &BTreeMap<bool, IpAddr>, found: &[IpAddr]) -> Vec<IpAddr> {
    found.iter().filter(|address| told.get(&address.is_ipv6()) != Some(address)).copied().collect()
}

/// One of each family at most.
async fn find(settings: &DynamicDns, asker: &Arc<Asker>) -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = [PROBE_IPV4, PROBE_IPV6].into_iter().filter_map(source_address).collect();
    for url in &settings.address_urls {
        let (asker, url) = (asker.clone(), url.clone());
        let answer = smol::unblock(move || asker.ask(&Request { url: &url, ..Request::default() })).await;
        let address = match answer {
            Ok(response) if response.status == 200 => read_address(&response.body),
            Ok(response) => {
                log::debug!("dynamic_dns: an address URL answers with {}", response.status);
                None
            }
            Err(why) => {
                log::debug!("dynamic_dns: an address URL: {why}");
                None
            }
        };
        // What others see goes before what this machine believes.
        if let Some(address) = address {
            found.retain(|known| known.is_ipv6() != address.is_ipv6());
            found.push(address);
        }
    }
    found
}

/// What the system would send from. Connecting a datagram socket sends nothing.
fn source_address(towards: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = if towards.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).ok()?;
    socket.connect(SocketAddr::new(towards, 53)).ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|address| is_public(*address))
}

/// An answer that holds an address and nothing else.
fn read_address(body: &[u8]) -> Option<IpAddr> {
    std::str::from_utf8(body).ok()?.trim().parse().ok().filter(|address| is_public(*address))
}

/// Could others reach it? RFC 1918, RFC 4193, RFC 6598 and the like could not.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let shared = a == 100 && (64..128).contains(&b);
            !(v4.is_private() || v4.is_loopback() || v4.is_link_local() || shared || a == 0 || a >= 224)
        }
        IpAddr::V6(v6) => matches!(v6.segments(), [0x2000..=0x3fff, ..]),
    }
}

async fn tell(
    settings: &DynamicDns,
    name_server: Option<&NameServer>,
    asker: &Arc<Asker>,
    addresses: &[IpAddr],
) -> Result<(), String> {
    match (&settings.url, name_server) {
        (Some(template), _) => {
            for name in &settings.names {
                for address in addresses {
                    let url = template.replace("{name}", name).replace("{address}", &address.to_string());
                    let (asker, authorization) = (asker.clone(), authorization(settings)?);
                    let asked = smol::unblock(move || {
                        let authorization = authorization.as_ref().map(|text| text.as_str());
                        asker.ask(&Request { url: &url, authorization, ..Request::default() })
                    });
                    let response = asked.await.map_err(|why| format!("dynamic_dns.url: {why}"))?;
                    judge(response.status, &response.body)?;
                }
            }
            Ok(())
        }
        (None, Some(server)) => {
            let each = settings.names.iter().flat_map(|name| addresses.iter().map(move |address| (name, address)));
            let changes = each.map(|(name, address)| (name.clone(), Change::Address(*address))).collect();
            server.change(changes).await
        }
        (None, None) => Err("nothing is said of how records are changed (remedy: [dns_update])".to_owned()),
    }
}

/// HTTP says whether it was done; the widespread protocol of dyndns2 says 200 to everything, and then a word.
fn judge(status: u16, body: &[u8]) -> Result<(), String> {
    const REFUSALS: [&str; 8] = ["badauth", "notfqdn", "nohost", "numhost", "abuse", "badagent", "!donator", "911"];
    let text = String::from_utf8_lossy(body);
    let word = text.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
    match REFUSALS.iter().find(|refusal| **refusal == word) {
        Some(refusal) => {
            Err(format!("the provider answers {refusal} (remedy: check dynamic_dns.names, user and secret_file)"))
        }
        None if (200..300).contains(&status) => Ok(()),
        None => Err(format!(
            "the provider answers with HTTP {status} (remedy: check dynamic_dns.url, user and secret_file)"
        )),
    }
}

/// RFC 7617, with what is in the file now.
fn authorization(settings: &DynamicDns) -> Result<Option<Zeroizing<String>>, String> {
    let (Some(user), Some(file)) = (&settings.user, &settings.secret_file) else { return Ok(None) };
    let secret = fs::read_to_string(file).map(Zeroizing::new);
    let secret =
        secret.map_err(|error| format!("{} cannot be read: {error} (remedy: its mode and owner)", file.display()))?;
    let pair = Zeroizing::new(format!("{user}:{}", secret.trim_end()));
    let encoded = Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(pair.as_bytes()));
    Ok(Some(Zeroizing::new(format!("Basic {}", encoded.as_str()))))
}

/// Addresses that are routed everywhere and used for nothing here: those of root name servers.
const PROBE_IPV4: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 41, 0, 4));
const PROBE_IPV6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0x503, 0xba3e, 0, 0, 0, 2, 0x30));
const LOOK_EVERY: Duration = Duration::from_secs(300);
const ANSWER_BYTES_MAX: usize = 4 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_one_public_address_or_nothing() {
        for (body, good) in [
            ("198.51.100.7\n", true),
            ("2001:db8::7", true),
            ("192.168.1.2", false),
            ("10.0.0.1", false),
            ("100.64.0.1", false),
            ("127.0.0.1", false),
            ("fe80::1", false),
            ("fd00::1", false),
            ("<html>198.51.100.7</html>", false),
            ("", false),
        ] {
            assert_eq!(read_address(body.as_bytes()).is_some(), good, "{body}");
        }
    }

    #[test]
    fn only_what_changed_is_told_and_refusals_are_seen() {
        let (a, b): (IpAddr, IpAddr) = ("198.51.100.7".parse().unwrap(), "2001:db8::7".parse().unwrap());
        let told = BTreeMap::from([(false, a)]);
        assert_eq!(news(&told, &[a, b]), [b]);
        assert_eq!(news(&told, &["198.51.100.8".parse().unwrap()]).len(), 1);
        assert!(judge(200, b"good 198.51.100.7").is_ok() && judge(204, b"").is_ok());
        assert!(judge(200, b"badauth").is_err() && judge(403, b"").is_err());
    }
}
