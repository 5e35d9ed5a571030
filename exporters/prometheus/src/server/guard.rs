//! What a request must look like to be answered. Pure: no socket, no clock, no state.

use std::net::IpAddr;

use hyper::header::{AUTHORIZATION, CONTENT_LENGTH, HOST, HeaderMap, TRANSFER_ENCODING};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::{Method, StatusCode};
use subtle::ConstantTimeEq;

/// Why a request was refused. Each has its own status, its own text and its own count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Refusal {
    UriTooLong,
    NoHost,
    ForeignHost,
    Method,
    Body,
    Unauthorized,
    NotFound,
    /// As many requests as allowed are being answered already.
    Overloaded,
    /// Collecting took longer than allowed.
    GatherTimeout,
    /// Collecting panicked.
    GatherFailed,
    /// hyper answered 431.
    HeadTooLarge,
    /// hyper answered 400: not HTTP.
    Malformed,
}

impl Refusal {
    pub(crate) const ALL: [Self; 12] = [
        Self::UriTooLong,
        Self::NoHost,
        Self::ForeignHost,
        Self::Method,
        Self::Body,
        Self::Unauthorized,
        Self::NotFound,
        Self::Overloaded,
        Self::GatherTimeout,
        Self::GatherFailed,
        Self::HeadTooLarge,
        Self::Malformed,
    ];

    pub(crate) const fn status(self) -> StatusCode {
        match self {
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::NoHost | Self::Malformed => StatusCode::BAD_REQUEST,
            Self::ForeignHost => StatusCode::FORBIDDEN,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Body => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Overloaded | Self::GatherTimeout => StatusCode::SERVICE_UNAVAILABLE,
            Self::GatherFailed => StatusCode::INTERNAL_SERVER_ERROR,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        }
    }

    /// The value of the `reason` label.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::UriTooLong => "uri_too_long",
            Self::NoHost => "no_host",
            Self::ForeignHost => "foreign_host",
            Self::Method => "method",
            Self::Body => "body",
            Self::Unauthorized => "unauthorized",
            Self::NotFound => "not_found",
            Self::Overloaded => "overloaded",
            Self::GatherTimeout => "gather_timeout",
            Self::GatherFailed => "gather_failed",
            Self::HeadTooLarge => "head_too_large",
            Self::Malformed => "malformed",
        }
    }

    /// What the client reads: what is wrong and what to do.
    pub(crate) const fn message(self) -> &'static str {
        match self {
            Self::UriTooLong => "The request target is too long.\n",
            Self::NoHost => "The request needs exactly one valid Host header.\n",
            Self::ForeignHost => {
                "This host name is not served. Use a loopback name or the bound address, \
                 or allow the name with ExporterBuilder::allow_host.\n"
            }
            Self::Method => "Only GET and HEAD are answered.\n",
            Self::Body => "A request must not have a body.\n",
            Self::Unauthorized => "A bearer token is needed: Authorization: Bearer <token>.\n",
            Self::NotFound => "Nothing is here. Try /metrics, /healthz or /.\n",
            Self::Overloaded => "Too many requests are being answered. Try again in a second.\n",
            Self::GatherTimeout => "Collecting the figures took too long. Try again in a second.\n",
            Self::GatherFailed => "Collecting the figures failed.\n",
            Self::HeadTooLarge => "The request header is too large.\n",
            Self::Malformed => "This is not an HTTP request.\n",
        }
    }
}

/// The host names that are answered. A browser page on a foreign site that has its own name resolve to this machine
/// (DNS rebinding) still sends its own name in `Host`, and is turned away by it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hosts {
    /// Added by the application, in lower case and without a port.
    pub(crate) names: Vec<String>,
    /// The addresses bound.
    pub(crate) bound: Vec<IpAddr>,
}

impl Hosts {
    /// Whether `host` (a `Host` header's value, with or without a port) is one of ours.
    ///
    /// Loopback names always are. When an unspecified address (`0.0.0.0`, `::`) is bound, so is every address
    /// literal: a literal cannot be rebound.
    fn allows(&self, host: &Authority) -> bool {
        if host.as_str().contains('@') {
            return false;
        }
        let name = host.host();
        let literal = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
        if let Ok(ip) = literal.parse::<IpAddr>() {
            let known = ip.is_loopback() || self.bound.iter().any(|bound| *bound == ip || bound.is_unspecified());
            return known || self.names.iter().any(|allowed| *allowed == ip.to_string());
        }
        let name = name.strip_suffix('.').unwrap_or(name);
        name.eq_ignore_ascii_case("localhost") || self.names.iter().any(|allowed| allowed.eq_ignore_ascii_case(name))
    }
}

/// The name in what an application allows, in lower case: without brackets, port or final dot. `None` if it is no host.
pub(crate) fn host_name(given: &str) -> Option<String> {
    let literal = given.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(given);
    if let Ok(ip) = literal.parse::<IpAddr>() {
        return Some(ip.to_string());
    }
    let authority: Authority = given.parse().ok()?;
    let name = authority.host();
    (authority.as_str() == name && !name.is_empty())
        .then(|| name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase())
}

/// The rules that requests are held against.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) hosts: Hosts,
    /// Without it everyone who can connect may read.
    pub(crate) token: Option<String>,
    pub(crate) max_uri: usize,
}

/// Whether the request may be answered; the path is looked at only for `/healthz`, which needs no token.
pub(crate) fn check(request: &Parts, rules: &Rules) -> Result<(), Refusal> {
    if uri_length(request) > rules.max_uri {
        return Err(Refusal::UriTooLong);
    }
    check_host(request, &rules.hosts)?;
    if request.method != Method::GET && request.method != Method::HEAD {
        return Err(Refusal::Method);
    }
    if has_body(&request.headers) {
        return Err(Refusal::Body);
    }
    match &rules.token {
        Some(token) if request.uri.path() != "/healthz" && !carries(&request.headers, token) => {
            Err(Refusal::Unauthorized)
        }
        _ => Ok(()),
    }
}

/// Whether the client takes gzip (`Accept-Encoding`, with a quality above zero).
pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let mut any = false;
    for coding in headers.get_all("accept-encoding").iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(',')) {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let quality = parts.find_map(|p| p.strip_prefix("q=").or_else(|| p.strip_prefix("Q=")));
        let wanted = quality.is_none_or(|q| q.trim().parse::<f32>().is_ok_and(|q| q > 0.0));
        if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
            return wanted;
        }
        any |= name == "*" && wanted;
    }
    any
}

fn uri_length(request: &Parts) -> usize {
    let authority = request.uri.authority().map_or(0, |a| a.as_str().len());
    authority + request.uri.path_and_query().map_or(0, |p| p.as_str().len())
}

fn check_host(request: &Parts, hosts: &Hosts) -> Result<(), Refusal> {
    let mut headers = request.headers.get_all(HOST).iter();
    let (Some(header), None) = (headers.next(), headers.next()) else {
        return Err(Refusal::NoHost);
    };
    let header = header.to_str().ok().and_then(|text| text.parse::<Authority>().ok()).ok_or(Refusal::NoHost)?;
    // In the absolute form (`GET http://host/path`) the target names the host too, and counts as much.
    let target = request.uri.authority();
    if hosts.allows(&header) && target.is_none_or(|target| hosts.allows(target)) {
        Ok(())
    } else {
        Err(Refusal::ForeignHost)
    }
}

fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING) || headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0")
}

fn carries(headers: &HeaderMap, token: &str) -> bool {
    let Some(value) = headers.get(AUTHORIZATION).map(|value| value.as_bytes()) else {
        return false;
    };
    let Some((scheme, given)) = value.split_at_checked("Bearer ".len()) else {
        return false;
    };
    scheme.eq_ignore_ascii_case(b"Bearer ") && bool::from(given.trim_ascii().ct_eq(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        let hosts = Hosts { names: vec!["engine.test".into()], bound: vec![[127, 0, 0, 1].into()] };
        Rules { hosts, token: None, max_uri: 64 }
    }

    fn parts(method: Method, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = hyper::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn get(headers: &[(&str, &str)]) -> Result<(), Refusal> {
        check(&parts(Method::GET, "/metrics", headers), &rules())
    }

    #[test]
    fn hosts_that_are_ours() {
        for host in
            ["localhost", "LOCALHOST:9000", "localhost.", "127.0.0.1:1", "127.9.9.9", "[::1]:80", "Engine.Test:5"]
        {
            assert_eq!(get(&[("host", host)]), Ok(()), "{host}");
        }
    }

    #[test]
    fn hosts_that_are_not() {
        for host in
            ["evil.example", "localhost.evil.example", "10.0.0.1", "user@localhost", "[::2]", "127.0.0.1.nip.io"]
        {
            assert_eq!(get(&[("host", host)]), Err(Refusal::ForeignHost), "{host}");
        }
        for host in ["", "a b", "local/host"] {
            assert_eq!(get(&[("host", host)]), Err(Refusal::NoHost), "{host:?}");
        }
        assert_eq!(get(&[]), Err(Refusal::NoHost));
        assert_eq!(get(&[("host", "localhost"), ("host", "localhost")]), Err(Refusal::NoHost));
    }

    #[test]
    fn absolute_form_counts_as_much_as_the_header() {
        let check = |uri: &str, host: &str| check(&parts(Method::GET, uri, &[("host", host)]), &rules());
        assert_eq!(check("http://localhost/metrics", "localhost"), Ok(()));
        assert_eq!(check("http://evil.example/metrics", "localhost"), Err(Refusal::ForeignHost));
        assert_eq!(check("http://localhost/metrics", "evil.example"), Err(Refusal::ForeignHost));
    }

    #[test]
    fn an_unspecified_binding_answers_to_any_literal_but_no_name() {
        let mut rules = rules();
        rules.hosts.bound = vec![[0, 0, 0, 0].into()];
        let check = |host: &str| check(&parts(Method::GET, "/", &[("host", host)]), &rules);
        assert_eq!(check("192.168.1.7:9000"), Ok(()));
        assert_eq!(check("[fe80::1]"), Ok(()));
        assert_eq!(check("evil.example"), Err(Refusal::ForeignHost));
    }

    #[test]
    fn names_that_may_be_allowed() {
        assert_eq!(host_name("Engine.Test."), Some("engine.test".to_owned()));
        assert_eq!(host_name("[FE80::1]"), Some("fe80::1".to_owned()));
        assert_eq!(host_name("10.0.0.1"), Some("10.0.0.1".to_owned()));
        for none in ["", "host:80", "user@host", "a b", "http://host", "[::1]:80"] {
            assert_eq!(host_name(none), None, "{none:?}");
        }
    }

    #[test]
    fn methods_bodies_and_lengths() {
        let host = ("host", "localhost");
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::TRACE, Method::PATCH] {
            assert_eq!(check(&parts(method, "/", &[host]), &rules()), Err(Refusal::Method));
        }
        assert_eq!(check(&parts(Method::HEAD, "/", &[host]), &rules()), Ok(()));
        assert_eq!(get(&[host, ("content-length", "0")]), Ok(()));
        assert_eq!(get(&[host, ("content-length", "1")]), Err(Refusal::Body));
        assert_eq!(get(&[host, ("transfer-encoding", "chunked")]), Err(Refusal::Body));
        let uri = |length: usize| format!("/{}", "a".repeat(length - 1));
        assert_eq!(check(&parts(Method::GET, &uri(64), &[host]), &rules()), Ok(()));
        assert_eq!(check(&parts(Method::GET, &uri(65), &[host]), &rules()), Err(Refusal::UriTooLong));
    }

    #[test]
    fn tokens() {
        let rules = Rules { token: Some("s3cret".into()), ..rules() };
        let check = |uri: &str, value: Option<&str>| {
            let mut headers = vec![("host", "localhost")];
            headers.extend(value.map(|value| ("authorization", value)));
            check(&parts(Method::GET, uri, &headers), &rules)
        };
        assert_eq!(check("/metrics", Some("Bearer s3cret")), Ok(()));
        assert_eq!(check("/metrics", Some("bearer s3cret")), Ok(()));
        assert_eq!(check("/healthz", None), Ok(()));
        for wrong in
            [None, Some("Bearer s3cre"), Some("Bearer s3crets"), Some("Basic s3cret"), Some("s3cret"), Some("")]
        {
            assert_eq!(check("/metrics", wrong), Err(Refusal::Unauthorized), "{wrong:?}");
        }
    }

    #[test]
    fn gzip_is_taken_only_when_asked_for() {
        let accepts = |value: &str| accepts_gzip(&parts(Method::GET, "/", &[("accept-encoding", value)]).headers);
        for yes in ["gzip", "deflate, gzip", "gzip;q=0.5", "*", "br;q=1.0, GZIP;q=0.8", "x-gzip", "gzip; q=1"] {
            assert!(accepts(yes), "{yes}");
        }
        for no in ["", "identity", "gzip;q=0", "*, gzip;q=0", "gzip;q=x", "gzipped", "*;q=0"] {
            assert!(!accepts(no), "{no}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn every_refusal_has_its_own_place() {
        for (index, refusal) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(refusal as usize, index);
        }
    }
}
