//! Who may have what.
//!
//! Invariant: a token is compared in constant time, and shown nowhere.

use http::header::{self, HeaderMap};
use http::uri::Authority;

use super::answer::Refusal;
use crate::config::{HttpConfig, Token};

/// The tokens that open something.
#[derive(Debug)]
pub(super) struct Access {
    /// Opens everything.
    token: Option<Token>,
    /// Opens the records that are exposed.
    records_token: Option<Token>,
}

/// What somebody wants to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// All changes.
    Changes,
    /// What is exposed of records.
    Records,
}

impl Access {
    pub(super) fn new(config: &HttpConfig) -> Self {
        Self { token: config.token.clone(), records_token: config.records_token.clone() }
    }

    /// Whether a request with these headers may pass.
    ///
    /// Where no token is configured, we listen on this machine alone, and only by a name that cannot
    /// be somebody else's: a page in a browser could otherwise have its own name lead here.
    pub(super) fn check(&self, door: Door, headers: &HeaderMap) -> Result<(), Refusal> {
        if self.token.is_none() && self.records_token.is_none() {
            return if is_local(headers) { Ok(()) } else { Err(Refusal::Host) };
        }
        let presented = bearer(headers).ok_or(Refusal::Token)?;
        let opens = |token: &Option<Token>| token.as_ref().is_some_and(|token| token.is(presented));
        let is_right = opens(&self.token) || (door == Door::Records && opens(&self.records_token));
        if is_right { Ok(()) } else { Err(Refusal::Token) }
    }
}

/// The token of `Authorization: Bearer …`, if there is one such header.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().filter(|_| values.next().is_none())?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// Whether the request was made to an address or name of this machine alone. One of HTTP/1.0 need
/// not say.
fn is_local(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST) else { return true };
    let Ok(authority) = Authority::try_from(host.as_bytes()) else { return false };
    let host = authority.host();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "0123456789abcdef";
    const OTHER: &str = "fedcba9876543210";

    fn access(token: Option<&str>, records_token: Option<&str>) -> Access {
        let known = |text: Option<&str>| text.map(|text| Token::new(text, "test").unwrap());
        Access { token: known(token), records_token: known(records_token) }
    }

    fn opens(access: &Access, door: Door, header: &str, value: &str) -> bool {
        let mut headers = HeaderMap::new();
        if !header.is_empty() {
            headers.insert(header.parse::<http::HeaderName>().unwrap(), value.parse().unwrap());
        }
        access.check(door, &headers).is_ok()
    }

    #[test]
    fn each_token_opens_its_doors_and_no_other() {
        let access = access(Some(ONE), Some(OTHER));
        let opens = |door, token: &str| opens(&access, door, "authorization", token);
        let (one, other) = (format!("Bearer {ONE}"), format!("bearer  {OTHER}"));
        assert!(opens(Door::Changes, &one) && opens(Door::Records, &one));
        assert!(!opens(Door::Changes, &other) && opens(Door::Records, &other));
        for wrong in
            ["", "Bearer", "Bearer ", ONE, "Bearer 0123456789abcde", "Basic 0123456789abcdef"]
        {
            assert!(!opens(Door::Changes, wrong) && !opens(Door::Records, wrong), "{wrong}");
        }
    }

    #[test]
    fn a_door_without_a_token_of_its_own_is_shut_where_there_are_tokens() {
        let access = access(None, Some(OTHER));
        assert!(!opens(&access, Door::Changes, "", ""));
        assert!(!opens(&access, Door::Changes, "authorization", &format!("Bearer {OTHER}")));
    }

    #[test]
    fn two_tokens_at_once_are_none() {
        let mut headers = HeaderMap::new();
        let value: http::HeaderValue = format!("Bearer {ONE}").parse().unwrap();
        headers.append(header::AUTHORIZATION, value.clone());
        assert!(access(Some(ONE), None).check(Door::Changes, &headers).is_ok());
        headers.append(header::AUTHORIZATION, value);
        assert!(access(Some(ONE), None).check(Door::Changes, &headers).is_err());
    }

    #[test]
    fn without_tokens_only_names_of_this_machine_lead_here() {
        let access = access(None, None);
        let opens = |host: &str| opens(&access, Door::Changes, "host", host);
        for host in ["127.0.0.1:8080", "127.8.8.8", "localhost", "LOCALHOST:1", "[::1]:8080"] {
            assert!(opens(host), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example:8080",
            "127.0.0.1.evil.example",
            "",
            "[",
            "10.0.0.1",
        ] {
            assert!(!opens(host), "{host}");
        }
        assert!(super::tests::opens(&access, Door::Changes, "", ""));
    }
}
