//! Where to listen for HTTP.

use crate::config::{ConfigError, Given, HttpConfig};

/// Where to listen for HTTP.
#[derive(clap::Args)]
pub(super) struct HttpOptions {
    /// Serve the stream of changes and the history of records over HTTP at this address, such as
    /// 127.0.0.1:8080; who may have what is said by BEMI_HTTP_TOKEN, BEMI_HTTP_RECORDS_TOKEN and
    /// [http] of the config file
    #[arg(long, env = "BEMI_HTTP", hide_env_values = true, value_name = "ADDRESS:PORT")]
    http: Option<String>,
}

impl HttpOptions {
    /// What is to be served, if anything.
    pub(super) fn resolve(&self, given: &Given) -> Result<Option<HttpConfig>, ConfigError> {
        given.http(self.http.as_deref(), |name| std::env::var(name).ok())
    }
}
