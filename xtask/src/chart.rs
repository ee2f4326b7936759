//! Checks the Helm chart with the tools that its users have: lint, its own tests, the schemas of Kubernetes,
//! and kube-score. All of them are Go programs of `tests/tools`.

mod schemas;
mod tools;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::build::{root, target};
use crate::chart::tools::Tools;
use crate::{crds, progress};

/// Marks advice of kube-score that a set of values does not follow: `# unheeded <test>: <reason>`. Exceptions
/// for all sets are in `kube-score.md`.
const UNHEEDED: &str = "# unheeded ";

/// The Kubernetes version that templates are rendered for when they don't ask a cluster.
const KUBERNETES: &str = "1.37.0";

/// How the chart is checked.
#[derive(Args)]
pub struct Settings {
    /// Write nothing; fail if the chart's README or its copy of crds/ is out of date
    #[arg(long)]
    check: bool,
}

/// Checks the chart and prints everything that is wrong. Returns whether nothing is.
///
/// # Errors
/// When a tool can't be built or run, or a file can't be written.
pub fn run(settings: &Settings) -> Result<bool> {
    let chart = Chart {
        folder: root().join("charts/oc-essentials-operator"),
        output: target().join("chart"),
    };
    fs::create_dir_all(&chart.output).with_context(|| format!("make {}", chart.output.display()))?;
    let tools = Tools::build(&root())?;
    let mut wrong = Vec::new();
    if settings.check {
        wrong.extend(crds::run(true).err().map(|error| error.to_string()));
    } else {
        crds::run(false)?;
    }
    wrong.extend(chart.readme(&tools, settings.check)?);
    let cases = chart.cases()?;
    for case in &cases {
        wrong.extend(chart.lint(&tools, case)?);
    }
    let mut rendered = Vec::new();
    for case in &cases {
        match chart.render(&tools, case)? {
            Ok(file) => {
                wrong.extend(chart.judge(&tools, case, &file)?);
                rendered.push(file);
            }
            Err(said) => wrong.push(said),
        }
    }
    wrong.extend(chart.compare_with_schemas(&tools, &rendered)?);
    wrong.extend(chart.own_tests(&tools)?);
    for said in &wrong {
        progress::fail(said);
    }
    if wrong.is_empty() {
        progress::result(&format!(
            "The chart passes: {} sets of values, its own tests, kubeconform and kube-score.",
            cases.len()
        ));
    }
    Ok(wrong.is_empty())
}

struct Chart {
    folder: PathBuf,
    /// Where the rendered files stay, for people to look at.
    output: PathBuf,
}

impl Chart {
    /// Returns the sets of values to try, in the order of their names.
    fn cases(&self) -> Result<Vec<PathBuf>> {
        let folder = self.folder.join("ci");
        let mut cases = Vec::new();
        for entry in fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "yaml") {
                cases.push(path);
            }
        }
        cases.sort();
        if cases.is_empty() {
            bail!("{} contains no values files for the chart", folder.display());
        }
        Ok(cases)
    }

    /// Writes or checks the README, which is generated from the values.
    fn readme(&self, tools: &Tools, check: bool) -> Result<Option<String>> {
        progress::step("Chart README");
        let mut command = Command::new(&tools.helm_docs);
        command.arg("--chart-search-root").arg(&self.folder).args([
            "--template-files",
            "README.md.gotmpl",
            "--sort-values-order",
            "file",
        ]);
        command.args([
            "--document-dependency-values=false",
            "--badge-style",
            "flat",
            "--dry-run",
        ]);
        let made = match said(&mut command)? {
            Ok(made) => format!("{}\n", made.trim()),
            Err(said) => return Ok(Some(format!("helm-docs: {said}"))),
        };
        if let Some(fault) = fault_of_readme(&made) {
            return Ok(Some(fault));
        }
        let path = self.folder.join("README.md");
        if !check {
            fs::write(&path, made).with_context(|| format!("write {}", path.display()))?;
            return Ok(None);
        }
        let fresh = fs::read_to_string(&path).ok().as_deref() == Some(made.as_str());
        Ok((!fresh).then(|| {
            "the chart's README.md differs from values.yaml and README.md.gotmpl; run cargo xtask chart"
                .to_owned()
        }))
    }

    fn lint(&self, tools: &Tools, case: &Path) -> Result<Option<String>> {
        progress::step(&format!("helm lint with {}", name(case)));
        let mut command = Command::new(&tools.helm);
        command
            .args([
                "lint",
                "--strict",
                "--quiet",
                "--kube-version",
                KUBERNETES,
                "--values",
            ])
            .arg(case)
            .arg(&self.folder);
        Ok(said(&mut command)?
            .err()
            .map(|said| format!("helm lint with {}:\n{said}", name(case))))
    }

    /// Renders the chart with `helm template`, as Argo CD does.
    fn render(&self, tools: &Tools, case: &Path) -> Result<Result<PathBuf, String>> {
        let mut command = Command::new(&tools.helm);
        command
            .args(["template", "oc-essentials-operator"])
            .arg(&self.folder)
            .args(["--namespace", "oc-essentials-system"]);
        command.args(["--kube-version", KUBERNETES, "--values"]).arg(case);
        let file = self.output.join(&*name(case));
        Ok(match said(&mut command)? {
            Ok(text) => {
                fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
                Ok(file)
            }
            Err(said) => Err(format!("helm template with {}:\n{said}", name(case))),
        })
    }

    fn compare_with_schemas(&self, tools: &Tools, rendered: &[PathBuf]) -> Result<Option<String>> {
        if rendered.is_empty() {
            // The reason was reported already.
            return Ok(None);
        }
        progress::step("kubeconform");
        let schemas = schemas::write(&root(), &self.output.join("schemas"), rendered)?;
        let mut command = Command::new(&tools.kubeconform);
        command
            .arg("-schema-location")
            .arg(format!("{}/{}", schemas.display(), schemas::FILE_NAME))
            .args(["-strict", "-summary", "-output", "text"]);
        command.args(rendered);
        Ok(said(&mut command)?
            .err()
            .map(|said| format!("kubeconform:\n{said}")))
    }

    fn judge(&self, tools: &Tools, case: &Path, rendered: &Path) -> Result<Option<String>> {
        progress::step(&format!("kube-score with {}", name(case)));
        let mut command = Command::new(&tools.kube_score);
        command.args([
            "score",
            "--kubernetes-version",
            "v1.33",
            "--output-format",
            "ci",
            "--exit-one-on-warning",
        ]);
        command.args([
            "--ignore-container-cpu-limit",
            "--ignore-test",
            "container-image-pull-policy",
        ]);
        command.args([
            "--enable-optional-test",
            "container-seccomp-profile",
            "--enable-optional-test",
            "container-ports-check",
        ]);
        let values = fs::read_to_string(case).with_context(|| format!("read {}", case.display()))?;
        for answer in values.lines().filter_map(|line| line.strip_prefix(UNHEEDED)) {
            let (test, _) = answer.split_once(": ").with_context(|| {
                format!(
                    "{}: `{UNHEEDED}{answer}` has no reason after a colon",
                    case.display()
                )
            })?;
            command.args(["--ignore-test", test]);
        }
        command.arg(rendered);
        let answer = said(&mut command)?.err().map(|said| {
            let findings: Vec<&str> = said
                .lines()
                .filter(|line| !line.starts_with("[OK]") && !line.starts_with("[SKIPPED]"))
                .collect();
            format!(
                "kube-score with {}: fix the findings, or answer them in {}/kube-score.md:\n{}",
                name(case),
                self.folder.display(),
                findings.join("\n")
            )
        });
        Ok(answer)
    }

    fn own_tests(&self, tools: &Tools) -> Result<Option<String>> {
        progress::step("the chart's own tests");
        let mut command = Command::new(&tools.helm_unittest);
        command.args(["--file", "tests/*_test.yaml"]).arg(&self.folder);
        Ok(said(&mut command)?
            .err()
            .map(|said| format!("the chart's own tests:\n{said}")))
    }
}

/// Finds a fault that helm-docs does not report.
fn fault_of_readme(text: &str) -> Option<String> {
    let rows: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split(" | ").collect())
        .filter(|row: &Vec<_>| row.len() >= 4)
        .collect();
    if rows.is_empty() {
        return Some("helm-docs renders no table of values from README.md.gotmpl and values.yaml; run helm-docs to see why".to_owned());
    }
    let bare = rows.iter().find(|row| {
        row.last()
            .is_some_and(|description| matches!(description.trim(), "" | "|"))
    });
    bare.map(|row| {
        format!(
            "values.yaml: {} has no description; write `# -- …` above it",
            row[0].trim_start_matches("| ")
        )
    })
}

fn name(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

/// Runs a program to its end. Returns its output, or its complaint when it fails.
fn said(command: &mut Command) -> Result<Result<String, String>> {
    let program = PathBuf::from(command.get_program());
    let output = command
        .output()
        .with_context(|| format!("can't run {}", program.display()))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    let (told, complained) = (text(&output.stdout), text(&output.stderr));
    if output.status.success() {
        return Ok(Ok(told));
    }
    let both = [told, complained]
        .into_iter()
        .filter(|text| !text.is_empty())
        .collect::<Vec<_>>()
        .join("\n");
    Ok(Err(if both.is_empty() {
        format!("{} failed with {}", name(&program), output.status)
    } else {
        both
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn a_value_that_is_not_explained_is_found() {
        let explained = "| Key | Type | Default | Description |\n| a.b | int | `1` | How many. |";
        assert_eq!(fault_of_readme(explained), None);
        let fault = fault_of_readme(&format!("{explained}\n| c | int | `1` |  |")).unwrap();
        assert!(fault.contains("values.yaml: c has no description"), "{fault}");
        assert!(fault_of_readme("\n").is_some());
    }

    /// The schema itself covers the other direction: it rejects values that it does not know.
    #[test]
    fn each_value_of_the_schema_has_a_default() {
        fn absent(schema: &Value, values: &Value, path: &str, found: &mut Vec<String>) {
            for (key, schema) in schema["properties"].as_object().into_iter().flatten() {
                let path = format!("{path}.{key}");
                match values.get(key) {
                    None => found.push(path),
                    Some(value) if value.is_object() => absent(schema, value, &path, found),
                    Some(_) => {}
                }
            }
        }
        let read =
            |name: &str| fs::read_to_string(root().join("charts/oc-essentials-operator").join(name)).unwrap();
        let schema: Value = serde_json::from_str(&read("values.schema.json")).unwrap();
        let values: Value = serde_saphyr::from_str(&read("values.yaml")).unwrap();
        let mut found = Vec::new();
        absent(&schema, &values, "", &mut found);
        // Helm gives `global` to each chart, and Kubernetes allows claims among resources.
        assert_eq!(
            found,
            [".global", ".resources.claims", ".simulator.resources.claims"]
        );
    }
}
