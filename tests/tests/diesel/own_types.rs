//! Types of the database's own, which diesel looks up in the catalog on the connection that the write is about to run on.

use std::io::Write;

use bemi_diesel::with_context_sync;
use bemi_tests::journal::{by, user};
use diesel::expression::AsExpression;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::QueryId;
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::SqlType;

use crate::app::App;

#[derive(SqlType, QueryId)]
#[diesel(postgres_type(name = "mood"))]
#[allow(unreachable_pub, reason = "what `table!` makes is public, and names it")]
pub struct MoodType;

#[derive(Debug, AsExpression)]
#[diesel(sql_type = MoodType)]
struct Mood(&'static str);

diesel::table! {
    use diesel::sql_types::Integer;
    use super::MoodType;

    felt (id) {
        id -> Integer,
        mood -> MoodType,
    }
}

impl ToSql<MoodType, Pg> for Mood {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        out.write_all(self.0.as_bytes())?;
        Ok(IsNull::No)
    }
}

#[tokio::test]
async fn a_type_is_looked_up_inside_the_transaction_of_the_write() {
    let app = App::new().await;
    app.run("CREATE TYPE mood AS ENUM ('good'); CREATE TABLE felt (id int PRIMARY KEY, mood mood)")
        .await;
    let connection = &mut app.connection();
    with_context_sync(user(1), || {
        for id in [1, 2] {
            diesel::insert_into(felt::table)
                .values((felt::id.eq(id), felt::mood.eq(Mood("good"))))
                .execute(connection)
                .unwrap();
        }
    });
    let felt = |id: i32| by(1, format!("felt: INSERT: id:{id} mood[mood]:'good'"));
    assert_eq!(app.changes().await, [[felt(1)], [felt(2)]]);
}
