//! What is served over HTTP: where, to whom, and which part of the record to outsiders.
//!
//! Invariant: an address that other machines can reach goes with a token.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use bemi_core::record::TableName;
use serde::Deserialize;

use super::file::secret;
use super::{ConfigError, Token};

/// What is served over HTTP.
#[derive(Clone, Debug)]
pub(crate) struct HttpConfig {
    /// The address to listen at.
    pub(crate) listen: SocketAddr,
    /// What opens everything.
    pub(crate) token: Option<Token>,
    /// What opens the records that are exposed, and nothing else.
    pub(crate) records_token: Option<Token>,
    /// The records that are exposed.
    pub(crate) exposed: Vec<Exposed>,
}

/// A table whose records are shown to outsiders, and what of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exposed {
    pub(crate) table: TableName,
    /// The columns that are shown, by the names that they had at the time.
    pub(crate) columns: BTreeSet<String>,
    /// The keys of the context that are shown.
    pub(crate) context: BTreeSet<String>,
}

/// What the configuration file says, `[http]`.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Http {
    listen: Option<String>,
    #[serde(deserialize_with = "secret")]
    token: Option<String>,
    token_file: Option<PathBuf>,
    #[serde(deserialize_with = "secret")]
    records_token: Option<String>,
    records_token_file: Option<PathBuf>,
    expose: Vec<Expose>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expose {
    table: String,
    columns: Vec<String>,
    #[serde(default)]
    context: Vec<String>,
}

impl fmt::Debug for Http {
    /// Without the tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("listen", &self.listen).finish_non_exhaustive()
    }
}

/// The names under which one of the two tokens is configured.
struct Names {
    variable: &'static str,
    settings: &'static str,
}

const TOKEN: Names =
    Names { variable: "BEMI_HTTP_TOKEN", settings: "token or token_file of [http]" };

const RECORDS_TOKEN: Names = Names {
    variable: "BEMI_HTTP_RECORDS_TOKEN",
    settings: "records_token or records_token_file of [http]",
};

impl Http {
    /// What is to be served; `None` where nothing is. An address that was `given` beats the file's.
    pub(super) fn resolve(
        &self,
        given: Option<&str>,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<HttpConfig>, ConfigError> {
        let given = given.filter(|address| !address.is_empty());
        let Some(listen) = given.or(self.listen.as_deref()) else { return Ok(None) };
        let listen: SocketAddr =
            listen.parse().map_err(|_| ConfigError::HttpAddress(listen.to_owned()))?;
        let (text, path) = (self.token.as_deref(), self.token_file.as_ref());
        let token = token(&TOKEN, environment, text, path)?;
        let (text, path) = (self.records_token.as_deref(), self.records_token_file.as_ref());
        let records_token = self::token(&RECORDS_TOKEN, environment, text, path)?;
        if !listen.ip().is_loopback() && token.is_none() && records_token.is_none() {
            return Err(ConfigError::HttpWithoutToken(listen));
        }
        Ok(Some(HttpConfig { listen, token, records_token, exposed: exposed(&self.expose)? }))
    }
}

fn token(
    names: &Names,
    environment: &dyn Fn(&str) -> Option<String>,
    text: Option<&str>,
    path: Option<&PathBuf>,
) -> Result<Option<Token>, ConfigError> {
    if let Some(token) = environment(names.variable).filter(|token| !token.is_empty()) {
        return Token::new(&token, names.variable).map(Some);
    }
    match (text, path) {
        (Some(_), Some(_)) => Err(ConfigError::TwoHttpTokens { settings: names.settings }),
        (Some(token), None) => Token::new(token, names.settings).map(Some),
        (None, Some(path)) => Token::read(path, names.settings).map(Some),
        (None, None) => Ok(None),
    }
}

fn exposed(given: &[Expose]) -> Result<Vec<Exposed>, ConfigError> {
    let mut exposed: Vec<Exposed> = Vec::with_capacity(given.len());
    for Expose { table, columns, context } in given {
        let wrong = |why| ConfigError::HttpExpose { table: table.clone(), why };
        let name: TableName = table.parse().map_err(|_| wrong("that is not a table's name"))?;
        if columns.is_empty() {
            return Err(wrong("it names no columns"));
        }
        if exposed.iter().any(|other| other.table == name) {
            return Err(wrong("the same table is named twice"));
        }
        exposed.push(Exposed {
            table: name,
            columns: columns.iter().cloned().collect(),
            context: context.iter().cloned().collect(),
        });
    }
    Ok(exposed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: &str = "0123456789abcdef";

    fn resolve(
        listen: &str,
        variables: &[(&str, &str)],
        file: &str,
    ) -> Result<Option<HttpConfig>, ConfigError> {
        let http: Http = toml::from_str(file).unwrap();
        http.resolve(Some(listen), &|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn nothing_is_served_unless_an_address_is_given() {
        let file = "token = \"0123456789abcdef\"";
        assert!(resolve("", &[("BEMI_HTTP_TOKEN", LONG)], file).unwrap().is_none());
        let of_file = "listen = \"127.0.0.1:1\"";
        assert_eq!(resolve("", &[], of_file).unwrap().unwrap().listen.port(), 1);
        assert_eq!(resolve("[::1]:2", &[], of_file).unwrap().unwrap().listen.port(), 2);
        for wrong in ["8080", ":8080", "localhost:8080", "127.0.0.1", "127.0.0.1:99999"] {
            let error = resolve(wrong, &[], of_file).unwrap_err();
            assert!(matches!(error, ConfigError::HttpAddress(_)), "{error}");
        }
    }

    #[test]
    fn what_others_can_reach_needs_a_token() {
        for address in ["0.0.0.0:1", "[::]:1", "192.168.0.1:1"] {
            let error = resolve(address, &[], "").unwrap_err().to_string();
            assert!(error.contains("BEMI_HTTP_TOKEN") && error.contains(address), "{error}");
            assert!(resolve(address, &[("BEMI_HTTP_TOKEN", "")], "").is_err());
            for variable in ["BEMI_HTTP_TOKEN", "BEMI_HTTP_RECORDS_TOKEN"] {
                assert!(resolve(address, &[(variable, LONG)], "").is_ok());
            }
        }
        assert!(resolve("127.0.0.1:1", &[], "").is_ok());
        assert!(resolve("[::1]:1", &[], "").is_ok());
    }

    #[test]
    fn a_token_comes_from_the_environment_then_from_the_file() {
        let of_file = "token = \"of_the_file_itself\"";
        let opened = |variables: &[(&str, &str)], file: &str, token: &str| {
            let http = resolve("127.0.0.1:1", variables, file).unwrap().unwrap();
            http.token.unwrap().is(token.as_bytes())
        };
        assert!(opened(&[("BEMI_HTTP_TOKEN", LONG)], of_file, LONG));
        assert!(opened(&[], of_file, "of_the_file_itself"));
        let error = resolve("127.0.0.1:1", &[], "token_file = \"/nowhere\"").unwrap_err();
        assert!(matches!(error, ConfigError::HttpTokenNotRead { .. }), "{error}");
        let both = format!("{of_file}\ntoken_file = \"/nowhere\"");
        let error = resolve("127.0.0.1:1", &[], &both).unwrap_err();
        assert!(matches!(error, ConfigError::TwoHttpTokens { .. }), "{error}");
    }

    #[test]
    fn only_what_is_named_is_exposed() {
        let file = "[[expose]]\ntable = \"todo\"\ncolumns = [\"task\"]\n\
                    [[expose]]\ntable = 'sales.\"Order\"'\ncolumns = [\"at\"]\ncontext = [\"user_id\"]\n";
        let http = resolve("127.0.0.1:1", &[], file).unwrap().unwrap();
        let [todo, order] = http.exposed.as_slice() else { panic!("{:?}", http.exposed) };
        assert_eq!(todo.table, TableName::new("public", "todo"));
        assert!(todo.context.is_empty() && todo.columns.contains("task"));
        assert_eq!(order.table, TableName::new("sales", "Order"));
        assert!(order.context.contains("user_id"));
    }

    #[test]
    fn what_cannot_be_exposed_is_told_with_its_table() {
        for expose in [
            "table = \"a.b.c\"\ncolumns = [\"x\"]",
            "table = \"todo\"\ncolumns = []",
            "table = \"todo\"\ncolumns = [\"x\"]\n[[expose]]\ntable = \"public.todo\"\ncolumns = [\"y\"]",
        ] {
            let error = resolve("127.0.0.1:1", &[], &format!("[[expose]]\n{expose}")).unwrap_err();
            assert!(matches!(error, ConfigError::HttpExpose { .. }), "{error}");
        }
    }
}
