//! COPY … FROM STDIN, and what is large.

use bemi_core::with_context;
use bemi_tests::journal::user;

use super::assert_refused;
use crate::driver::Bind::Int;
use crate::stage::Stage;
use crate::stored::{created, todo};

cases![
    copied_rows_have_the_context needs CopyIn,
    a_copy_that_fails_leaves_nothing needs CopyIn,
    a_thousand_rows_of_one_statement_have_the_same_context,
];

const COPY: &str = "COPY todo FROM STDIN";

async fn copied_rows_have_the_context(stage: Stage) {
    let copied = with_context(user(7), stage.driver.copy_in(COPY, "1\ta\n2\tb\n")).await.unwrap();
    assert_eq!(copied, 2);
    assert_eq!(stage.driver.copy_in(COPY, "3\tc\n").await.unwrap(), 1);
    assert_eq!(
        stage.stored().await,
        [
            created(todo(1, "a")).by(7, COPY),
            created(todo(2, "b")).by(7, COPY),
            created(todo(3, "c")),
        ]
    );
}

async fn a_copy_that_fails_leaves_nothing(stage: Stage) {
    with_context(user(7), async {
        assert_refused(stage.driver.copy_in(COPY, "1\ta\n1\tb\n").await, "23505");
        assert_refused(stage.driver.copy_in(COPY, "one\ta\n").await, "22P02");
        assert_eq!(stage.driver.copy_in(COPY, "1\ta\n").await.unwrap(), 1);
    })
    .await;
    assert_eq!(stage.stored().await, [created(todo(1, "a")).by(7, COPY)]);
}

async fn a_thousand_rows_of_one_statement_have_the_same_context(stage: Stage) {
    let sql = "INSERT INTO todo SELECT i, 'x' || i FROM generate_series(1, $1::int) AS i";
    let inserted = with_context(user(7), stage.driver.execute(sql, &[Int(1000)])).await.unwrap();
    assert_eq!(inserted, 1000);
    let sql = "INSERT INTO todo SELECT i, ? || i FROM generate_series(?, $1::int) AS i";
    let expected: Vec<_> =
        (1..=1000).map(|id| created(todo(id, &format!("x{id}"))).by(7, sql)).collect();
    assert_eq!(stage.stored().await, expected);
}
