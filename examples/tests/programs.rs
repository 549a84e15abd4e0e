//! Each program runs by its line, and what it prints of `changes` says who, where and how.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::process::Command;

use serde_json::{Value, json};

const GUIDE: &str = include_str!("../../docs/guide/jobs-and-scripts.md");
const ADAPTERS: &str = include_str!("../../docs/guide/adapters.md");
const README: &str = include_str!("../../README.md");

/// A change as it is printed: what happened, and the context without the statement's text.
type Printed = (String, Value);

/// Runs a program on a PostgreSQL of its own and reads the table that it prints.
fn printed(program: &str, arguments: &[&str]) -> Vec<Printed> {
    let output = Command::new(program).args(arguments).env_remove("DATABASE_URL").output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let mut rows: Vec<[String; 4]> = Vec::new();
    for line in String::from_utf8(output.stdout).unwrap().lines().skip(2) {
        let cells: Vec<_> = line.splitn(4, '|').map(str::trim).collect();
        match (cells.as_slice(), rows.last_mut()) {
            ([table, operation, key, context], _) if !table.is_empty() => {
                rows.push([table, operation, key, context].map(|cell| (*cell).to_owned()));
            }
            ([_, _, _, more], Some(row)) => row[3].push_str(more),
            _ => assert!(line.ends_with("row)") || line.ends_with("rows)"), "{line}"),
        }
    }
    rows.into_iter()
        .map(|[table, operation, key, context]| {
            let mut context: Value = serde_json::from_str(&context.replace('+', "")).unwrap();
            assert!(context.as_object_mut().unwrap().remove("SQL").is_some());
            (format!("{table} {key}: {operation}"), context)
        })
        .collect()
}

/// The guide and the README tell the reader the line that was tried here.
fn is_told(line: &str) {
    assert!(GUIDE.contains(line), "{line}");
    assert!(README.contains(line), "{line}");
}

#[test]
fn a_job_runs_in_the_context_of_the_request_that_enqueued_it() {
    is_told("cargo run -p bemi-examples --bin job_queue");
    let mut printed = printed(env!("CARGO_BIN_EXE_job_queue"), &[]);
    let users = [187, 187, 42, 7];
    for (number, user) in (1..).zip(users) {
        let request = json!({ "endpoint": "/mails", "user_id": user });
        let job = json!({ "endpoint": "/mails", "user_id": user, "job": number });
        for expected in [
            (format!("job {number}: CREATE"), request),
            (format!("job {number}: UPDATE"), job.clone()),
        ] {
            let place = printed.iter().position(|change| *change == expected);
            printed.remove(place.unwrap_or_else(|| panic!("{expected:?} of {printed:?}")));
        }
        // Which mail is first depends on which worker is.
        let mail = printed.iter().position(|(what, context)| {
            what.starts_with("mail ") && what.ends_with(": CREATE") && *context == job
        });
        printed.remove(mail.unwrap_or_else(|| panic!("the mail of {job} of {printed:?}")));
    }
    assert_eq!(printed, []);
}

#[test]
fn a_script_says_who_ran_it_and_why() {
    let script = env!("CARGO_BIN_EXE_cli_script");
    for (reason, command, key) in [
        ("ticket 812", &["rename", "2", "Grace Hopper"][..], 2),
        ("ticket 813", &["merge", "3", "1"], 3),
    ] {
        let arguments = [&["--operator", "ana", "--reason", reason], command].concat();
        let context = json!({ "operator": "ana", "reason": reason });
        assert_eq!(printed(script, &arguments), [(format!("account {key}: UPDATE"), context)]);
    }
    is_told(
        r#"cargo run -p bemi-examples --bin cli_script -- --operator ana --reason "ticket 812" rename 2 "Grace Hopper""#,
    );
}

#[test]
fn what_a_service_does_for_another_has_the_context_of_the_first_request() {
    is_told("cargo run -p bemi-examples --bin hyper_service");
    let order = |service: &str, user: &str, item: &str| {
        json!({
            "service": service, "user_id": user, "endpoint": format!("/orders/{item}"),
            "request_id": format!("order-of-{item}s"),
        })
    };
    assert_eq!(
        printed(env!("CARGO_BIN_EXE_hyper_service"), &[]),
        [
            ("orders 1: CREATE".to_owned(), order("orders", "187", "apple")),
            ("stock apple: UPDATE".to_owned(), order("stock", "187", "apple")),
            ("orders 2: CREATE".to_owned(), order("orders", "42", "pear")),
            ("stock pear: UPDATE".to_owned(), order("stock", "42", "pear")),
        ]
    );
}

#[test]
fn a_support_case_goes_from_who_changed_this_to_undone() {
    assert!(ADAPTERS.contains("cargo run -p bemi-examples --bin history"));
    let mut history = Command::new(env!("CARGO_BIN_EXE_history"));
    let output = history.env_remove("DATABASE_URL").output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let (story, table) = printed.split_once("\n\n").unwrap();
    assert_eq!(
        story,
        r#"who changed product 26: {"import":"prices.csv","user":"ben"}
  price: 24.90 → 2.49
before that it was {"id":26,"name":"Teapot","price":24.90}
to undo it: 1 row of product updated"#
    );
    let rows: Vec<Vec<&str>> = table
        .lines()
        .skip(2)
        .map(|line| line.split('|').map(str::trim).collect())
        .filter(|cells: &Vec<&str>| cells.len() == 4 && !cells[0].is_empty())
        .collect();
    assert_eq!(
        rows.iter().map(|cells| &cells[..3]).collect::<Vec<_>>(),
        [["product", "UPDATE", "26"], ["product", "UPDATE", "26"], ["answer", "CREATE", "1"]]
    );
    assert!(rows[1][3].contains(r#""user": "ana""#), "{table}");
    assert!(table.contains(r#""reason": "ticket 4711""#), "{table}");
}
