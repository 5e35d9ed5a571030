//! One scrape over HTTP: text, or why there is none. Knows nothing of metrics.

use std::fmt;
use std::io::Read;
use std::time::Duration;

use ureq::Agent;
use ureq::http::header::{AUTHORIZATION, HeaderValue, LOCATION};
use ureq::http::{Response, StatusCode};

use super::address::Address;

/// More than this is read from no server: a thousand times what an engine answers.
pub(crate) const MAX_ANSWER: u64 = 16 << 20;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// From the first look-up to the last byte.
const WHOLE_TIMEOUT: Duration = Duration::from_secs(5);
/// As much of a refusal's text is shown.
const MAX_REASON: u64 = 300;

/// Why a scrape gave nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FetchError {
    /// Nobody answered, or not to the end.
    NoAnswer(String),
    /// There was an answer: a refusal, or not what was asked for.
    Unusable(String),
}

impl FetchError {
    /// What happened, in one line, without what to do about it.
    pub(crate) fn headline(&self) -> &str {
        let (Self::NoAnswer(what) | Self::Unusable(what)) = self;
        what.lines().next().unwrap_or_default()
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::NoAnswer(what) | Self::Unusable(what)) = self;
        f.write_str(what)
    }
}

impl std::error::Error for FetchError {}

/// Reads an engine's metrics, again and again.
#[derive(Debug)]
pub(crate) struct Fetcher {
    address: Address,
    authorization: Option<HeaderValue>,
    agent: Agent,
}

impl Fetcher {
    pub(crate) fn new(address: Address, token: Option<Token>) -> Self {
        let config = Agent::config_builder()
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(WHOLE_TIMEOUT))
            .http_status_as_error(false)
            // A token goes to the address given and nowhere else.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            // One connection per scrape: none is left open in the engine between two.
            .max_idle_connections(0)
            .user_agent(concat!("engine-vitals/", env!("CARGO_PKG_VERSION")));
        Self { address, authorization: token.map(|token| token.0), agent: config.build().new_agent() }
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// The text of one scrape. Ends within [`WHOLE_TIMEOUT`].
    pub(crate) fn fetch(&self) -> Result<String, FetchError> {
        let mut request = self.agent.get(self.address.uri());
        if let Some(value) = &self.authorization {
            request = request.header(AUTHORIZATION, value);
        }
        let response = request.call().map_err(|error| self.no_answer(&error))?;
        if response.status() != StatusCode::OK {
            return Err(self.refusal(response));
        }
        let mut text = Vec::new();
        let mut body = response.into_body().into_with_config().limit(u64::MAX).reader().take(MAX_ANSWER + 1);
        body.read_to_end(&mut text).map_err(|error| self.no_answer(&ureq::Error::from(error)))?;
        if text.len() as u64 > MAX_ANSWER {
            return Err(FetchError::Unusable(format!(
                "{} answers more than {} MiB\nThat is no engine's metrics: check the URL.",
                self.address,
                MAX_ANSWER >> 20
            )));
        }
        String::from_utf8(text).map_err(|error| {
            FetchError::Unusable(format!(
                "{} answers no text: byte {} is not UTF-8\nCheck the URL.",
                self.address,
                error.utf8_error().valid_up_to()
            ))
        })
    }

    fn no_answer(&self, error: &ureq::Error) -> FetchError {
        let address = &self.address;
        match error {
            ureq::Error::Timeout(_) => FetchError::NoAnswer(format!(
                "{address} did not answer in time ({} s)\nIs the engine stopped, in a debugger or overloaded?",
                WHOLE_TIMEOUT.as_secs()
            )),
            ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => FetchError::NoAnswer(
                format!("nothing listens at {address}\nIs the engine running? It prints its URL when it starts."),
            ),
            ureq::Error::Io(error) => FetchError::NoAnswer(format!("cannot reach {address}: {error}")),
            ureq::Error::HostNotFound => FetchError::NoAnswer(format!(
                "{address}: there is no such host\nCheck the name, or use the address of the machine."
            )),
            ureq::Error::ConnectionFailed => FetchError::NoAnswer(format!("cannot connect to {address}")),
            ureq::Error::Protocol(error) => FetchError::Unusable(format!(
                "{address} does not answer in HTTP: {}\nCheck host and port.",
                printable(&error.to_string())
            )),
            error => FetchError::Unusable(format!("{address}: {}", printable(&error.to_string()))),
        }
    }

    fn refusal(&self, response: Response<ureq::Body>) -> FetchError {
        let status = response.status();
        let advice = match status {
            StatusCode::UNAUTHORIZED if self.authorization.is_some() => {
                "The token is not the engine's: check --token and ENGINE_VITALS_TOKEN.".to_owned()
            }
            StatusCode::UNAUTHORIZED => {
                "The engine wants a bearer token: give it in ENGINE_VITALS_TOKEN or with --token.".to_owned()
            }
            StatusCode::FORBIDDEN => {
                "The engine knows itself by another name: use its address, or have it allow this host.".to_owned()
            }
            StatusCode::NOT_FOUND => {
                "There are no metrics at this path: leave the path out, or check the port.".to_owned()
            }
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                "The engine serves as many as it will: close other readers, or ask less often (--interval).".to_owned()
            }
            status if status.is_redirection() => match response.headers().get(LOCATION) {
                Some(to) => {
                    format!("It points to {}: give that URL.", printable(&String::from_utf8_lossy(to.as_bytes())))
                }
                None => "Check the URL.".to_owned(),
            },
            _ => "Check the URL and what the engine says on its own terminal.".to_owned(),
        };
        // The reason that a server gives is welcome, and not worth an error of its own.
        let mut reason = Vec::new();
        let _ = response.into_body().into_reader().take(MAX_REASON).read_to_end(&mut reason);
        let reason = printable(String::from_utf8_lossy(&reason).lines().next().unwrap_or_default().trim());
        let colon = if reason.is_empty() { "" } else { ": " };
        FetchError::Unusable(format!("{} answers {status}{colon}{reason}\n{advice}", self.address))
    }
}

/// A bearer token. It is shown nowhere.
#[derive(Clone)]
pub(crate) struct Token(HeaderValue);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl std::str::FromStr for Token {
    type Err = &'static str;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        if given.is_empty() || !given.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("a token is visible ASCII characters without spaces");
        }
        let mut value = HeaderValue::try_from(format!("Bearer {given}")).map_err(|_| "no valid HTTP header")?;
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

/// Text from a stranger, with nothing in it that a terminal would obey.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
