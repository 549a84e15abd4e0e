//! What doctor finds.

use serde::Serialize;

use crate::connect::ConnectError;

/// The page of the documentation that has a section for each code.
const PAGE: &str = "docs/findings.md";

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Level {
    /// As it should be.
    Ok,
    /// As PostgreSQL is: nothing is wrong, but it is good to know.
    Note,
    /// It works, but not in full, or not for ever.
    Warn,
    /// The worker cannot do its work, or has lost some.
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// Its code, which means the same for ever: `B005`.
    pub code: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What was found.
    pub what: String,
    /// Why it matters; empty where all is well.
    pub why: String,
    /// What to do about it; empty where all is well.
    pub fix: String,
    /// Where the documentation tells of it: `docs/findings.md#b005`.
    pub docs: String,
}

/// Everything that doctor looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Diagnosis {
    /// In the order in which to mend them.
    pub findings: Vec<Finding>,
}

impl Diagnosis {
    /// Whether anything fails.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.findings.iter().any(|finding| finding.level == Level::Fail)
    }

    pub(super) fn ok(&mut self, code: &'static str, what: impl Into<String>) {
        self.push(code, Level::Ok, what.into(), "", "");
    }

    pub(super) fn note(
        &mut self,
        code: &'static str,
        what: impl Into<String>,
        why: &str,
        fix: impl AsRef<str>,
    ) {
        self.push(code, Level::Note, what.into(), why, fix.as_ref());
    }

    pub(super) fn warn(
        &mut self,
        code: &'static str,
        what: impl Into<String>,
        why: &str,
        fix: impl AsRef<str>,
    ) {
        self.push(code, Level::Warn, what.into(), why, fix.as_ref());
    }

    pub(super) fn fail(
        &mut self,
        code: &'static str,
        what: impl Into<String>,
        why: &str,
        fix: impl AsRef<str>,
    ) {
        self.push(code, Level::Fail, what.into(), why, fix.as_ref());
    }

    /// The message of the error says what to do.
    pub(super) fn unreachable(&mut self, code: &'static str, which: &str, error: &ConnectError) {
        let text = error.to_string();
        let (what, fix) = text.rsplit_once("; ").unwrap_or((text.as_str(), "see the server's log"));
        self.push(
            code,
            Level::Fail,
            what.to_owned(),
            &format!("without the {which} the worker can do nothing"),
            fix,
        );
    }

    fn push(&mut self, code: &'static str, level: Level, what: String, why: &str, fix: &str) {
        let (why, fix) = (why.to_owned(), fix.to_owned());
        let docs = format!("{PAGE}#{}", code.to_ascii_lowercase());
        self.findings.push(Finding { code, level, what, why, fix, docs });
    }
}
