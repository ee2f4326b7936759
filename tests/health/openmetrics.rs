//! Parses OpenMetrics text as far as these tests need it; strictly, so that what a metrics server would refuse fails here.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};

/// One metric family.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Family {
    pub kind: String,
    pub unit: Option<String>,
    pub help: String,
    pub samples: Vec<Sample>,
}

/// One sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The family's name plus its suffix.
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

/// All families of an answer, by name.
#[derive(Clone, Debug)]
pub struct Scrape(pub BTreeMap<String, Family>);

impl Scrape {
    /// Parses an answer.
    pub fn read(text: &str) -> Result<Self> {
        let body = text.strip_suffix("# EOF\n").context("the end is missing")?;
        let mut families: BTreeMap<String, Family> = BTreeMap::new();
        let mut current = String::new();
        for line in body.lines() {
            let Some(said) = line.strip_prefix("# ") else {
                let sample = sample(line).with_context(|| line.to_owned())?;
                ensure!(
                    sample.name.strip_prefix(current.as_str()).is_some_and(|rest| ["", "_total", "_bucket", "_sum", "_count"].contains(&rest)),
                    "{line}: not of {current}"
                );
                families.get_mut(&current).context("a sample before its family")?.samples.push(sample);
                continue;
            };
            let mut words = said.splitn(3, ' ');
            let (Some(what), Some(name), Some(text)) = (words.next(), words.next(), words.next()) else { bail!("{line}") };
            if name != current {
                ensure!(!families.contains_key(name), "{name} is there twice");
                name.clone_into(&mut current);
            }
            let family = families.entry(current.clone()).or_default();
            match what {
                "HELP" => text.clone_into(&mut family.help),
                "TYPE" => text.clone_into(&mut family.kind),
                "UNIT" => family.unit = Some(text.to_owned()),
                _ => bail!("{line}"),
            }
        }
        Ok(Self(families))
    }

    /// The sum of all samples of this name that have these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let so = |sample: &&Sample| sample.name == name && labels.iter().all(|(label, value)| sample.labels.get(*label).is_some_and(|is| is == value));
        self.0.values().flat_map(|family| &family.samples).filter(so).map(|sample| sample.value).sum()
    }

    /// All values of a label, over all samples.
    pub fn values(&self, label: &str) -> BTreeSet<&str> {
        self.0.values().flat_map(|family| &family.samples).filter_map(|sample| sample.labels.get(label)).map(String::as_str).collect()
    }
}

fn sample(line: &str) -> Result<Sample> {
    let (head, value) = line.rsplit_once(' ').context("no value")?;
    let (name, labels) = match head.split_once('{') {
        None => (head, ""),
        Some((name, rest)) => (name, rest.strip_suffix('}').context("no closing brace")?),
    };
    let mut read = BTreeMap::new();
    // No label value here contains a comma or a quote.
    for label in labels.split(',').filter(|label| !label.is_empty()) {
        let (label, quoted) = label.split_once('=').context("a label without a value")?;
        let value = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).context("a value without quotes")?;
        ensure!(read.insert(label.to_owned(), value.to_owned()).is_none(), "a label twice");
    }
    Ok(Sample { name: name.to_owned(), labels: read, value: value.parse()? })
}
