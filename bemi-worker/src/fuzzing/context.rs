//! Messages of applications and of setup's event triggers.

use bemi_core::{CommitPosition, Context, Lsn, MessageOptions, TransactionId};
use jiff::Timestamp;
use serde_json::Value;

use super::{assert_jsonb, assert_text};
use crate::stitch::{Ddl, Stitcher, Transaction};

/// The smallest limit of a context that can be set, and one in which most inputs fit.
const LIMITS_BYTES: [usize; 2] = [256, 8192];

/// Whatever a message says, what is stored for it is JSON that `jsonb` accepts: as a context the message
/// itself, or an object with its text and the reason; as a DDL command what is known of it. What our own
/// packages make of a context is within its limit, and is stored as it is.
pub fn context(content: &[u8]) {
    as_context(content);
    if let Ok(Value::Object(fields)) = serde_json::from_slice(content) {
        let context = Context::from_serialize(&fields).expect("an object");
        for limit in LIMITS_BYTES {
            let options = MessageOptions::new().size_limit_bytes(limit);
            let message = options.encode(&context, Some("DELETE FROM t WHERE a = 'literal'"));
            assert!(message.as_str().len() <= limit, "{} bytes", message.as_str().len());
            assert!(as_context(message.as_str().as_bytes()), "{}", message.as_str());
        }
    }
    let (ddl, _) = Ddl::read(content);
    assert_jsonb(ddl.after.as_bytes());
    assert_text(ddl.schema.as_bytes());
    assert_text(ddl.table.as_bytes());
}

/// Whether it is stored as it is.
fn as_context(content: &[u8]) -> bool {
    let mut stitcher = Stitcher::default();
    let transaction = Transaction {
        id: TransactionId(1),
        position: CommitPosition(Lsn::new(1)),
        committed_at: Timestamp::UNIX_EPOCH,
        queued_at: Timestamp::UNIX_EPOCH,
    };
    stitcher.begin(transaction).expect("nothing is open");
    let bad = stitcher.message(content).expect("a transaction is open");
    let stored = stitcher.next_change().expect("a transaction is open").context;

    assert_jsonb(stored.as_bytes());
    if bad.is_some() {
        let stored: Value = serde_json::from_str(stored).expect("we wrote it");
        let told = stored.get("_bemi").expect("the key of what is ours");
        assert!(told.get("raw").is_some_and(Value::is_string), "{stored}");
        assert!(told.get("error").is_some_and(Value::is_string), "{stored}");
    } else if content.trim_ascii() == b"null" {
        assert_eq!(stored, "{}");
    } else if !content.contains(&b'%') {
        assert_eq!(stored.as_bytes(), content);
    }
    bad.is_none()
}
