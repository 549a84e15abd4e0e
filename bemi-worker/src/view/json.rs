//! One JSON object a line: what a program can read while more is being written.

use std::io::{self, Write};

use serde::Serialize;

/// Writes a value and the end of its line.
pub(crate) fn write<T: Serialize>(out: &mut dyn Write, value: &T) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value).map_err(io::Error::from)?;
    writeln!(out)
}
