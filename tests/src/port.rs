//! Free TCP ports on the loopback interface.
//!
//! Nothing is reserved: somebody else may take the port between the look and its use, so whoever binds it must be ready to ask
//! for another one.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};

use crate::HarnessError;

/// Below the ranges from which systems take the ports of outgoing connections. Otherwise a server that restarts could find
/// its port taken by some client's connection, and a client that knocks while the server is away could connect to itself.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// How many ports to try.
const ATTEMPTS_MAX: u32 = 1_000;

/// A port of 127.0.0.1 that nobody listens on at the moment.
///
/// # Errors
/// [`HarnessError::NoFreePort`] when a thousand ports were taken.
///
/// # Examples
/// ```
/// let port = bemi_tests::free_port()?;
/// std::net::TcpListener::bind(("127.0.0.1", port)).expect("nobody listens there");
/// # Ok::<(), bemi_tests::HarnessError>(())
/// ```
pub fn free_port() -> Result<u16, HarnessError> {
    let span = u64::from(PORTS.end - PORTS.start);
    for attempt in 0..ATTEMPTS_MAX {
        // A random start, so that processes that run side by side seldom ask for the same one.
        let offset = u16::try_from(RandomState::new().hash_one(attempt) % span).unwrap_or(0);
        let port = PORTS.start + offset;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(HarnessError::NoFreePort { attempts: ATTEMPTS_MAX })
}
