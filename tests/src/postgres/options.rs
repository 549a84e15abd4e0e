//! How a cluster is to be: which PostgreSQL, which settings, which authentication.

use super::binaries::Wanted;

/// What to start. By default: the newest PostgreSQL that is installed, ready for logical replication, without fsync, trusting
/// everybody who connects over the loopback interface.
///
/// # Examples
/// ```
/// use bemi_tests::{Auth, ClusterOptions, Wanted};
///
/// let options = ClusterOptions::new().wanted(Wanted::Major(14)).auth(Auth::ScramSha256).set("wal_level", "replica");
/// assert_eq!(options.wanted, Wanted::Major(14));
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClusterOptions {
    /// Which PostgreSQL.
    pub wanted: Wanted,
    /// How clients prove who they are.
    pub auth: Auth,
    /// Server settings by name; a later one overrides an earlier one of the same name.
    pub settings: Vec<(String, String)>,
    /// Variables in the environment of the server.
    pub environment: Vec<(String, String)>,
}

/// How clients prove who they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Auth {
    /// Not at all: any user name is taken at its word.
    #[default]
    Trust,
    /// By password; that of user `postgres` is made up anew for each cluster and is part of its URLs.
    ScramSha256,
}

impl ClusterOptions {
    /// The defaults, which suit most tests.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Which PostgreSQL to run.
    #[must_use]
    pub fn wanted(mut self, wanted: Wanted) -> Self {
        self.wanted = wanted;
        self
    }

    /// How clients prove who they are.
    #[must_use]
    pub fn auth(mut self, auth: Auth) -> Self {
        self.auth = auth;
        self
    }

    /// Sets a server setting, also one of the defaults: benchmarks want `("fsync", "on")`.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets a variable in the environment of the server.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }
}

impl Default for ClusterOptions {
    fn default() -> Self {
        let settings = [
            ("wal_level", "logical"),
            // Nobody mourns a throwaway cluster that the power cut took.
            ("fsync", "off"),
            // Room for every test of a process at once, each with its own slot and worker.
            ("max_connections", "300"),
            ("max_wal_senders", "100"),
            ("max_replication_slots", "100"),
            // Who said it, in logs that many tests write at the same time.
            ("log_line_prefix", "%m [%p] %d "),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Self { wanted: Wanted::default(), auth: Auth::default(), settings, environment: Vec::new() }
    }
}
