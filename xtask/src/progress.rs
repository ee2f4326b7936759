//! What people see while they wait. Nothing else in `xtask` prints.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is what people see"
)]

use std::io::{IsTerminal, Write};

/// Announces a step of the work.
pub fn step(text: &str) {
    eprintln!("==> {text}");
}

/// Prints a detail of a step.
pub fn note(text: &str) {
    eprintln!("    {text}");
}

/// Prints why the work failed and what to do.
pub fn fail(text: &str) {
    eprintln!("error: {text}");
}

/// Prints a result.
pub fn result(text: &str) {
    println!("{text}");
}

/// A text that is drawn repeatedly: over itself on a terminal, otherwise only when it has changed.
#[derive(Default)]
pub struct Redrawn {
    last: String,
}

impl Redrawn {
    /// Draws the text.
    pub fn draw(&mut self, text: &str) {
        if text == self.last {
            return;
        }
        let mut out = std::io::stdout().lock();
        if out.is_terminal() {
            let lines = self.last.lines().count();
            if lines > 0 {
                let _drawn = write!(out, "\x1b[{lines}A\x1b[J");
            }
            let _drawn = writeln!(out, "{text}");
        } else {
            // Prints only new lines: a log of the changes.
            for line in text
                .lines()
                .filter(|line| !self.last.lines().any(|before| before == *line))
            {
                let _drawn = writeln!(out, "{line}");
            }
        }
        let _drawn = out.flush();
        self.last = text.to_owned();
    }
}
