//! Where the worker says how it does.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::Deserialize;

use super::ConfigError;

/// What the configuration file says, `[metrics]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Metrics {
    listen: Option<String>,
}

impl Metrics {
    /// The address to listen at; `None` where nobody is to be told. One that was `given` beats the
    /// file's.
    pub(super) fn resolve(&self, given: Option<&str>) -> Result<Option<SocketAddr>, ConfigError> {
        let given = given.filter(|address| !address.is_empty());
        given.or(self.listen.as_deref()).map(address).transpose()
    }
}

/// An address. A port alone, also behind a colon, is on this machine.
fn address(text: &str) -> Result<SocketAddr, ConfigError> {
    let port: Option<u16> = text.strip_prefix(':').unwrap_or(text).parse().ok();
    match port {
        Some(port) => Ok(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)),
        None => text.parse().map_err(|_| ConfigError::MetricsAddress(text.to_owned())),
    }
}

/// Where what listens at `address` is found from this machine: it may listen at all addresses.
pub(crate) fn reached_at(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_told_unless_an_address_is_given_and_the_flag_beats_the_file() {
        let file = Metrics { listen: Some("127.0.0.1:1".to_owned()) };
        let port =
            |file: &Metrics, given| file.resolve(given).unwrap().map(|address| address.port());
        assert_eq!(port(&Metrics::default(), None), None);
        assert_eq!(port(&Metrics::default(), Some("")), None);
        assert_eq!(port(&file, Some("")), Some(1));
        assert_eq!(port(&file, Some("2")), Some(2));
    }

    #[test]
    fn a_port_alone_is_on_this_machine() {
        for text in ["9187", ":9187", "127.0.0.1:9187"] {
            assert_eq!(address(text).unwrap().to_string(), "127.0.0.1:9187", "{text}");
        }
        assert_eq!(address("0.0.0.0:1").unwrap().to_string(), "0.0.0.0:1");
        assert_eq!(address("[::]:1").unwrap().to_string(), "[::]:1");
        for text in ["localhost:1", "127.0.0.1", ":", "99999", "-1", "[::1]", "a"] {
            let error = address(text).unwrap_err();
            assert!(matches!(error, ConfigError::MetricsAddress(_)), "{text}: {error}");
        }
    }

    #[test]
    fn what_listens_everywhere_is_found_here() {
        let found = |text: &str| reached_at(text.parse().unwrap()).to_string();
        assert_eq!(found("0.0.0.0:1"), "127.0.0.1:1");
        assert_eq!(found("[::]:1"), "[::1]:1");
        assert_eq!(found("192.0.2.1:1"), "192.0.2.1:1");
    }
}
