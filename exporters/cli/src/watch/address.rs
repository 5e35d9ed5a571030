//! Where the engine's metrics are: what the user gives, completed. Pure.

use std::fmt;
use std::str::FromStr;

use ureq::http::Uri;

/// The port that engine-vitals serves on unless told otherwise.
const DEFAULT_PORT: u16 = 9184;

/// The whole URL of an engine's metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address(Uri);

impl Address {
    pub(crate) fn uri(&self) -> &Uri {
        &self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Address {
    type Err = String;

    /// Adds what is missing: `http://`, `/metrics`, and, where there is no scheme either, the port.
    fn from_str(given: &str) -> Result<Self, String> {
        let has_scheme = given.contains("://");
        let whole = if has_scheme { given.to_owned() } else { format!("http://{given}") };
        let uri: Uri = whole.parse().map_err(|error| format!("{given:?} is no URL: {error}"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => {
                return Err("only http:// is supported: an engine serves plain HTTP on its own machine. \
                            For another machine use a tunnel: ssh -L 9184:localhost:9184 HOST"
                    .to_owned());
            }
            _ => return Err(format!("{given:?}: only http:// is supported")),
        }
        let Some(authority) = uri.authority().filter(|authority| !authority.host().is_empty()) else {
            return Err(format!("{given:?} names no host: give one, as in http://127.0.0.1:{DEFAULT_PORT}"));
        };
        if authority.as_str().contains('@') {
            return Err("a user name in the URL is not supported: use --token for a bearer token".to_owned());
        }
        let authority = match authority.port() {
            // `host:` and `host:99999` have no port that can be read, but are longer than the host.
            None if authority.as_str() != authority.host() => return Err(format!("{given:?} has no valid port")),
            None if !has_scheme => format!("{}:{DEFAULT_PORT}", authority.host()),
            _ => authority.to_string(),
        };
        let path = match uri.path_and_query().map_or("/", |path| path.as_str()) {
            "/" => "/metrics",
            path => path,
        };
        let whole = Uri::builder().scheme("http").authority(authority).path_and_query(path).build();
        whole.map(Self).map_err(|error| format!("{given:?} is no URL: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_added() {
        for (given, whole) in [
            ("http://127.0.0.1:9184", "http://127.0.0.1:9184/metrics"),
            ("http://127.0.0.1:9184/", "http://127.0.0.1:9184/metrics"),
            ("127.0.0.1:8000", "http://127.0.0.1:8000/metrics"),
            ("localhost", "http://localhost:9184/metrics"),
            ("[::1]", "http://[::1]:9184/metrics"),
            ("[::1]:80/", "http://[::1]:80/metrics"),
            ("http://render-3", "http://render-3/metrics"),
            ("host/proxied/metrics?x=1", "http://host:9184/proxied/metrics?x=1"),
        ] {
            assert_eq!(given.parse::<Address>().map(|address| address.to_string()), Ok(whole.to_owned()));
        }
    }

    #[test]
    fn what_cannot_be_used_is_said() {
        for (given, reason) in [
            ("https://host", "only http:// is supported: an engine serves plain HTTP"),
            ("ftp://host", "only http://"),
            ("", "is no URL"),
            ("http://", "is no URL"),
            ("a b", "is no URL"),
            ("http://:9184", "names no host"),
            ("host:99999", "no valid port"),
            ("host:", "no valid port"),
            ("me:secret@host:1", "--token"),
        ] {
            let error = given.parse::<Address>().unwrap_err();
            assert!(error.contains(reason), "{given}: {error}");
            assert!(!error.contains("secret"));
        }
    }
}
