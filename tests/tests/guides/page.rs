//! A page of the documentation, block by block, as its reader does what it says.
//!
//! Blocks of `sql` are run. In those of `console`, a line that begins with `$ ` is a command for a shell, and
//! what follows it is what it prints. Times, ids and positions are others each time, and a column is as wide
//! as what stands in it: so these, and how many spaces there are, are not compared.

use std::path::Path;

use bemi_tests::{RunningWorker, Tracked, WorkerCommand};

/// A block that its reader does something with.
#[derive(Debug, PartialEq)]
pub(crate) enum Block {
    Sql(String),
    Console(Vec<Command>),
}

/// A command, what it prints, and how it ends.
#[derive(Debug, PartialEq)]
pub(crate) struct Command {
    pub(crate) line: String,
    pub(crate) printed: String,
    pub(crate) code: i32,
}

/// The blocks of a page that are for its reader to run; a block of any other kind is left out.
pub(crate) fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut rest = page;
    while let Some((_, opened)) = rest.split_once("\n```") {
        let (kind, content) = opened.split_once('\n').expect("a block has a first line");
        let (content, behind) = content.split_once("```").expect("a block has an end");
        match kind.trim() {
            "sql" => blocks.push(Block::Sql(content.to_owned())),
            "console" => blocks.push(Block::Console(commands(content))),
            _ => {}
        }
        rest = behind;
    }
    blocks
}

fn commands(content: &str) -> Vec<Command> {
    let mut commands: Vec<Command> = Vec::new();
    for line in content.lines() {
        if let Some(line) = line.strip_prefix("$ ") {
            commands.push(Command { line: line.to_owned(), printed: String::new(), code: 0 });
            continue;
        }
        let command = commands.last_mut().expect("a console begins with a command");
        match line.strip_prefix("[exit code ").and_then(|code| code.strip_suffix(']')) {
            Some(code) => command.code = code.parse().expect("an exit code"),
            // A command goes on where its line ends in a backslash.
            None if command.printed.is_empty() && command.line.ends_with('\\') => {
                command.line.push('\n');
                command.line.push_str(line.strip_prefix("> ").unwrap_or(line));
            }
            None => {
                command.printed.push_str(line);
                command.printed.push('\n');
            }
        }
    }
    commands
}

/// Does what a page says on a database where nothing is yet.
pub(crate) async fn follow(page: &str, tracked: &Tracked) {
    let mut running = Vec::new();
    for block in blocks(page) {
        match block {
            Block::Sql(sql) => tracked.sql(&sql).await,
            Block::Console(commands) => {
                for command in commands {
                    run(&command, tracked, &mut running).await;
                }
            }
        }
    }
}

async fn run(command: &Command, tracked: &Tracked, running: &mut Vec<RunningWorker>) {
    let worker = std::env::var_os("CARGO_BIN_EXE_worker-under-test").unwrap();
    let shell = |line: &str| {
        let script = format!("bemi-worker() {{ \"$PROGRAM\" \"$@\"; }}\n{line}");
        WorkerCommand::new(Path::new("bash"), ["-c", &script])
            .env("PROGRAM", &worker)
            .env("COLUMNS", "120")
            .env("USER", "sam")
            .env("DATABASE_URL", tracked.database.url())
            .env("BEMI_SLOT", tracked.database.slot_name())
    };
    if let Some(line) = command.line.strip_suffix(" &") {
        // The worker itself, and not a shell around it: it is stopped with the test.
        let mut worker = shell(&line.replacen("bemi-worker", "exec \"$PROGRAM\"", 1)).spawn();
        worker.wait_for_log("streaming").await;
        running.push(worker);
        return;
    }
    let output = shell(&command.line).run_to_end().await;
    let (printed, shown) = (comparable(&output.stdout), comparable(&command.printed));
    assert!(
        printed == shown && output.code == Some(command.code),
        "$ {}\n--- the page shows, with exit code {}\n{shown}\n--- it printed\n{printed}\n--- as it is\n{output}",
        command.line,
        command.code
    );
}

/// The text without what differs each time.
pub(crate) fn comparable(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let words = line.split([' ', '│', '─', '┼', '┬', '┴']).filter(|word| !word.is_empty());
        let mut words: Vec<String> = words.map(comparable_word).collect();
        for number in 1..words.len() {
            if words[number - 1] == "transaction" {
                words[number] = words[number].replace(|c: char| c.is_ascii_digit(), "");
            }
        }
        words.join(" ")
    });
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

/// A word whose digits are a time, an id, a position or a count of seconds is the same as any other one.
fn comparable_word(word: &str) -> String {
    let core = word.trim_matches(|c: char| !c.is_alphanumeric());
    let shape: String = core
        .chars()
        .map(|c| if c.is_ascii_hexdigit() && !c.is_ascii_uppercase() { '0' } else { c })
        .collect();
    let is_time = shape.contains("0:00:00") || shape.starts_with("0000-00-00");
    let is_id = core.len() == 36 && core.matches('-').count() == 4;
    let is_position = core.split_once('/').is_some_and(|(high, low)| {
        !low.is_empty()
            && [high, low].iter().all(|half| half.chars().all(|c| c.is_ascii_hexdigit()))
    });
    let is_cursor = core.split_once('.').is_some_and(|(position, number)| {
        position.len() > 6
            && [position, number].iter().all(|part| part.bytes().all(|b| b.is_ascii_digit()))
    });
    if is_time || is_id || is_position || is_cursor {
        word.replace(core, "…")
    } else {
        word.to_owned()
    }
}

#[test]
fn a_page_is_read_as_its_reader_reads_it() {
    let page = "text\n```sql\nSELECT 1;\n```\nmore\n```rust\nfn main() {}\n```\n```console\n$ a \\\n> b\nc\n\nd\n$ e\n[exit code 5]\n```\n";
    let command = |line: &str, printed: &str, code| Command {
        line: line.to_owned(),
        printed: printed.to_owned(),
        code,
    };
    assert_eq!(
        blocks(page),
        [
            Block::Sql("SELECT 1;\n".to_owned()),
            Block::Console(vec![command("a \\\nb", "c\n\nd\n", 0), command("e", "", 5)]),
        ]
    );
}

#[test]
fn only_what_differs_each_time_is_not_compared() {
    assert_eq!(comparable("a  1 2026-11-21 10:00:00.5"), comparable("a 1 2026-11-22  11:22:33.25"));
    assert_eq!(comparable("(0/16B3748)"), comparable("(1/AB)"));
    assert_eq!(comparable("transaction 760,"), comparable("transaction 1761,"));
    assert_ne!(comparable("26 open"), comparable("27 open"));
    assert_ne!(comparable("1.5"), comparable("1.6"));
    assert_ne!(comparable("r-17"), comparable("r-18"));
}
