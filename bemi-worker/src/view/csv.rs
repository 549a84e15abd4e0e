//! Records of comma-separated values, as RFC 4180 has them, but for lines that end with `\n` alone.

use std::io::{self, Write};

/// Writes a record. A value that is not there is empty, and an empty text is `""`: so they can be
/// told apart, as PostgreSQL's own CSV has it.
pub(crate) fn write<'a>(
    out: &mut dyn Write,
    values: impl IntoIterator<Item = Option<&'a str>>,
) -> io::Result<()> {
    let mut separator = "";
    for value in values {
        out.write_all(separator.as_bytes())?;
        separator = ",";
        match value {
            None => {}
            Some(value) if value.is_empty() || value.contains(['"', ',', '\n', '\r']) => {
                write!(out, "\"{}\"", value.replace('"', "\"\""))?;
            }
            Some(value) => out.write_all(value.as_bytes())?,
        }
    }
    writeln!(out)
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_would_end_a_value_is_quoted() {
        let mut out = Vec::new();
        let record = [Some("a"), None, Some(""), Some("b,\"c\"\n"), Some(" d ")];
        super::write(&mut out, record).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "a,,\"\",\"b,\"\"c\"\"\n\", d \n");
    }
}
