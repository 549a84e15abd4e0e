//! On a terminal: colours and its width there, and nothing that data does to it.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::process::{Command, Stdio};

use nix::pty::{Winsize, openpty};

use crate::shop::{Shop, TODO};

/// The worker with these arguments; its output goes wherever is said.
fn worker(shop: &Shop, arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO_BIN_EXE_worker-under-test").unwrap());
    command
        .args(arguments)
        .env("DATABASE_URL", shop.tracked.database.url())
        .env("BEMI_SLOT", shop.tracked.database.slot_name())
        .env("TERM", "xterm")
        .env_remove("NO_COLOR")
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// What a terminal that is so wide is sent.
fn on_terminal(mut command: Command, columns: u16) -> String {
    let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let terminal = openpty(Some(&size), None).unwrap();
    let mut child = command.stdout(terminal.slave).spawn().unwrap();
    // It holds the terminal's other end, too.
    drop(command);
    let mut seen = Vec::new();
    let mut from = File::from(terminal.master);
    let mut buffer = [0; 4096];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => seen.extend_from_slice(&buffer[..count]),
            // So Linux says that the other end is closed.
            Err(error) if error.raw_os_error() == Some(nix::libc::EIO) => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert!(child.wait().unwrap().success());
    String::from_utf8(seen).unwrap().replace("\r\n", "\n")
}

#[tokio::test]
async fn a_terminal_gets_colours_and_lines_that_fit() {
    let shop = Shop::new(TODO).await;
    shop.sql(&format!("INSERT INTO todo VALUES (1, '{}')", "日本".repeat(100))).await;
    shop.sql("UPDATE todo SET task = task || '!'").await;
    let told = on_terminal(worker(&shop, &["changes"]), 50);
    assert!(told.contains("\x1b[33mUPDATE\x1b[0m"), "{told}");
    let plain = on_terminal(worker(&shop, &["changes", "--color", "never"]), 50);
    assert!(plain.contains('…') && !plain.contains('\x1b'), "{plain}");
    let columns = |line: &str| {
        line.chars()
            .map(|c| if c >= '\u{1100}' && c != '…' && c != '→' { 2 } else { 1 })
            .sum::<usize>()
    };
    for line in plain.lines() {
        assert!(columns(line) <= 50, "{line}");
    }
    // What changed is to be seen, though the rest of both values is not.
    assert!(plain.contains("!\"\n"), "{plain}");
}

#[tokio::test]
async fn colours_are_left_out_where_nobody_wants_them() {
    let shop = Shop::new(TODO).await;
    shop.sql("INSERT INTO todo VALUES (1, 'a')").await;
    let mut command = worker(&shop, &["changes"]);
    command.env("NO_COLOR", "1");
    assert!(!on_terminal(command, 80).contains('\x1b'));
    let mut command = worker(&shop, &["changes"]);
    command.env("TERM", "dumb");
    assert!(!on_terminal(command, 80).contains('\x1b'));
    assert!(!shop.says(&["changes"]).await.contains('\x1b'));
    assert!(shop.says(&["changes", "--color", "always"]).await.contains('\x1b'));
}

#[tokio::test]
async fn elsewhere_lines_are_whole_unless_a_width_is_given() {
    let shop = Shop::new(TODO).await;
    let task = "long ".repeat(100);
    shop.sql(&format!("INSERT INTO todo VALUES (1, '{task}')")).await;
    assert!(shop.says(&["changes"]).await.contains(&task));
    let told = shop.says(&["changes", "--width", "40"]).await;
    assert!(told.lines().all(|line| line.chars().count() <= 40), "{told}");
}

#[tokio::test]
async fn nothing_that_somebody_wrote_is_obeyed_by_the_terminal() {
    let schema = "CREATE TABLE \"evil\x1b]0;table\x07\" (id text PRIMARY KEY, \"c\x1b[31m\" text)";
    let shop = Shop::new(schema).await;
    let table = "\"evil\x1b]0;table\x07\"";
    let context = "{\"user\\u001b[2J\": \"\\u202e\\u009b31m\", \"request_id\": \"\\u001b[5m\\n\"}";
    let insert =
        format!("INSERT INTO {table} VALUES (E'k\\x1b[1m\\n', E'v\\u009b2J\\x7f\\r\\u202e')");
    shop.with_context(context, &insert).await;
    shop.with_context(context, &format!("UPDATE {table} SET id = E'\\x1bc' || id")).await;
    let id = shop.json(&["changes", "--limit", "1"]).await[0]["id"].as_str().unwrap().to_owned();
    for arguments in [
        &["changes"][..],
        &["history", table],
        &["show", &id],
        &["requests"],
        &["requests", "--by", "transaction"],
    ] {
        let told = shop.says(arguments).await;
        let obeyed = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!told.contains(obeyed), "{arguments:?} {told:?}");
        assert!(told.contains("\\u001b"), "{arguments:?} {told:?}");
    }
    // Programs get it as it is.
    let change = &shop.json(&["changes", "--limit", "1"]).await[0];
    assert_eq!(change["primary_key"], "\x1bck\x1b[1m\n");
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_ends_it_well() {
    let shop = Shop::new(TODO).await;
    shop.sql("INSERT INTO todo SELECT n, repeat('x', 1000) FROM generate_series(1, 1000) AS n")
        .await;
    for format in ["table", "json", "csv"] {
        let mut command = worker(&shop, &["changes", "--format", format]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut first = [0; 10];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{format}");
    }
}
