//! Whether the worker knows what a package tells it.

use std::collections::BTreeMap;

use bemi_tests::WorkerCommand;

/// Variables that are not named as such in any help: parts of a connection, and one that is for the C library.
const PARTS: [&str; 6] =
    ["DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASSWORD_FILE", "MALLOC_MMAP_THRESHOLD_"];

/// Requires a command line to be one that the worker takes, and the variables to be its own.
pub(crate) async fn assert_takes(arguments: &[String], environment: &BTreeMap<String, String>) {
    let command = arguments.first().expect("a command");
    let help = WorkerCommand::under_test([command, "--help"]).run_to_end().await.assert_code(0);
    for flag in arguments.iter().filter(|argument| argument.starts_with("--")) {
        assert!(help.stdout.contains(flag.as_str()), "{command} has no {flag}:\n{}", help.stdout);
    }
    for name in environment.keys() {
        let is_known = PARTS.contains(&name.as_str())
            || name.starts_with("PGSSL")
            || help.stdout.contains(&format!("[env: {name}"));
        assert!(is_known, "{command} knows no {name}:\n{}", help.stdout);
    }
    // Whatever the values: a worker that cannot take them ends with 2 before it connects.
    let mut worker = WorkerCommand::under_test(arguments)
        .env("DB_HOST", "127.0.0.1")
        .env("DB_NAME", "shop")
        .env("DB_USER", "bemi")
        .env("DB_PASSWORD_FILE", "/dev/null");
    for (name, value) in environment.iter().filter(|(name, _)| *name != "DB_PASSWORD_FILE") {
        worker = worker.env(name, value);
    }
    let output = worker.run_to_end().await.assert_code(2);
    assert!(
        output.stderr.contains("/dev/null"),
        "of everything only the password is wrong: {output}"
    );
}
