//! What a statement answered, read to its end.

use bemi_core::MissingContextError;
use bemi_core::adapter::EMITTED_COLUMN;
use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;
use sea_orm::{DbErr, ExecResult, QueryResult};
use sqlx::postgres::{PgQueryResult, PgRow};
use sqlx::{Either, Error, Row};

use crate::error::{exec_error, missing, query_error};

/// One item of an answer: the result of a statement, or a row.
pub(crate) type Item = Either<PgQueryResult, PgRow>;

/// Which rows of an answer the caller wants: the rest is read and not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    AllRows,
    FirstRow,
    NoRows,
}

/// An answer, without what our own statements in it said.
#[derive(Default)]
pub(crate) struct Answer {
    rows: Vec<PgRow>,
    /// The sum of the results, as sqlx has it for several statements.
    result: PgQueryResult,
    /// How many statements have run, those of ours included.
    pub(crate) completed: usize,
    /// What ended it before its time.
    pub(crate) error: Option<Error>,
}

impl Answer {
    /// Reads `stream` to its end.
    pub(crate) async fn read(mut stream: BoxStream<'_, Result<Item, Error>>, keep: Keep) -> Self {
        let mut answer = Self::default();
        let mut ours = false;
        loop {
            match stream.try_next().await {
                Ok(Some(Either::Left(result))) => {
                    answer.completed += 1;
                    if !std::mem::take(&mut ours) {
                        answer.result.extend([result]);
                    }
                }
                Ok(Some(Either::Right(row))) if is_ours(&row) => ours = true,
                Ok(Some(Either::Right(row))) => match keep {
                    Keep::AllRows => answer.rows.push(row),
                    Keep::FirstRow if answer.rows.is_empty() => answer.rows.push(row),
                    Keep::FirstRow | Keep::NoRows => {}
                },
                Ok(None) => return answer,
                Err(error) => {
                    answer.error = Some(error);
                    return answer;
                }
            }
        }
    }

    pub(crate) fn rows_affected(&self) -> u64 {
        self.result.rows_affected()
    }

    pub(crate) fn into_result(self) -> Result<ExecResult, DbErr> {
        match self.error {
            None => Ok(self.result.into()),
            Some(error) => Err(exec_error(error)),
        }
    }

    pub(crate) fn into_rows(self) -> Result<impl Iterator<Item = QueryResult>, DbErr> {
        match self.error {
            None => Ok(self.rows.into_iter().map(QueryResult::from)),
            Some(error) => Err(query_error(error)),
        }
    }
}

impl From<Error> for Answer {
    fn from(error: Error) -> Self {
        Self { error: Some(error), ..Self::default() }
    }
}

impl From<MissingContextError> for Answer {
    fn from(error: MissingContextError) -> Self {
        missing(error).into()
    }
}

fn is_ours(row: &PgRow) -> bool {
    row.len() == 1 && row.try_column(EMITTED_COLUMN).is_ok()
}
