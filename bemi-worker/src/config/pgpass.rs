//! libpq's password file: a line for each server, `host:port:database:user:password`.
//!
//! It is read as libpq reads it: `*` stands for any value of a field, `\` takes the next character as it
//! is, a line that begins with `#` is a comment, and the first line that fits counts. A file that others
//! may read is passed over, with a warning.
//!
//! Invariant: nothing that is in the file is in a message.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tracing::warn;

use super::{ConfigError, ConnectionConfig};

/// What libpq calls the host where a socket of its default folder is used.
const LOCALHOST: &str = "localhost";

/// The folders that libpq is compiled with for sockets: PostgreSQL's own, and that of distributions.
const SOCKET_FOLDERS: [&str; 2] = ["/tmp", "/var/run/postgresql"];

/// Larger, it is another file.
const BYTES_MAX: u64 = 1024 * 1024;

/// Where the file is: what `PGPASSFILE` names, else `.pgpass` in the home folder.
pub(super) fn place(environment: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    environment("PGPASSFILE")
        .map(PathBuf::from)
        .or_else(|| environment("HOME").map(|home| Path::new(&home).join(".pgpass")))
}

/// The password for this connection, if the file has one. That there is no file is no error.
///
/// # Errors
/// [`ConfigError::SecretNotRead`] when it is there and cannot be read.
pub(super) fn find(
    path: &Path,
    connection: &ConnectionConfig,
) -> Result<Option<String>, ConfigError> {
    let Ok(metadata) = fs::metadata(path) else { return Ok(None) };
    if !metadata.is_file() || metadata.len() > BYTES_MAX {
        warn!(file = %path.display(), "the password file is no plain file of lines, and is not used");
        return Ok(None);
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        warn!(
            file = %path.display(),
            "others may read the password file, so it is not used; run chmod 0600 on it"
        );
        return Ok(None);
    }
    // Passwords of other servers may be in another encoding.
    let bytes = fs::read(path)
        .map_err(|source| ConfigError::SecretNotRead { path: PathBuf::from(path), source })?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().find_map(|line| password(line, connection)))
}

/// The password in a line, if it is for this connection.
fn password(line: &str, connection: &ConnectionConfig) -> Option<String> {
    if line.starts_with('#') {
        return None;
    }
    let host = connection.host();
    let is_default = SOCKET_FOLDERS.contains(&host.trim_end_matches('/'));
    let rest =
        field(line, host).or_else(|| is_default.then(|| field(line, LOCALHOST)).flatten())?;
    let rest = field(rest, &connection.port().to_string())?;
    let rest = field(rest, connection.database())?;
    let rest = field(rest, connection.user())?;
    let mut password = String::with_capacity(rest.len());
    let mut characters = rest.trim_end_matches('\r').chars();
    while let Some(character) = characters.next() {
        // One at the very end stands for itself.
        password.push(if character == '\\' {
            characters.next().unwrap_or('\\')
        } else {
            character
        });
    }
    (!password.is_empty() && !password.contains(char::REPLACEMENT_CHARACTER)).then_some(password)
}

/// What is behind the first field of a line, if that is this value.
fn field<'a>(line: &'a str, value: &str) -> Option<&'a str> {
    if let Some(rest) = line.strip_prefix("*:") {
        return Some(rest);
    }
    let mut wanted = value.chars();
    let mut characters = line.chars();
    loop {
        match characters.next()? {
            ':' => return wanted.next().is_none().then_some(characters.as_str()),
            '\\' if characters.next()? == wanted.next()? => {}
            character if character != '\\' && Some(character) == wanted.next() => {}
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(line: &str, url: &str) -> Option<String> {
        password(line, &url.parse().unwrap())
    }

    const URL: &str = "postgres://me@db.example:6543/shop";

    #[test]
    fn a_line_is_for_what_its_fields_say() {
        for line in [
            "db.example:6543:shop:me:hunter2",
            "*:*:*:*:hunter2",
            "db.example:*:shop:*:hunter2",
            "d\\b.example:6543:shop:me:hunter2",
            "*:6543:*:me:hunter2\r",
            "*:*:*:*:\\hunter\\2",
        ] {
            assert_eq!(found(line, URL).as_deref(), Some("hunter2"), "{line}");
        }
        for line in [
            "",
            "#*:*:*:*:hunter2",
            "# db.example:6543:shop:me:hunter2",
            "db.example:5432:shop:me:hunter2",
            "db.exampl:6543:shop:me:hunter2",
            "db.example.org:6543:shop:me:hunter2",
            "db.example:6543:shop:you:hunter2",
            "db.example:6543:shop:me",
            "db.example:6543:shop:me:",
            "*db.example:6543:shop:me:hunter2",
            "\\*:6543:shop:me:hunter2",
            " db.example:6543:shop:me:hunter2",
            "db.example:6543:shop:me\\",
        ] {
            assert_eq!(found(line, URL), None, "{line}");
        }
    }

    #[test]
    fn colons_and_backslashes_are_escaped_and_in_a_password_need_not_be() {
        let url = "postgres://a%3Ab%5Cc@[::1]:6543/d%3Ae";
        assert_eq!(found("\\:\\:1:6543:d\\:e:a\\:b\\\\c:p", url).as_deref(), Some("p"));
        assert_eq!(found("::1:6543:d\\:e:a\\:b\\\\c:p", url), None);
        assert_eq!(found("*:*:*:*:p:q", URL).as_deref(), Some("p:q"));
        assert_eq!(found("*:*:*:*:p\\:q\\\\r", URL).as_deref(), Some("p:q\\r"));
        assert_eq!(found("*:*:*:*:p\\", URL).as_deref(), Some("p\\"));
        assert_eq!(found("*:*:*:*: p ", URL).as_deref(), Some(" p "));
    }

    #[test]
    fn a_socket_of_the_default_folder_is_localhost_and_another_is_its_folder() {
        let line = "localhost:5432:db:me:p";
        for folder in ["/tmp", "/var/run/postgresql"] {
            let url = format!("postgres://me@/db?host={folder}");
            assert_eq!(found(line, &url).as_deref(), Some("p"), "{folder}");
            assert_eq!(found(&format!("{folder}:*:*:*:p"), &url).as_deref(), Some("p"));
        }
        let other = "postgres://me@/db?host=/srv/sockets";
        assert_eq!(found(line, other), None);
        assert_eq!(found("/srv/sockets:*:*:*:p", other).as_deref(), Some("p"));
    }

    #[test]
    fn the_first_line_that_fits_counts_and_a_file_that_others_may_read_does_not() {
        let path = std::env::temp_dir().join(format!("bemi-{}-pgpass", std::process::id()));
        fs::write(&path, "# comment\nother:*:*:*:no\n*:6543:*:*:first\n*:*:*:*:second\n").unwrap();
        let url = URL.parse().unwrap();
        for (mode, expected) in
            [(0o600, Some("first")), (0o400, Some("first")), (0o640, None), (0o604, None)]
        {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(find(&path, &url).unwrap().as_deref(), expected, "{mode:o}");
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(find(&path, &url).unwrap(), None);
    }

    #[test]
    fn the_variable_names_it_and_else_it_is_at_home() {
        let place = |variables: &'static [(&str, &str)]| {
            place(&move |name| {
                variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            })
        };
        assert_eq!(place(&[("HOME", "/home/me")]), Some("/home/me/.pgpass".into()));
        assert_eq!(place(&[("HOME", "/home/me"), ("PGPASSFILE", "/p")]), Some("/p".into()));
        assert_eq!(place(&[]), None);
    }
}
