//! Mends what can be mended without anybody's decision.
//!
//! Safe is what neither changes how the application behaves nor loses anything: publications that have
//! drifted, and tables, functions, triggers and indexes of ours that are missing or of another version.
//! Never a replica identity, a setting of the server, or a slot.
//!
//! Invariant: what doctor has not found is not touched, so that a second time there is nothing to do.

use std::collections::BTreeSet;

use serde::Serialize;

use super::examine;
use super::finding::{Diagnosis, Level};
use crate::WorkerError;
use crate::config::Config;
use crate::setup::mend;

/// How often to look again: what is mended may bring to light what was behind it.
const ROUNDS_MAX: u32 = 3;

/// What was mended, and what is left.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Fixed {
    /// What was done, or would be, in this order.
    pub fixes: Vec<Fix>,
    /// What is found now.
    #[serde(flatten)]
    pub diagnosis: Diagnosis,
}

/// One step that mends something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Fix {
    /// The findings that it is for.
    pub codes: Vec<&'static str>,
    /// What it does, as a verb: `create publication bemi`.
    pub what: String,
    /// What became of it.
    pub result: FixResult,
    /// Why it was refused; none where it was not.
    pub error: Option<String>,
}

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum FixResult {
    /// It was taken.
    Done,
    /// It would be taken.
    Planned,
    /// The server, or somebody who uses the table, did not let us.
    Refused,
}

/// Examines source and destination, mends what is safe, and examines them again. With `dry_run`, it
/// changes nothing, and tells what it would do.
///
/// # Errors
/// As [`examine`](super::examine). That something could not be mended is part of what is returned.
///
/// # Cancellation
/// Each step is taken as a whole or not at all; an index that is being made may stay behind unfinished,
/// and is made anew by another run.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use bemi_worker::{config::Config, doctor};
///
/// let config = Config::new("postgres://postgres@localhost/shop".parse()?);
/// let fixed = doctor::fix(&config, false).await?;
/// for fix in &fixed.fixes {
///     println!("{}", fix.what);
/// }
/// # Ok(())
/// # }
/// ```
pub async fn fix(config: &Config, dry_run: bool) -> Result<Fixed, WorkerError> {
    let mut fixed = Fixed { diagnosis: examine(config).await?, ..Fixed::default() };
    for _ in 0..ROUNDS_MAX {
        let codes = wrong(&fixed.diagnosis);
        // What cannot be looked at cannot be mended.
        if codes.is_empty()
            || ["B001", "B002", "B003", "B004", "B054"].iter().any(|c| codes.contains(c))
        {
            break;
        }
        let taken = mend::mend(config, &codes, dry_run).await?;
        let mut was_any_taken = false;
        for step in taken {
            let result = match (&step.refused, dry_run) {
                (Some(_), _) => FixResult::Refused,
                (None, true) => FixResult::Planned,
                (None, false) => FixResult::Done,
            };
            was_any_taken |= result == FixResult::Done;
            let fix = Fix { codes: step.codes, what: step.what, result, error: step.refused };
            // Refused again for the same reason.
            if !fixed.fixes.contains(&fix) {
                fixed.fixes.push(fix);
            }
        }
        if !was_any_taken {
            break;
        }
        fixed.diagnosis = examine(config).await?;
    }
    Ok(fixed)
}

/// The codes of what is not well.
fn wrong(diagnosis: &Diagnosis) -> BTreeSet<&'static str> {
    let findings = diagnosis.findings.iter();
    findings.filter(|finding| finding.level != Level::Ok).map(|finding| finding.code).collect()
}
