//! Where to connect, for clients that can only ask over HTTP. XEP-0156 §3, RFC 6415.

use hyper::{Method, StatusCode};

use super::answer::{self, Request, Response};
use super::{Answer, Page};

/// Which form of the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Xml,
    Json,
}

/// The document in one of its two forms. It lists the ways into the node that a browser could take.
#[derive(Clone, Debug)]
pub struct HostMeta {
    format: Format,
    links: Vec<(&'static str, String)>,
}

impl HostMeta {
    /// Where the XML form lies.
    pub const XML_PATH: &'static str = "/.well-known/host-meta";
    /// Where the JSON form lies.
    pub const JSON_PATH: &'static str = "/.well-known/host-meta.json";

    /// In XML: each link is a relation and a URL.
    pub fn xml(links: Vec<(&'static str, String)>) -> HostMeta {
        HostMeta { format: Format::Xml, links }
    }

    /// In JSON.
    pub fn json(links: Vec<(&'static str, String)>) -> HostMeta {
        HostMeta { format: Format::Json, links }
    }

    fn document(&self) -> Response {
        match self.format {
            Format::Xml => answer::document(StatusCode::OK, "application/xrd+xml; charset=utf-8", self.to_xml()),
            Format::Json => answer::document(StatusCode::OK, "application/json", self.to_json()),
        }
    }

    fn to_xml(&self) -> String {
        let mut text = format!("<?xml version='1.0' encoding='utf-8'?>\n<XRD xmlns='{XRD}'>\n");
        for (relation, url) in &self.links {
            text.push_str(&format!("  <Link rel='{relation}' href='"));
            crate::xml::escape_attribute(url, &mut text);
            text.push_str("'/>\n");
        }
        text + "</XRD>\n"
    }

    fn to_json(&self) -> String {
        let links: Vec<_> =
            self.links.iter().map(|(relation, url)| serde_json::json!({ "rel": relation, "href": url })).collect();
        format!("{}\n", serde_json::json!({ "links": links }))
    }
}

impl Page for HostMeta {
    fn answer(&self, request: Request) -> Answer<'_> {
        let method = request.method();
        let mut response = match *method {
            Method::GET | Method::HEAD => answer::without_content(method, self.document()),
            Method::OPTIONS => answer::options(METHODS),
            _ => answer::wrong_method(METHODS),
        };
        // XEP-0156 §3: the pages of web clients are of another origin.
        answer::open_to_all_origins(response.headers_mut(), METHODS);
        Box::pin(std::future::ready(response))
    }
}

const METHODS: &str = "GET, HEAD, OPTIONS";
/// Extensible Resource Descriptor 1.0.
const XRD: &str = "http://docs.oasis-open.org/ns/xri/xrd-1.0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_sound_with_and_without_links() {
        let none = HostMeta::xml(Vec::new());
        assert_eq!(none.to_xml(), format!("<?xml version='1.0' encoding='utf-8'?>\n<XRD xmlns='{XRD}'>\n</XRD>\n"));
        assert_eq!(none.to_json(), "{\"links\":[]}\n");
        let one = HostMeta::xml(vec![("urn:xmpp:alt-connections:websocket", "wss://a.example/ws?a&b".to_owned())]);
        let link = "<Link rel='urn:xmpp:alt-connections:websocket' href='wss://a.example/ws?a&amp;b'/>";
        assert!(one.to_xml().contains(link));
        let json: serde_json::Value = serde_json::from_str(&one.to_json()).unwrap();
        assert_eq!(json["links"][0]["href"], "wss://a.example/ws?a&b");
    }
}
