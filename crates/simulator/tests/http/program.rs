//! The program itself: its help, its words, its end.

use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Command;

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_live-platform-simulator"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

#[tokio::test]
async fn help_says_what_it_is_and_shows_examples() {
    let output = program().arg("--help").output().await.expect("it runs");
    let help = String::from_utf8(output.stdout).expect("text");
    for part in [
        "stand-in",
        "Examples:",
        "--listen",
        "SIMULATOR_LISTEN",
        "127.0.0.1:8090",
        "--seed",
        "33333333-3333-4333-8333-333333333333",
        "simulator-secret",
        "--task-duration",
        "--latency",
        "--log-format",
    ] {
        assert!(help.contains(part), "{part} is missing in\n{help}");
    }
}

#[tokio::test]
async fn it_says_where_it_listens_refuses_a_port_in_use_and_ends_on_sigterm() {
    let mut child = program().args(["--listen", "127.0.0.1:0"]).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let first = lines.next_line().await.expect("text").expect("a line");
    let url = first.strip_prefix("Live Platform simulator on ").expect("where it listens").to_owned();
    let base = lines.next_line().await.expect("text").expect("a line");
    assert!(base.ends_with(&format!("{url}/tenantui")), "{base}");

    let address = url.strip_prefix("http://").expect("a URL");
    let second = program().args(["--listen", address]).output().await.expect("it runs");
    let message = String::from_utf8(second.stderr).expect("text");
    assert!(!second.status.success());
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!(message.contains(&format!("cannot listen on {address}: the port is in use")), "{message}");

    let id = child.id().expect("it runs").to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().await.expect("kill runs").success());
    assert!(child.wait().await.expect("it ends").success());
    let mut rest = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut rest).await.expect("text");
    assert!(!rest.contains("panicked"), "{rest}");
}
