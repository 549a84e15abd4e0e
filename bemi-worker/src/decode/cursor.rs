//! A reader over the bytes of one message.

use super::{COLUMNS_MAX, DecodeError};

/// What is left of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn rest(self) -> &'a [u8] {
        self.0
    }

    pub(super) fn bytes(
        &mut self,
        length: usize,
        field: &'static str,
    ) -> Result<&'a [u8], DecodeError> {
        let Some((taken, rest)) = self.0.split_at_checked(length) else {
            return Err(DecodeError::TooShort { field, missing_bytes: length - self.0.len() });
        };
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        let Some((taken, rest)) = self.0.split_first_chunk::<N>() else {
            return Err(DecodeError::TooShort { field, missing_bytes: N - self.0.len() });
        };
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        self.array(field).map(u8::from_be_bytes)
    }

    fn u16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        self.array(field).map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        self.array(field).map(u32::from_be_bytes)
    }

    /// The number of columns that follow.
    pub(super) fn column_count(&mut self) -> Result<u16, DecodeError> {
        let count = self.u16("number of columns")?;
        if count > COLUMNS_MAX {
            return Err(DecodeError::TooManyColumns { count });
        }
        Ok(count)
    }

    /// A text that ends with a NUL byte.
    pub(super) fn name(&mut self) -> Result<&'a str, DecodeError> {
        let end = memchr::memchr(0, self.0).ok_or(DecodeError::InvalidName)?;
        let name = self.bytes(end, "name")?;
        self.u8("name")?;
        std::str::from_utf8(name).map_err(|_| DecodeError::InvalidName)
    }
}
