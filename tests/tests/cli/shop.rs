//! A tracked database whose worker runs, and commands that ask its record.

use bemi_tests::{Output, RunningWorker, Tracked, shared_cluster};
use serde_json::Value;

/// A todo list, whose worker runs.
pub(crate) struct Shop {
    pub(crate) tracked: Tracked,
    pub(crate) worker: RunningWorker,
}

/// What most tests are about.
pub(crate) const TODO: &str =
    "CREATE TABLE todo (id int PRIMARY KEY, task text, status text DEFAULT 'open')";

impl Shop {
    pub(crate) async fn new(schema: &str) -> Self {
        let tracked = Tracked::new(schema).await;
        let worker = tracked.run().await;
        Self { tracked, worker }
    }

    /// One whose old rows are not recorded as a whole.
    pub(crate) async fn with_keys_alone(schema: &str) -> Self {
        let tracked = Tracked::untracked(shared_cluster(), schema).await;
        tracked.setup(&["--all-tables"]).await;
        let worker = tracked.run().await;
        Self { tracked, worker }
    }

    /// The text with everything replaced that is another one each time: ids, instants, positions.
    pub(crate) fn stable(&self, text: &str) -> String {
        stable(&text.replace(self.tracked.database.name(), "DATABASE"))
    }

    /// Runs statements in one transaction with this context, and waits until they are visible.
    pub(crate) async fn with_context(&self, context: &str, sql: &str) {
        let context = context.replace('\'', "''");
        self.sql(&format!("BEGIN; SELECT bemi.set_context('{context}'); {sql}; COMMIT")).await;
    }

    pub(crate) async fn sql(&self, sql: &str) {
        self.tracked.sql(sql).await;
    }

    /// What a command that must succeed says.
    pub(crate) async fn says(&self, arguments: &[&str]) -> String {
        self.run(arguments).await.assert_code(0).stdout
    }

    /// The lines of JSON of a command that must succeed.
    pub(crate) async fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let arguments = [arguments, &["--format", "json"]].concat();
        lines(&self.says(&arguments).await)
    }

    /// The changes that a command tells: operation and key of each.
    pub(crate) async fn told(&self, arguments: &[&str]) -> Vec<String> {
        what(&self.json(arguments).await)
    }

    /// How a command ends.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Output {
        self.tracked.worker(arguments).run_to_end().await
    }

    /// Runs a command that must end with this code, and say this on standard error.
    pub(crate) async fn refuses(&self, arguments: &[&str], code: i32, says: &str) {
        let output = self.run(arguments).await.assert_code(code);
        assert!(output.stderr.contains(says), "{says:?} is missing in\n{output}");
    }
}

/// Operation and key of each change.
pub(crate) fn what(changes: &[Value]) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    changes
        .iter()
        .map(|change| format!("{} {}", text(&change["operation"]), text(&change["primary_key"])))
        .collect()
}

/// Lines of JSON.
pub(crate) fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

fn stable(text: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | ':' | '.' | '/' | '+');
    let mut shown = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(is_part) {
        let (before, behind) = rest.split_at(start);
        let (word, behind) = behind.split_at(behind.find(|c| !is_part(c)).unwrap_or(behind.len()));
        shown.push_str(before);
        shown.push_str(&stable_word(word));
        rest = behind;
    }
    shown + rest
}

fn stable_word(word: &str) -> String {
    let is_hex =
        |part: &str, count| part.len() == count && part.bytes().all(|b| b.is_ascii_hexdigit());
    let is_uuid = |word: &str| {
        let groups: Vec<&str> = word.split('-').collect();
        groups.len() == 5
            && groups.iter().zip([8, 4, 4, 4, 12]).all(|(group, count)| is_hex(group, count))
    };
    let is_number = |part: &str| part.len() >= 3 && part.bytes().all(|b| b.is_ascii_digit());
    let is_cursor = word.split_once('.').is_some_and(|(position, sequence)| {
        position.len() < 16 && is_number(position) && sequence.bytes().all(|b| b.is_ascii_digit())
    });
    if let Some(word) = word.strip_prefix(':') {
        return format!(":{}", stable_word(word));
    }
    match word.rsplit_once(':') {
        _ if is_uuid(word) => "ID".to_owned(),
        Some((before, behind)) if is_uuid(behind) => format!("{before}:ID"),
        _ if word.len() >= 20 && word.ends_with('Z') && word.get(10..11) == Some("T") => {
            "INSTANT".to_owned()
        }
        _ if is_cursor => "CURSOR".to_owned(),
        _ if word.starts_with("0/") && word.len() > 5 => "LSN".to_owned(),
        _ if is_number(word) => "N".to_owned(),
        _ => word.to_owned(),
    }
}
