//! The error of a write that has no context where it must have one, as the library has its errors.
//!
//! All methods fail with the library's own [`Error`], so that an application keeps its error types. Nobody but the
//! library can make one, and it makes one of any error with which a parameter refuses to be encoded. That happens
//! before anything is sent.

use std::error;

use bemi_core::MissingContextError;
use bytes::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Error};

/// A parameter that cannot be encoded.
#[derive(Debug)]
struct Refused(MissingContextError);

impl ToSql for Refused {
    fn to_sql(
        &self,
        _: &Type,
        _: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn error::Error + Sync + Send>> {
        Err(self.0.clone().into())
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// The library's error whose source is `error`. Sends nothing.
pub(crate) async fn missing(client: &Client, error: MissingContextError) -> Error {
    match client.execute_typed("", &[(&Refused(error), Type::TEXT)]).await {
        Err(error) => error,
        Ok(_) => unreachable!("a parameter that cannot be encoded was sent"),
    }
}
