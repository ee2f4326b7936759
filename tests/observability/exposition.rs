//! Parses the OpenMetrics text of `/metrics`: names, labels and types.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};

/// One page of metrics.
#[derive(Debug, Default)]
pub struct Page {
    /// The type of each family.
    pub types: BTreeMap<String, String>,
    /// The help text of each family.
    pub help: BTreeMap<String, String>,
    /// All samples: name, labels, value.
    pub samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

/// Parses a page.
pub fn read(text: &str) -> Result<Page> {
    let mut page = Page::default();
    for line in text.lines() {
        let told = line.strip_prefix("# ").map(|rest| rest.splitn(3, ' ').collect::<Vec<_>>());
        match told.as_deref() {
            Some(["TYPE", family, kind]) => drop(page.types.insert((*family).to_owned(), (*kind).to_owned())),
            Some(["HELP", family, words]) => drop(page.help.insert((*family).to_owned(), (*words).to_owned())),
            Some(_) => {}
            None if line.is_empty() => {}
            None => page.samples.push(sample(line).with_context(|| format!("this line of the metrics can't be read: {line}"))?),
        }
    }
    ensure!(text.trim_end().ends_with("# EOF"), "the metrics were cut off: OpenMetrics end with # EOF");
    Ok(page)
}

fn sample(line: &str) -> Result<(String, BTreeMap<String, String>, f64)> {
    let end = line.find(['{', ' ']).context("a value")?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            rest = rest.trim_start_matches(',');
            if let Some(after) = rest.strip_prefix('}') {
                rest = after;
                break;
            }
            let (label, after) = rest.split_once("=\"").context("a label")?;
            let (value, after) = quoted(after)?;
            ensure!(labels.insert(label.to_owned(), value).is_none(), "{label} stands there twice");
            rest = after;
        }
    }
    // An exemplar or a time may follow.
    let value = rest.split_whitespace().next().context("a value")?.parse().context("a number")?;
    Ok((name.to_owned(), labels, value))
}

/// The text up to the closing quotation mark, and what follows.
fn quoted(text: &str) -> Result<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => match letters.next().context("what is escaped")?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    bail!("a label's value has no end")
}

impl Page {
    /// The labels of each sample name.
    pub fn labels(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (name, labels, _) in &self.samples {
            all.entry(name.clone()).or_default().extend(labels.keys().cloned());
        }
        all
    }

    /// The names of samples that only grow: counters, and all three samples of a histogram.
    pub fn counters(&self) -> BTreeSet<String> {
        let of = |(family, kind): (&String, &String)| match kind.as_str() {
            "counter" => vec![format!("{family}_total")],
            "histogram" => ["bucket", "count", "sum"].map(|part| format!("{family}_{part}")).into(),
            _ => Vec::new(),
        };
        self.types.iter().flat_map(of).collect()
    }

    /// The values of a label, over all samples.
    pub fn values(&self, label: &str) -> BTreeSet<String> {
        self.samples.iter().filter_map(|(_, labels, _)| labels.get(label).cloned()).collect()
    }

    /// The sum of the samples of this name that have these labels.
    pub fn sum(&self, name: &str, wanted: &[(&str, &str)]) -> f64 {
        let fits = |labels: &BTreeMap<String, String>| wanted.iter().all(|(label, value)| labels.get(*label).is_some_and(|there| there == value));
        self.samples.iter().filter(|(other, labels, _)| other == name && fits(labels)).map(|(_, _, value)| value).sum()
    }
}

/// The same page in Prometheus' older text format, which `promtool check metrics` reads: there a counter's family has the name of its samples.
pub fn as_plain_text(text: &str) -> Result<String> {
    let counters: BTreeSet<String> = read(text)?.types.into_iter().filter(|(_, kind)| kind == "counter").map(|(family, _)| family).collect();
    let mut plain = String::new();
    for line in text.lines() {
        match line.splitn(4, ' ').collect::<Vec<_>>().as_slice() {
            ["#", "EOF"] | ["#", "UNIT", ..] => {}
            ["#", what, family, rest] if counters.contains(*family) => plain.push_str(&format!("# {what} {family}_total {rest}\n")),
            _ => {
                plain.push_str(line);
                plain.push('\n');
            }
        }
    }
    Ok(plain)
}
