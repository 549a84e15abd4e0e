//! MikroORM, with the comment behind its statements that `@bemi-db/mikro-orm` would set there.

use serde_json::json;

use crate::app::Program;
use crate::{install, todo};

pub(crate) async fn contexts_equal_what_the_middleware_was_told() {
    let folder = install::node("mikro-orm").await;
    let program = Program { interpreter: "node".into(), script: folder.join("app.js") };
    let tracked = todo::tracked(&program).await;
    let app = program.serve(&tracked).await;
    // Nothing is encoded on this way, and nothing is to be decoded.
    let [mut first, second, third] = todo::contexts();
    first["url"] = json!("/todos?page=2&sure=100%25%3F");
    let contexts = [first, second, third];
    todo::requests(&app, &contexts).await;
    todo::require(&tracked, &contexts).await;
}
