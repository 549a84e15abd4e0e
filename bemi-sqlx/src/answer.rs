//! What a statement answered, read to its end.

use bemi_core::adapter::EMITTED_COLUMN;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt, stream};
use sqlx::postgres::{PgQueryResult, PgRow};
use sqlx::{Either, Error, Row};

/// One item of an answer: the result of a statement, or a row.
pub(crate) type Item = Either<PgQueryResult, PgRow>;

/// What the caller wants of an answer: the rest is read and not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    All,
    FirstRow,
    Results,
}

/// An answer, without what our own statements in it said.
#[derive(Default)]
pub(crate) struct Answer {
    pub(crate) items: Vec<Item>,
    /// How many statements have run, those of ours included.
    pub(crate) completed: usize,
    /// How many rows they affected, all together.
    pub(crate) rows_affected: u64,
    /// What ended it before its time.
    pub(crate) error: Option<Error>,
}

impl Answer {
    /// Reads `stream` to its end.
    pub(crate) async fn read(mut stream: BoxStream<'_, Result<Item, Error>>, keep: Keep) -> Self {
        let mut answer = Self::default();
        let mut ours = false;
        loop {
            let item = match stream.try_next().await {
                Ok(Some(item)) => item,
                Ok(None) => return answer,
                Err(error) => {
                    answer.error = Some(error);
                    return answer;
                }
            };
            let wanted = match &item {
                Either::Left(result) => {
                    answer.completed += 1;
                    answer.rows_affected += result.rows_affected();
                    !std::mem::take(&mut ours) && keep != Keep::FirstRow
                }
                Either::Right(row) if is_ours(row) => {
                    ours = true;
                    false
                }
                Either::Right(_) => match keep {
                    Keep::All => true,
                    Keep::FirstRow => answer.items.is_empty(),
                    Keep::Results => false,
                },
            };
            if wanted {
                answer.items.push(item);
            }
        }
    }

    /// The rows and results, and then the error, if there is one.
    pub(crate) fn into_stream<'e>(self) -> BoxStream<'e, Result<Item, Error>> {
        stream::iter(self.items.into_iter().map(Ok).chain(self.error.map(Err))).boxed()
    }

    /// The sum of the results, as sqlx has it for several statements.
    pub(crate) fn into_result(self) -> Result<PgQueryResult, Error> {
        let mut sum = PgQueryResult::default();
        sum.extend(self.into_items()?.filter_map(Either::left));
        Ok(sum)
    }

    /// The first row, if there is one.
    pub(crate) fn into_first_row(self) -> Result<Option<PgRow>, Error> {
        Ok(self.into_items()?.find_map(Either::right))
    }

    fn into_items(self) -> Result<impl Iterator<Item = Item>, Error> {
        match self.error {
            None => Ok(self.items.into_iter()),
            Some(error) => Err(error),
        }
    }
}

impl From<Error> for Answer {
    fn from(error: Error) -> Self {
        Self { error: Some(error), ..Self::default() }
    }
}

fn is_ours(row: &PgRow) -> bool {
    row.len() == 1 && row.try_column(EMITTED_COLUMN).is_ok()
}
