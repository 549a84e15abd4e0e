//! Makes sure that each variant leaves in the WAL what it should: its changes, and the messages that govern them.

use std::fmt::Write;

use clap::ValueEnum;
use tokio_postgres::Client;

use crate::Result;
use crate::databases::Databases;
use crate::library::{Library, Variant};
use crate::place::Place;
use crate::sessions::Sessions;
use crate::work::{Operation, WRITES};

/// A slot that is gone with its session.
const SLOT: &str = "SELECT pg_create_logical_replication_slot($1, 'pgoutput', true)";

/// Since when it was asked last: messages and changes, as pgoutput marks them.
const READ: &str = "SELECT chr(get_byte(data, 0)) FROM pg_logical_slot_get_binary_changes($1, NULL, NULL, \
    'proto_version', '1', 'publication_names', 'todo', 'messages', 'true') \
    WHERE get_byte(data, 0) IN (ascii('M'), ascii('I'), ascii('U'))";

/// Does each operation once in each variant, and looks at what it left.
///
/// # Errors
/// That it is something else than it should be.
pub(crate) async fn check<L: Library>(databases: &Databases, place: &Place) -> Result<()> {
    let mut sessions = Sessions::<L>::open(databases, place).await?;
    let reader = databases.tracked.connect().await?;
    let slot = databases.tracked.slot_name();
    reader.execute(SLOT, &[&slot]).await?;
    for &operation in Operation::value_variants() {
        for variant in std::iter::once(Variant::Plain).chain(L::VARIANTS.iter().copied()) {
            if variant == Variant::Trigger || !variant.suits(operation) {
                continue;
            }
            // Again, as a statement that is prepared already: that may go another way.
            for _ in 0..2 {
                sessions.run(variant, operation, 0, 1).await?;
                let (found, wanted) = (left(&reader, &slot).await?, wanted(operation, variant));
                if found != wanted {
                    return Err(format!(
                        "{operation} with {}, {variant:?}, left `{found}` in the WAL, and should have left `{wanted}` \
                         (M is a message, I an insert, U an update)",
                        L::NAME
                    )
                    .into());
                }
            }
        }
    }
    Ok(())
}

async fn left(reader: &Client, slot: &str) -> Result<String> {
    let rows = reader.query(READ, &[&slot]).await?;
    Ok(rows.iter().map(|row| row.get::<_, &str>(0)).collect())
}

fn wanted(operation: Operation, variant: Variant) -> String {
    let (once, each) = match variant {
        Variant::Plain | Variant::Outside | Variant::Trigger => ("", ""),
        Variant::WithoutSql => ("M", ""),
        Variant::Text | Variant::Inline => ("", "M"),
    };
    let mut wanted = String::new();
    // A String takes everything.
    let _ = match operation {
        Operation::Insert => write!(wanted, "{once}{each}I"),
        Operation::Update => write!(wanted, "{once}{each}U"),
        Operation::Transaction => {
            let pairs = format!("{each}I{each}U").repeat(WRITES as usize / 2);
            write!(wanted, "{once}{pairs}")
        }
        Operation::Read => Ok(()),
    };
    wanted
}
