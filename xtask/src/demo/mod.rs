//! The demo: the main job, from nothing to Ready.

mod table;
mod wanted;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use control_plane::{ControlPlane, Running, manifests};
use kube::Client;
use serde_json::Value;

use crate::progress::{Redrawn, note, result, step};
use crate::{build, trial};

/// How the demo runs.
#[derive(Args)]
pub struct Settings {
    /// Exit when all objects are in their expected state (exit code 0), or after three minutes (exit code 1)
    #[arg(long)]
    once: bool,
    /// Kill the operator (SIGKILL) in the middle of its work and restart it
    #[arg(long)]
    crash: bool,
    /// Port of the simulated platform on 127.0.0.1; if it is in use, a free port is chosen
    #[arg(long, default_value_t = 8090)]
    port: u16,
}

/// How long the objects have to reach their expected state.
const PATIENCE: Duration = Duration::from_secs(180);

/// Runs the demo.
///
/// # Errors
/// When something can't be built, started or applied.
pub fn run(settings: Settings) -> Result<bool> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(demo(settings))
}

async fn demo(settings: Settings) -> Result<bool> {
    let folder = build::target().join("demo");
    std::fs::create_dir_all(&folder)?;
    step("Building the operator and the simulated platform");
    let programs = build::programs(false)?;
    step("Starting a Kubernetes API server (built once, which takes minutes)");
    let cluster = ControlPlane::start(control_plane::Options {
        keep: Some(folder.clone()),
        progress: note,
    })
    .await?;
    let client = cluster.client();
    step(
        "Installing the chart with Helm: custom resource definitions, and a service account with its permissions",
    );
    let release = trial::install(&cluster).await?;

    let port = control_plane::free_port(settings.port)?;
    step(&format!(
        "Starting a simulated Live Platform on 127.0.0.1:{port}, and the operator"
    ));
    let examples = build::root().join("examples");
    let log = folder.join("operator.log");
    let _ = std::fs::remove_file(&log);
    let simulator = trial::simulator(
        &programs.simulator,
        port,
        Some(&examples.join("simulator.json")),
        &folder.join("simulator.log"),
    )
    .await?;
    let mut operator = trial::operator(&programs.operator, &release, "debug", &log)?;

    step("Applying the manifests in examples/");
    apply_examples(&client, &examples, port).await?;
    step("Applying the files in examples/refused/, which the API server must refuse");
    let refused = all_refused(&client, &examples.join("refused")).await?;

    step("Watching the objects");
    let start = || trial::operator(&programs.operator, &release, "debug", &log);
    let mut simulated = Simulated {
        running: simulator,
        port,
    };
    let stands = watch(&client, settings.crash, &mut operator, &mut simulated, start).await?;
    if !stands {
        for line in wanted::differences(&wanted::read(&client).await?) {
            note(&line);
        }
        note(&format!("the operator's log: {}", log.display()));
    }
    conclude(
        settings.once,
        stands && refused,
        cluster.kubeconfig(),
        &log,
        &mut operator,
        &mut simulated.running,
    )
    .await
}

/// The simulated platform.
struct Simulated {
    running: Running,
    port: u16,
}

impl Simulated {
    /// Has a lead arrive, as it would from Microsoft.
    async fn receives(&self, lead: &Value) -> Result<()> {
        let url = format!("http://127.0.0.1:{}/simulator/leads", self.port);
        trial::http()?
            .post(url)
            .json(lead)
            .send()
            .await?
            .error_for_status()?;
        Ok(())
    }
}

/// Draws the objects until all are in their expected state, or for [`PATIENCE`]. When the first service is
/// Ready, a lead arrives from Microsoft. With `crash`, kills the operator once in between.
async fn watch(
    client: &Client,
    mut crash: bool,
    operator: &mut Running,
    simulator: &mut Simulated,
    start: impl Fn() -> Result<Running>,
) -> Result<bool> {
    let mut drawn = Redrawn::default();
    let mut arrived = false;
    let mut left = PATIENCE.as_millis() / 250;
    loop {
        operator.check()?;
        simulator.running.check()?;
        let state = wanted::read(client).await?;
        drawn.draw(&table::draw(client).await?);
        if !arrived && wanted::some_ready(&state) {
            arrived = true;
            simulator.receives(&wanted::arriving()).await?;
            note("a lead has arrived from Microsoft: Adventure Works, Belgium; a rule makes it a service");
            drawn = Redrawn::default();
        }
        if wanted::all_stand(&state) {
            return Ok(true);
        }
        if crash && wanted::in_the_middle(&state) {
            crash = false;
            operator.kill();
            note("killed the operator in the middle of its work; restarting it");
            drawn = Redrawn::default();
            *operator = start()?;
        }
        if left == 0 {
            return Ok(false);
        }
        left -= 1;
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

async fn conclude(
    once: bool,
    good: bool,
    kubeconfig: &Path,
    log: &Path,
    operator: &mut Running,
    simulator: &mut Running,
) -> Result<bool> {
    let verdict = if good {
        "All objects are in their expected state."
    } else {
        "Not all objects are in their expected state."
    };
    result(&format!("\n{verdict}"));
    if once {
        result("To explore the cluster yourself, run the demo without --once: cargo xtask demo");
        return Ok(good);
    }
    result(&format!(
        "\nThe demo keeps running. In another terminal:\n\n  export KUBECONFIG={}\n  kubectl get operatorconnect -A\n  kubectl describe oces -n customers wingtip\n  kubectl wait --for=condition=Ready oces/contoso -n customers\n\nThe operator's log: {}\nPress Ctrl-C to stop everything.",
        kubeconfig.display(),
        log.display()
    ));
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(good),
            () = tokio::time::sleep(Duration::from_secs(1)) => {
                operator.check()?;
                simulator.check()?;
            }
        }
    }
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .with_context(|| format!("can't read {}", folder.display()))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    Ok(files)
}

async fn apply_examples(client: &Client, folder: &Path, port: u16) -> Result<()> {
    for file in files(folder)? {
        let text = std::fs::read_to_string(&file)?.replace("127.0.0.1:8090", &format!("127.0.0.1:{port}"));
        let applied = manifests::apply_all(client, &text)
            .await
            .with_context(|| file.display().to_string())?;
        note(&format!(
            "{}: {} applied",
            file.file_name().unwrap_or_default().to_string_lossy(),
            applied.len()
        ));
    }
    Ok(())
}

/// Whether each file is refused with a reason that names the field.
async fn all_refused(client: &Client, folder: &Path) -> Result<bool> {
    let files = files(folder)?;
    if files.is_empty() {
        bail!("{} contains no files", folder.display());
    }
    let mut good = true;
    for file in files {
        let name = file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        for object in manifests::parse(&std::fs::read_to_string(&file)?)? {
            match manifests::apply(client, &object).await {
                Ok(_) => {
                    note(&format!("{name}: the API server did NOT refuse it"));
                    good = false;
                }
                Err(error) => {
                    let message = error.to_string();
                    note(&format!("{name}: {message}"));
                    good &= message.contains("spec");
                }
            }
        }
    }
    Ok(good)
}
