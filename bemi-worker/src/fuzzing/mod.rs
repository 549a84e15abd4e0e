//! What must hold whatever the bytes are, as functions that panic where it does not.
//!
//! No part of the API: they exist for cargo-fuzz, which sets `--cfg fuzzing`, and for `cargo test`. A
//! target of `fuzz/` is a call of one of them; the tests here run each over the corpus that is kept
//! there, so that what the fuzzers once found stays mended.
//!
//! They see the worker's inside, and so live in it: nothing becomes public for their sake.

#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "a property that does not hold ends the fuzzer, as the module says"
)]

mod change;
mod context;
mod copied;
mod decode;
mod render;

pub use self::change::change;
pub use self::context::context;
pub use self::copied::copied;
pub use self::decode::decode;
pub use self::render::render;

use serde::de::IgnoredAny;

use crate::render::check_jsonb;

/// What goes into a `jsonb` column is JSON that it accepts, and that another parser accepts too.
fn assert_jsonb(json: &[u8]) {
    let told = String::from_utf8_lossy(json);
    assert_eq!(check_jsonb(json), Ok(()), "jsonb would refuse {told}");
    // It reads no values, and so has no limits of its own.
    let other = serde_json::from_slice::<IgnoredAny>(json);
    assert!(other.is_ok(), "another parser refuses {told}: {other:?}");
}

/// What goes into a `text` column is text.
fn assert_text(text: &[u8]) {
    let told = String::from_utf8_lossy(text);
    assert!(std::str::from_utf8(text).is_ok(), "not UTF-8: {told}");
    assert!(!text.contains(&0), "text cannot hold NUL: {told:?}");
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// The inputs that are kept for a target.
    fn corpus(target: &str) -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
        let inputs: Vec<_> = fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .map(|entry| fs::read(entry.unwrap().path()).unwrap())
            .collect();
        assert!(!inputs.is_empty(), "no corpus in {}", folder.display());
        inputs
    }

    #[test]
    fn what_was_found_once_stays_mended() {
        corpus("change").iter().for_each(|input| change(input));
        corpus("context").iter().for_each(|input| context(input));
        corpus("copied").iter().for_each(|input| copied(input));
        corpus("decode").iter().for_each(|input| decode(input));
        corpus("render").iter().for_each(|input| render(input));
    }
}
