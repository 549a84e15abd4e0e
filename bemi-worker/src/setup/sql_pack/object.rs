//! One object of the pack: how it is made, known again, and dropped.

use postgres_protocol::escape::escape_literal;
use sha2::{Digest, Sha256};

use crate::setup::quoting::dollar_quoted;

/// A function or a view of the pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    /// As DROP names it, and as `bemi.sql_pack` has it: `FUNCTION bemi.history(text, text)`.
    pub(crate) identity: String,
    /// What CREATE OR REPLACE cannot change: the names of the arguments, and the result.
    pub(crate) head: String,
    /// The statement that creates it, or takes the place of one with the same head.
    pub(crate) create: String,
    /// What psql says of it.
    comment: &'static str,
    /// Whether every role may call it. It has the rights of whoever does.
    is_open: bool,
}

/// A function as it is written here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Function {
    pub(super) name: &'static str,
    /// The types of its arguments, as `oidvectortypes` lists them.
    pub(super) types: &'static str,
    /// Its arguments, and what it returns.
    pub(super) declaration: &'static str,
    /// Language, volatility, and what else there is to say.
    pub(super) attributes: &'static str,
    /// Its text; `{changes}` stands for the table.
    pub(super) body: &'static str,
    pub(super) comment: &'static str,
    pub(super) is_open: bool,
}

impl Function {
    /// The function over this table, as SQL names it.
    pub(super) fn over(&self, changes: &str) -> Object {
        self.with_body(&self.body.replace("{changes}", changes))
    }

    /// The function with another text than the one that is written here.
    pub(super) fn with_body(&self, body: &str) -> Object {
        let Self { name, types, declaration, attributes, comment, is_open, .. } = *self;
        Object {
            identity: format!("FUNCTION bemi.{name}({types})"),
            head: declaration.to_owned(),
            // Nobody can put anything into this path, and names in the text mean what they say.
            create: format!(
                "CREATE OR REPLACE FUNCTION bemi.{name}{declaration}
LANGUAGE {attributes} SET search_path = pg_catalog, pg_temp
AS {}",
                dollar_quoted(body)
            ),
            comment,
            is_open,
        }
    }
}

impl Object {
    /// A view of all that a function without arguments gives: so it is the caller's rights that count,
    /// on versions too where a view has those of its owner.
    pub(super) fn view(name: &str, function: &str, comment: &'static str) -> Self {
        Self {
            identity: format!("VIEW bemi.{name}"),
            head: function.to_owned(),
            create: format!(
                "CREATE OR REPLACE VIEW bemi.{name} AS SELECT * FROM bemi.{function}()"
            ),
            comment,
            is_open: true,
        }
    }

    /// Tells whether one that is there is that of this version.
    pub(super) fn digest(&self) -> String {
        let hash = Sha256::new().chain_update(&self.create).chain_update(self.comment).finalize();
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Says what it is for.
    pub(super) fn describe(&self) -> String {
        format!("COMMENT ON {} IS {}", self.identity, escape_literal(self.comment))
    }

    /// Says who may use it, once: what an administrator says later holds.
    pub(super) fn grant(&self) -> String {
        let (privilege, of) = match self.identity.strip_prefix("VIEW ") {
            Some(name) => ("SELECT", name),
            None => ("EXECUTE", self.identity.as_str()),
        };
        if self.is_open {
            format!("GRANT {privilege} ON {of} TO PUBLIC")
        } else {
            format!("REVOKE ALL ON {of} FROM PUBLIC")
        }
    }
}
