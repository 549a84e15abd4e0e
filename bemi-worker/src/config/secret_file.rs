//! A file that holds one secret and nothing else, as containers get theirs.
//!
//! Invariant: what is in the file is in no message.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::ConfigError;

/// Longer than any password or URL: it is another file.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Reads the file. One line break at its end is not part of the secret; all other white space is.
pub(super) fn read(path: &Path) -> Result<String, ConfigError> {
    let not_read = |source| ConfigError::SecretNotRead { path: PathBuf::from(path), source };
    let file = File::open(path).map_err(not_read)?;
    let mut text = String::new();
    // One more, by which too long a file is known.
    file.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text).map_err(not_read)?;
    let secret = text.strip_suffix('\n').unwrap_or(&text);
    let secret = secret.strip_suffix('\r').unwrap_or(secret);
    if secret.is_empty() || secret.len() as u64 > SECRET_BYTES_MAX || secret.contains('\n') {
        return Err(ConfigError::NotASecret { path: PathBuf::from(path) });
    }
    Ok(secret.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = std::env::temp_dir().join(format!("bemi-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn one_line_break_at_the_end_is_not_part_of_it_and_white_space_is() {
        for (i, text) in ["hunter2", "hunter2\n", "hunter2\r\n"].into_iter().enumerate() {
            let path = file(&format!("break-{i}"), text);
            assert_eq!(read(&path).unwrap(), "hunter2", "{text:?}");
            std::fs::remove_file(path).unwrap();
        }
        let path = file("space", " hunter2 \n");
        assert_eq!(read(&path).unwrap(), " hunter2 ");
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn what_is_no_secret_is_refused_without_being_shown() {
        let long = "hunter2".repeat(10_000);
        let texts = [b"".as_slice(), b"\n", b"hunter2\nhunter2\n", b"hunter2\xff", long.as_bytes()];
        for (i, text) in texts.into_iter().enumerate() {
            let path = file(&format!("other-{i}"), text);
            let error = read(&path).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
            std::fs::remove_file(path).unwrap();
        }
        assert!(matches!(read(Path::new("/nowhere")), Err(ConfigError::SecretNotRead { .. })));
    }
}
