//! Places at which there is a change: what a follower can be told to come again with, and what can be
//! checked then.

use super::{Cursor, Database, Record, RecordError, Sql};

const DOING: &str = "read changes";

impl<D: Database> Record<D> {
    /// Whether there is a change at that place. [`Cursor::START`] is before all of them, and is always
    /// there.
    ///
    /// Where there is none, whoever goes on from there may miss something: the place is of another
    /// record, or the change was removed since, and then what was behind it may be, too.
    ///
    /// # Errors
    /// As [`changes`](Self::changes).
    ///
    /// # Cancellation safety
    /// Nothing is lost but the answer.
    pub async fn has_place(&mut self, place: Cursor) -> Result<bool, RecordError<D::Error>> {
        if place == Cursor::START {
            return Ok(true);
        }
        let (mut sql, [position, sequence]) = parameters(place);
        sql.push(&format!(
            "SELECT to_json(true)::text FROM {} AS c \
             WHERE c.commit_position = {position} AND c.sequence = {sequence} LIMIT 1",
            self.changes_table()
        ));
        let found: Vec<bool> = self.ask(DOING, "a place", &sql).await?;
        Ok(!found.is_empty())
    }

    /// The place of the last change up to that one, at which there need not be any; [`Cursor::START`]
    /// where nothing is before it.
    ///
    /// # Errors
    /// As [`changes`](Self::changes).
    ///
    /// # Cancellation safety
    /// Nothing is lost but the answer.
    pub async fn last_place(&mut self, up_to: Cursor) -> Result<Cursor, RecordError<D::Error>> {
        let (mut sql, [position, sequence]) = parameters(up_to);
        sql.push(&format!(
            "SELECT to_json(c.commit_position || '.' || c.sequence)::text FROM {} AS c \
             WHERE (c.commit_position, c.sequence) <= ({position}, {sequence}) \
             ORDER BY c.commit_position DESC, c.sequence DESC LIMIT 1",
            self.changes_table()
        ));
        Ok(self.ask(DOING, "a place", &sql).await?.pop().unwrap_or(Cursor::START))
    }
}

/// A statement's parameters that are a place, and how it names them.
fn parameters(place: Cursor) -> (Sql, [String; 2]) {
    let mut sql = Sql::default();
    let numbers = [place.commit_position.0.to_bigint(), place.sequence.0];
    let names = numbers.map(|number| format!("{}::bigint", sql.parameter(number.to_string())));
    (sql, names)
}
