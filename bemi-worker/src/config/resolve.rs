//! Makes a [`Config`] of what flags, environment and file say: flag before environment before file.
//!
//! A connection is taken whole from the first of them that gives one, so that half a connection to
//! one database never meets half of another. Only what would be missing is filled in: the password,
//! the user and libpq's TLS settings.
//!
//! Invariant: pure, apart from reading the files that it is told to, and libpq's password file.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::connection::Parts;
use super::file::{self, ConfigFile, Tracking};
use super::http::Http;
use super::metrics::Metrics;
use super::{
    ByteSize, ChainKey, Config, ConfigError, ConnectionConfig, HttpConfig, MaskKey,
    OnMaxRetainedWal, PublicationName, RetainedWal, Retention, SlotName, pgpass, secret_file,
};

/// What the command line says, each setting filled in from its own environment variable.
#[derive(Clone, Default, clap::Args)]
#[command(next_help_heading = "Connection and names")]
pub(crate) struct Settings {
    /// Read settings from this TOML file; flags and environment beat it
    #[arg(long = "config", env = "BEMI_CONFIG", value_name = "FILE", global = true)]
    pub(crate) file: Option<PathBuf>,

    /// The database to track, postgres://user@host:5432/database; else DB_HOST, DB_PORT, DB_NAME and
    /// DB_USER say. A password is refused here, since other users see flags: it may be in the variable, in
    /// DB_PASSWORD, in a file that DB_PASSWORD_FILE names, or in ~/.pgpass
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL", global = true)]
    pub(crate) database_url: Option<String>,

    /// Where the changes are stored, if not in the database that is tracked; else
    /// DESTINATION_DB_HOST and so on say
    #[arg(
        long,
        env = "DESTINATION_DATABASE_URL",
        hide_env_values = true,
        value_name = "URL",
        global = true
    )]
    pub(crate) destination_database_url: Option<String>,

    /// The replication slot [default: bemi]
    #[arg(long, env = "BEMI_SLOT", hide_env_values = true, value_name = "NAME", global = true)]
    pub(crate) slot: Option<String>,

    /// The publication; a second one gets the suffix _insert_only [default: bemi]
    #[arg(
        long,
        env = "BEMI_PUBLICATION",
        hide_env_values = true,
        value_name = "NAME",
        global = true
    )]
    pub(crate) publication: Option<String>,

    /// The schema of the table changes [default: public]
    #[arg(
        long,
        env = "BEMI_CHANGES_SCHEMA",
        hide_env_values = true,
        value_name = "SCHEMA",
        global = true
    )]
    pub(crate) changes_schema: Option<String>,
}

/// The names under which one of the two connections is configured.
struct Names {
    url: &'static str,
    parts: &'static str,
    table: &'static str,
    host: &'static str,
    port: &'static str,
    database: &'static str,
    user: &'static str,
    password: &'static str,
    url_file: &'static str,
    password_file: &'static str,
}

const SOURCE: Names = Names {
    url: "DATABASE_URL",
    parts: "DB_HOST, DB_PORT, DB_NAME, DB_USER and DB_PASSWORD",
    table: "[source] of the config file",
    host: "DB_HOST",
    port: "DB_PORT",
    database: "DB_NAME",
    user: "DB_USER",
    password: "DB_PASSWORD",
    url_file: "DATABASE_URL_FILE",
    password_file: "DB_PASSWORD_FILE",
};

const DESTINATION: Names = Names {
    url: "DESTINATION_DATABASE_URL",
    parts: "DESTINATION_DB_HOST, _PORT, _NAME, _USER and _PASSWORD",
    table: "[destination] of the config file",
    host: "DESTINATION_DB_HOST",
    port: "DESTINATION_DB_PORT",
    database: "DESTINATION_DB_NAME",
    user: "DESTINATION_DB_USER",
    password: "DESTINATION_DB_PASSWORD",
    url_file: "DESTINATION_DATABASE_URL_FILE",
    password_file: "DESTINATION_DB_PASSWORD_FILE",
};

/// libpq's variables, for what a URL does not say.
const TLS_VARIABLES: [(&str, &str); 4] = [
    ("PGSSLMODE", "sslmode"),
    ("PGSSLROOTCERT", "sslrootcert"),
    ("PGSSLCERT", "sslcert"),
    ("PGSSLKEY", "sslkey"),
];

/// What was given. Commands need different parts of it.
#[derive(Debug)]
pub(crate) struct Given {
    /// The database that is tracked. Who asks the record alone need not know it.
    pub(crate) source: Option<ConnectionConfig>,
    destination: Option<ConnectionConfig>,
    pub(crate) slot: SlotName,
    /// Whether somebody said so: a record may tell by itself which slot it is about.
    pub(crate) slot_is_named: bool,
    publication: PublicationName,
    pub(crate) changes_schema: String,
    /// What the file says of what to track.
    pub(crate) tracking: Tracking,
    mask_key: Option<KeyPlace<MaskKey>>,
    chain_key: Option<KeyPlace<ChainKey>>,
    http: Http,
    metrics: Metrics,
    max_retained_wal: Option<ByteSize>,
    on_max_retained_wal: Option<OnMaxRetainedWal>,
    /// For how long changes are kept, as the file says it.
    pub(crate) retention: Option<Retention>,
}

/// Where a secret key is.
#[derive(Debug)]
enum KeyPlace<K> {
    Here(K),
    File(PathBuf),
}

impl Given {
    /// Reads the configuration. `environment` tells a variable's value.
    pub(crate) fn resolve(
        settings: &Settings,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let file = match &settings.file {
            Some(path) => ConfigFile::read(path)?,
            None => ConfigFile::default(),
        };
        resolve(settings, &environment, file)
    }

    /// The database that holds `changes`: the source, where no other one is given.
    pub(crate) fn destination(&self) -> Result<&ConnectionConfig, ConfigError> {
        self.destination.as_ref().or(self.source.as_ref()).ok_or(ConfigError::NoSource)
    }

    /// The configuration without secret keys, which not everybody may read.
    pub(crate) fn config(&self) -> Result<Config, ConfigError> {
        let source = self.source.clone().ok_or(ConfigError::NoSource)?;
        Ok(Config {
            destination: self.destination()?.clone(),
            source,
            slot: self.slot.clone(),
            publication: self.publication.clone(),
            changes_schema: self.changes_schema.clone(),
            mask_key: None,
            chain_key: None,
        })
    }

    /// The configuration with the secret keys, for a command that stores rows.
    pub(crate) fn config_with_key(&self) -> Result<Config, ConfigError> {
        let mask_key = match &self.mask_key {
            None => None,
            Some(KeyPlace::Here(key)) => Some(key.clone()),
            Some(KeyPlace::File(path)) => Some(MaskKey::read(path)?),
        };
        Ok(Config { mask_key, chain_key: self.chain_key()?, ..self.config()? })
    }

    /// The key of the chain over what is stored, for a command that makes or verifies links.
    pub(crate) fn chain_key(&self) -> Result<Option<ChainKey>, ConfigError> {
        match &self.chain_key {
            None => Ok(None),
            Some(KeyPlace::Here(key)) => Ok(Some(key.clone())),
            Some(KeyPlace::File(path)) => ChainKey::read(path).map(Some),
        }
    }

    /// What is to be served over HTTP, if anything; `listen` is the address that was given.
    pub(crate) fn http(
        &self,
        listen: Option<&str>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<HttpConfig>, ConfigError> {
        self.http.resolve(listen, &environment)
    }

    /// Where the worker says how it does, if anywhere; `listen` is the address that was given.
    pub(crate) fn metrics(&self, listen: Option<&str>) -> Result<Option<SocketAddr>, ConfigError> {
        self.metrics.resolve(listen)
    }

    /// How much WAL the source may keep for the slot, and what happens then; what was given beats the file.
    pub(crate) fn retained_wal(
        &self,
        max: Option<ByteSize>,
        on_max: Option<OnMaxRetainedWal>,
    ) -> Result<RetainedWal, ConfigError> {
        RetainedWal::resolve(max.or(self.max_retained_wal), on_max.or(self.on_max_retained_wal))
    }
}

/// Where a secret key is, of the variable or the setting in the file and the one that names a file.
fn key_place<K>(
    setting: &'static str,
    variable: Option<String>,
    in_file: Option<&String>,
    file_of_its_own: Option<&PathBuf>,
    take: impl Fn(String) -> Result<K, ConfigError>,
) -> Result<Option<KeyPlace<K>>, ConfigError> {
    if let Some(key) = variable.filter(|key| !key.is_empty()) {
        return take(key).map(KeyPlace::Here).map(Some);
    }
    match (in_file, file_of_its_own) {
        (Some(_), Some(_)) => Err(ConfigError::TwoKeys { setting }),
        (Some(key), None) => take(key.clone()).map(KeyPlace::Here).map(Some),
        (None, Some(path)) => Ok(Some(KeyPlace::File(path.clone()))),
        (None, None) => Ok(None),
    }
}

fn resolve(
    settings: &Settings,
    environment: &dyn Fn(&str) -> Option<String>,
    file: ConfigFile,
) -> Result<Given, ConfigError> {
    let environment = |name: &str| environment(name).filter(|value| !value.is_empty());
    let source =
        connection(&SOURCE, settings.database_url.as_deref(), &environment, file.source.as_ref())?;
    let destination = connection(
        &DESTINATION,
        settings.destination_database_url.as_deref(),
        &environment,
        file.destination.as_ref(),
    )?;
    let slot = settings.slot.as_ref().or(file.slot.as_ref());
    let publication = settings.publication.as_ref().or(file.publication.as_ref());
    let changes_schema = settings.changes_schema.as_ref().or(file.changes_schema.as_ref());
    if let Some(schema) = changes_schema
        && (schema.is_empty() || schema.starts_with("pg_") || schema.contains('\0'))
    {
        return Err(ConfigError::ChangesSchema(schema.clone()));
    }
    Ok(Given {
        source,
        destination,
        slot_is_named: slot.is_some(),
        slot: slot.map(|name| name.parse()).transpose()?.unwrap_or_default(),
        publication: publication.map(|name| name.parse()).transpose()?.unwrap_or_default(),
        changes_schema: changes_schema.map_or_else(|| "public".to_owned(), String::clone),
        mask_key: key_place(
            "mask_key",
            environment("BEMI_MASK_KEY"),
            file.mask_key.as_ref(),
            file.mask_key_file.as_ref(),
            MaskKey::new,
        )?,
        chain_key: key_place(
            "chain_key",
            environment("BEMI_CHAIN_KEY"),
            file.chain_key.as_ref(),
            file.chain_key_file.as_ref(),
            ChainKey::new,
        )?,
        tracking: Tracking { partition_by: file.partition_by, ..file.tracking.unwrap_or_default() },
        http: file.http.unwrap_or_default(),
        metrics: file.metrics,
        max_retained_wal: file.max_retained_wal,
        on_max_retained_wal: file.on_max_retained_wal,
        retention: file.retention,
    })
}

fn connection(
    names: &Names,
    url: Option<&str>,
    environment: &dyn Fn(&str) -> Option<String>,
    file: Option<&file::Connection>,
) -> Result<Option<ConnectionConfig>, ConfigError> {
    let get = |name: &str| environment(name);
    let (host, port) = (get(names.host), get(names.port));
    let (database, user, password) = (get(names.database), get(names.user), get(names.password));
    let default_user = ["PGUSER", "USER", "LOGNAME"].into_iter().find_map(get);

    let mut config = if let Some(url) = url.filter(|url| !url.is_empty()) {
        ConnectionConfig::from_url(url, default_user.as_deref(), names.url)?
    } else if let Some(path) = get(names.url_file) {
        let url = secret_file::read(Path::new(&path))?;
        ConnectionConfig::from_url(&url, default_user.as_deref(), names.url_file)?
    } else if host.is_some() || port.is_some() || database.is_some() || user.is_some() {
        let parts = Parts {
            host: host.as_deref(),
            port: port.as_deref(),
            database: database.as_deref(),
            user: user.as_deref().or(default_user.as_deref()),
            password: None,
        };
        ConnectionConfig::from_parts(parts, names.parts)?
    } else if let Some(file) = file {
        from_file(file, default_user.as_deref(), names)?
    } else {
        return Ok(None);
    };

    let mode_is_given = config.tls != super::TlsOptions::default();
    if !mode_is_given {
        for (variable, option) in TLS_VARIABLES {
            if let Some(value) = get(variable) {
                config.tls.set(option, &value)?;
            }
        }
    }
    config.tls.check()?;
    // A password from the environment beats one in the config file, and fills in for a URL without one.
    if config.password.is_none() || config.given_by == names.table {
        let filled_in = match password {
            None => password_of_file(names, environment, file)?,
            some => some,
        };
        config.password = filled_in.or(config.password);
    }
    if config.password.is_none()
        && let Some(path) = pgpass::place(environment)
    {
        config.password = pgpass::find(&path, &config)?;
    }
    Ok(Some(config))
}

/// A password that stands in a file of its own, or in the config file.
fn password_of_file(
    names: &Names,
    environment: &dyn Fn(&str) -> Option<String>,
    file: Option<&file::Connection>,
) -> Result<Option<String>, ConfigError> {
    if let Some(path) = environment(names.password_file) {
        return secret_file::read(Path::new(&path)).map(Some);
    }
    let Some(file) = file else { return Ok(None) };
    match (&file.password, &file.password_file) {
        (Some(_), Some(_)) => Err(ConfigError::TwoPasswords { table: names.table }),
        (Some(password), None) => Ok(Some(password.clone())),
        (None, Some(path)) => secret_file::read(path).map(Some),
        (None, None) => Ok(None),
    }
}

fn from_file(
    file: &file::Connection,
    default_user: Option<&str>,
    names: &Names,
) -> Result<ConnectionConfig, ConfigError> {
    let has_parts = file.host.is_some()
        || file.port.is_some()
        || file.database.is_some()
        || file.user.is_some();
    let port = file.port.map(|port| port.to_string());
    let mut config = match &file.url {
        Some(_) if has_parts => return Err(ConfigError::UrlAndParts { table: names.table }),
        Some(url) => ConnectionConfig::from_url(url, default_user, names.table)?,
        None => ConnectionConfig::from_parts(
            Parts {
                host: file.host.as_deref(),
                port: port.as_deref(),
                database: file.database.as_deref(),
                user: file.user.as_deref().or(default_user),
                password: file.password.as_deref(),
            },
            names.table,
        )?,
    };
    for (option, value) in [
        ("sslmode", &file.sslmode),
        ("sslrootcert", &file.sslrootcert),
        ("sslcert", &file.sslcert),
        ("sslkey", &file.sslkey),
    ] {
        if let Some(value) = value {
            config.tls.set(option, value)?;
        }
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::SslMode;

    fn resolve_with(
        settings: &Settings,
        variables: &[(&str, &str)],
        file: &str,
    ) -> Result<Config, ConfigError> {
        let file = ConfigFile::parse(file, Path::new("bemi.toml"))?;
        let environment = |name: &str| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        resolve(settings, &environment, file)?.config()
    }

    #[test]
    fn the_destination_alone_is_enough_for_who_asks_the_record_and_for_nobody_else() {
        let settings = Settings {
            destination_database_url: Some("postgres://u@audit/db".to_owned()),
            ..Settings::default()
        };
        let given = Given::resolve(&settings, |_| None).unwrap();
        assert_eq!(given.destination().unwrap().to_string(), "u@audit:5432/db");
        assert!(matches!(given.config(), Err(ConfigError::NoSource)));
        let given = Given::resolve(&flag("postgres://u@shop/db"), |_| None).unwrap();
        assert_eq!(given.destination().unwrap().to_string(), "u@shop:5432/db");
    }

    fn flag(url: &str) -> Settings {
        Settings { database_url: Some(url.to_owned()), ..Settings::default() }
    }

    const FILE: &str = "slot = \"of_file\"\n[source]\nhost = \"file\"\ndatabase = \"db\"\nuser = \"u\"\npassword = \"p\"\n";

    #[test]
    fn a_url_beats_parts_and_parts_beat_the_file() {
        let parts = [("DB_HOST", "parts"), ("DB_NAME", "db"), ("DB_USER", "u")];
        let source = |settings: &Settings, variables: &[(&str, &str)]| {
            resolve_with(settings, variables, FILE).unwrap().source.to_string()
        };
        assert_eq!(source(&flag("postgres://u@url/db"), &parts), "u@url:5432/db");
        assert_eq!(source(&Settings::default(), &parts), "u@parts:5432/db");
        assert_eq!(source(&Settings::default(), &[]), "u@file:5432/db");
    }

    #[test]
    fn the_destination_is_the_source_until_it_is_given() {
        let config = resolve_with(&flag("postgres://u@a/db"), &[], "").unwrap();
        assert_eq!(config.destination, config.source);
        let variables = [("DESTINATION_DB_HOST", "b"), ("DESTINATION_DB_NAME", "audit")];
        let user = [("DESTINATION_DB_USER", "w"), ("DESTINATION_DB_PORT", "6000")];
        let config =
            resolve_with(&flag("postgres://u@a/db"), &[variables, user].concat(), "").unwrap();
        assert_eq!(config.destination.to_string(), "w@b:6000/audit");
    }

    #[test]
    fn a_missing_password_is_filled_in_and_a_given_one_stays() {
        let password = |url: &str| {
            let config = resolve_with(&flag(url), &[("DB_PASSWORD", "env")], "").unwrap();
            config.source.password().map(ToOwned::to_owned)
        };
        assert_eq!(password("postgres://u@a/db").as_deref(), Some("env"));
        assert_eq!(password("postgres://u:url@a/db").as_deref(), Some("url"));
        let config = resolve_with(&Settings::default(), &[("DB_PASSWORD", "env")], FILE).unwrap();
        assert_eq!(config.source.password(), Some("env"));
        let config = resolve_with(&Settings::default(), &[], FILE).unwrap();
        assert_eq!(config.source.password(), Some("p"));
    }

    #[test]
    fn a_password_comes_from_the_url_the_environment_a_file_or_libpqs_own_in_this_order() {
        let folder = std::env::temp_dir().join(format!("bemi-{}-passwords", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))
                .unwrap();
            path.to_str().unwrap().to_owned()
        };
        let (file, other) = (write("file", "of_file\n"), write("other", "of_other\n"));
        let (url, pgpass) =
            (write("url", "postgres://u:of_url@a/db\n"), write("pgpass", "*:*:*:*:of_pgpass\n"));
        let table = format!(
            "[source]\nhost = \"a\"\ndatabase = \"db\"\nuser = \"u\"\npassword_file = \"{other}\"\n"
        );
        let password = |settings: &Settings, variables: &[(&str, &str)], file: &str| {
            resolve_with(settings, variables, file)
                .map(|config| config.source.password().unwrap().to_owned())
        };
        let plain = flag("postgres://u@a/db");
        let pgpass = ("PGPASSFILE", pgpass.as_str());
        let in_file = ("DB_PASSWORD_FILE", file.as_str());
        let in_variable = ("DB_PASSWORD", "of_variable");
        assert_eq!(
            password(&flag("postgres://u:flag@a/db"), &[in_variable, in_file, pgpass], "").unwrap(),
            "flag"
        );
        assert_eq!(password(&plain, &[in_variable, in_file, pgpass], "").unwrap(), "of_variable");
        assert_eq!(password(&plain, &[in_file, pgpass], "").unwrap(), "of_file");
        assert_eq!(password(&Settings::default(), &[in_file, pgpass], &table).unwrap(), "of_file");
        assert_eq!(password(&Settings::default(), &[pgpass], &table).unwrap(), "of_other");
        assert_eq!(password(&plain, &[pgpass], "").unwrap(), "of_pgpass");
        let url = ("DATABASE_URL_FILE", url.as_str());
        assert_eq!(
            password(&Settings::default(), &[url, in_file, pgpass], &table).unwrap(),
            "of_url"
        );
        assert_eq!(password(&plain, &[url, in_file], "").unwrap(), "of_file");
        let both = format!("{table}password = \"p\"\n");
        assert!(matches!(
            password(&Settings::default(), &[], &both),
            Err(ConfigError::TwoPasswords { .. })
        ));
        let nowhere = [("DB_PASSWORD_FILE", "/nowhere")];
        assert!(matches!(password(&plain, &nowhere, ""), Err(ConfigError::SecretNotRead { .. })));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn names_come_from_flag_then_file_then_default() {
        let mut settings = flag("postgres://u@a/db");
        assert_eq!(resolve_with(&settings, &[], "").unwrap().slot.as_str(), "bemi");
        assert_eq!(resolve_with(&settings, &[], FILE).unwrap().slot.as_str(), "of_file");
        settings.slot = Some("of_flag".to_owned());
        assert_eq!(resolve_with(&settings, &[], FILE).unwrap().slot.as_str(), "of_flag");
    }

    #[test]
    fn libpqs_variables_fill_in_for_a_url_that_says_nothing_of_tls() {
        let variables = [("PGSSLMODE", "verify-full"), ("PGSSLROOTCERT", "/ca.pem")];
        let mode = |url: &str| resolve_with(&flag(url), &variables, "").unwrap().source.tls.mode;
        assert_eq!(mode("postgres://u@a/db"), SslMode::VerifyFull);
        assert_eq!(mode("postgres://u@a/db?sslmode=require"), SslMode::Require);
    }

    #[test]
    fn nothing_given_is_told_with_what_to_give() {
        let error = resolve_with(&Settings::default(), &[], "").unwrap_err().to_string();
        assert!(error.contains("DATABASE_URL"), "{error}");
        let error = resolve_with(&Settings::default(), &[("DATABASE_URL", "")], "").unwrap_err();
        assert!(matches!(error, ConfigError::NoSource));
        let error = resolve_with(&Settings::default(), &[("DB_HOST", "a")], "").unwrap_err();
        assert!(matches!(error, ConfigError::Missing { .. }), "{error}");
    }

    #[test]
    fn the_key_of_masks_comes_from_the_environment_then_the_file_and_is_read_when_needed() {
        let place = |variables: &[(&str, &str)], file: &str| {
            let file = ConfigFile::parse(file, Path::new("bemi.toml"))?;
            let variable = variables.iter().find(|(key, _)| *key == "BEMI_MASK_KEY");
            let variable = variable.map(|(_, value)| (*value).to_owned());
            let (in_file, of_its_own) = (file.mask_key.as_ref(), file.mask_key_file.as_ref());
            key_place("mask_key", variable, in_file, of_its_own, MaskKey::new)
        };
        let (long, other) = ("0123456789abcdef", "fedcba9876543210");
        let in_file = format!("mask_key = \"{other}\"");
        let in_other_file = "mask_key_file = \"/nowhere\"";
        let is = |place: Option<KeyPlace<MaskKey>>, key: &str| matches!(place, Some(KeyPlace::Here(found)) if found.as_bytes() == key.as_bytes());
        assert!(is(place(&[("BEMI_MASK_KEY", long)], &in_file).unwrap(), long));
        assert!(is(place(&[("BEMI_MASK_KEY", "")], &in_file).unwrap(), other));
        assert!(matches!(place(&[], in_other_file), Ok(Some(KeyPlace::File(_)))));
        assert!(matches!(place(&[], ""), Ok(None)));
        let both = format!("{in_file}\n{in_other_file}");
        assert!(matches!(place(&[], &both), Err(ConfigError::TwoKeys { setting: "mask_key" })));
        assert!(place(&[("BEMI_MASK_KEY", "short")], "").is_err());
    }

    #[test]
    fn a_url_and_its_parts_in_one_file_contradict_each_other() {
        let file = "[source]\nurl = \"postgres://u@a/db\"\nhost = \"b\"\n";
        let error = resolve_with(&Settings::default(), &[], file).unwrap_err();
        assert!(matches!(error, ConfigError::UrlAndParts { .. }), "{error}");
    }
}
