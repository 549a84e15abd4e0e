//! `bemi-sqlalchemy`: a comment behind each statement, and row triggers on the tables of all schemas.

use crate::app::Program;
use crate::{install, todo};

pub(crate) async fn contexts_equal_what_the_middleware_was_told() {
    let program = Program {
        interpreter: install::python("sqlalchemy").await,
        script: install::application("sqlalchemy").join("app.py"),
    };
    let tracked = todo::tracked(&program).await;
    let app = program.serve(&tracked).await;
    let contexts = todo::contexts();
    todo::requests(&app, &contexts).await;
    let statements = todo::require(&tracked, &contexts).await;
    for (statement, verb) in statements.iter().zip(["INSERT", "UPDATE", "DELETE"]) {
        assert!(statement.as_ref().unwrap().starts_with(verb), "{statement:?}");
    }
}
