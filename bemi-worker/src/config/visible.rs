//! Passwords among the arguments of the process, where every user of the machine sees them.

use std::ffi::OsString;

use super::{ConfigError, ConnectionConfig};

/// The flags that take a URL, and the variables to use instead.
const FLAGS: [(&str, &str); 2] = [
    ("--database-url", "DATABASE_URL"),
    ("--destination-database-url", "DESTINATION_DATABASE_URL"),
];

/// Refuses a password in a flag. What is seen there once is known: so it is refused, not hidden.
///
/// # Errors
/// [`ConfigError::PasswordInFlag`].
pub(crate) fn refuse_visible_passwords(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<(), ConfigError> {
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let argument = argument.to_string_lossy();
        for (flag, instead) in FLAGS {
            let Some(rest) = argument.strip_prefix(flag) else { continue };
            let url = match rest.strip_prefix('=') {
                Some(url) => url.to_owned(),
                None if rest.is_empty() => {
                    arguments.next().unwrap_or_default().to_string_lossy().into_owned()
                }
                None => continue,
            };
            // Another user's name need not be known for this.
            let read = ConnectionConfig::from_url(&url, Some(""), flag);
            if read.is_ok_and(|connection| connection.password().is_some()) {
                return Err(ConfigError::PasswordInFlag { flag, instead });
            }
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(arguments: &[&str]) -> bool {
        refuse_visible_passwords(arguments.iter().map(OsString::from)).is_err()
    }

    #[test]
    fn a_password_in_a_flag_is_refused_and_a_url_without_one_is_not() {
        let (with, without) = ("postgres://me:hunter2@a/db", "postgres://me@a/db");
        for flag in ["--database-url", "--destination-database-url"] {
            assert!(refused(&["bemi-worker", "run", flag, with]));
            assert!(refused(&["bemi-worker", &format!("{flag}={with}"), "run"]));
            assert!(refused(&["bemi-worker", flag, "postgres://me@a/db?password=hunter2"]));
            assert!(!refused(&["bemi-worker", "run", flag, without]));
            assert!(!refused(&["bemi-worker", &format!("{flag}={without}")]));
            assert!(!refused(&["bemi-worker", flag]));
        }
        assert!(!refused(&["bemi-worker", "history", with]));
    }
}
