//! Answers and their header fields, for all pages.

use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};

use super::Body;

/// A request whose body is still to come.
pub type Request = hyper::Request<Incoming>;
/// An answer.
pub type Response = hyper::Response<Body>;

/// An answer without content.
pub fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::default());
    *response.status_mut() = status;
    response
}

/// An answer with a line for people.
pub fn line(status: StatusCode, text: &'static str) -> Response {
    document(status, "text/plain; charset=utf-8", format!("{text}\n"))
}

/// An answer with a short document, text or bytes.
pub fn document(status: StatusCode, media_type: &'static str, content: impl Into<Bytes>) -> Response {
    let mut response = Response::new(Body::of(content));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// There is no such page.
pub fn not_found() -> Response {
    line(StatusCode::NOT_FOUND, "There is nothing here.")
}

/// The page does not know this method. RFC 9110 §15.5.6.
pub fn wrong_method(allowed: &'static str) -> Response {
    let mut response = line(StatusCode::METHOD_NOT_ALLOWED, "This page does not do that.");
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

/// The answer to OPTIONS.
pub fn options(allowed: &'static str) -> Response {
    let mut response = empty(StatusCode::NO_CONTENT);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

/// For HEAD: the fields of the answer to GET without its content. RFC 9110 §9.3.2.
pub fn without_content(method: &Method, response: Response) -> Response {
    if *method != Method::HEAD {
        return response;
    }
    let length = hyper::body::Body::size_hint(response.body()).exact();
    let (mut head, _) = response.into_parts();
    if let Some(length) = length {
        head.headers.insert(header::CONTENT_LENGTH, length.into());
    }
    Response::from_parts(head, Body::default())
}

/// Lets the pages of other origins read and, where the page takes it, send. XEP-0363 §9, XEP-0156 §3.
pub fn open_to_all_origins(headers: &mut HeaderMap, methods: &'static str) {
    let fields = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, methods),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "Content-Type, Range, X-Message-Flags"),
        (header::ACCESS_CONTROL_EXPOSE_HEADERS, "Content-Disposition, Content-Range, ETag"),
        (header::ACCESS_CONTROL_MAX_AGE, "7200"),
    ];
    set_all(headers, fields);
}

/// On every answer: a browser that is shown something of ours shall neither guess what it is nor run it.
pub(super) fn make_harmless(headers: &mut HeaderMap) {
    let fields = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'; sandbox"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    set_all(headers, fields);
}

fn set_all<const N: usize>(headers: &mut HeaderMap, fields: [(HeaderName, &'static str); N]) {
    for (name, value) in fields {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
