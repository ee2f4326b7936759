//! Builds the images with the available engine, and checks what they hold, which user they run as, and how
//! large they are.

mod archive;
mod check;
mod engine;
mod run;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};

use crate::build;
use crate::progress::{fail, note, result, step};
use archive::Archive;
use engine::Engine;

/// How the images are built.
#[derive(Args)]
pub struct Settings {
    /// The engine; by default the first of docker, podman and buildah that works
    #[arg(long, value_enum)]
    engine: Option<Engine>,
    /// The image in which to compile the programs, or `host` to compile them on this machine; by default the
    /// one that the Dockerfile names
    #[arg(long, value_name = "IMAGE|host")]
    builder: Option<String>,
    /// The architecture; by default this machine's
    #[arg(long, value_enum)]
    arch: Option<Wanted>,
    /// Tag of the images; by default the version. `--arch all` appends -amd64 and -arm64
    #[arg(long)]
    tag: Option<String>,
    /// Only compile the programs on this machine, into target/image/files, and build no image
    #[arg(long)]
    binary_only: bool,
    /// Unpack the root file system of the operator's image into target/image/root (for arm64: root-arm64)
    #[arg(long)]
    unpack: bool,
    /// Run the operator from its unpacked image: read-only, as its user, with nothing else in reach. Requires
    /// root
    #[arg(long)]
    run: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Wanted {
    Amd64,
    Arm64,
    All,
}

/// A processor architecture of the images, as OCI names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arch {
    Amd64,
    Arm64,
}

impl Arch {
    const fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    fn here() -> Result<Self> {
        match std::env::consts::ARCH {
            "x86_64" => Ok(Self::Amd64),
            "aarch64" => Ok(Self::Arm64),
            other => bail!(
                "this machine is {other}; choose the image with --arch amd64, --arch arm64 or --arch all"
            ),
        }
    }
}

/// One of the two images.
pub struct Kind {
    /// The stage of the Dockerfile.
    target: &'static str,
    /// The image's name.
    image: &'static str,
    /// The program in it.
    program: &'static str,
    /// The files it must hold.
    files: &'static [&'static str],
    /// Its maximum size in bytes.
    most: u64,
}

const OPERATOR: Kind = Kind {
    target: "operator",
    image: "oc-essentials-operator",
    program: "oc-essentials-operator",
    files: &[
        "etc/ssl/certs/ca-certificates.crt",
        "oc-essentials-operator",
        "sbom/oc-essentials-operator.cdx.json",
    ],
    // LeadPolicy, with its parser of CEL, has added 3 MB.
    most: 16_000_000,
};

const SIMULATOR: Kind = Kind {
    target: "simulator",
    image: "oc-essentials-simulator",
    program: "live-platform-simulator",
    files: &["live-platform-simulator", "sbom/live-platform-simulator.cdx.json"],
    most: 20_000_000,
};

/// The origin of the images, for their labels.
pub struct Origin {
    version: &'static str,
    revision: String,
    /// The time of the commit in seconds since 1970. All files get this time, so that the same commit gives
    /// the same image.
    epoch: String,
    source: Option<String>,
}

/// Builds and checks the images.
///
/// # Errors
/// When there is no engine, a build fails, or an image can't be read.
pub fn run(settings: &Settings) -> Result<bool> {
    let archs = match settings.arch {
        Some(Wanted::All) => vec![Arch::Amd64, Arch::Arm64],
        Some(Wanted::Amd64) => vec![Arch::Amd64],
        Some(Wanted::Arm64) => vec![Arch::Arm64],
        None => vec![Arch::here()?],
    };
    let host = settings.binary_only || settings.builder.as_deref() == Some("host");
    // Checked before minutes of compiling, which would be wasted without an engine.
    let engine = if settings.binary_only {
        None
    } else {
        Some(Engine::find(settings.engine)?)
    };
    let origin = origin()?;
    if host {
        for arch in &archs {
            compile(*arch, &origin)?;
        }
    }
    let Some(engine) = engine else { return Ok(true) };
    let mut lines = Vec::new();
    let mut good = true;
    for arch in archs {
        for kind in [&SIMULATOR, &OPERATOR] {
            let archive = make(settings, engine, kind, arch, &origin)?;
            for fault in check::faults(&archive, kind, arch, &origin) {
                fail(&format!("{} for {}: {fault}", kind.image, arch.name()));
                good = false;
            }
            lines.push(line(&archive, kind, arch));
            if kind.target == OPERATOR.target && (settings.unpack || settings.run) {
                good &= unpack(&archive, arch, settings.run)?;
            }
        }
    }
    result("\n| image | for | program, MB | image, MB | to pull, MB |\n|---|---|---|---|---|");
    for line in lines {
        result(&line);
    }
    Ok(good)
}

/// Compiles both programs on this machine.
fn compile(arch: Arch, origin: &Origin) -> Result<()> {
    step(&format!(
        "Compiling the programs for {} on this machine",
        arch.name()
    ));
    let mut command = Command::new(build::root().join("image/build.sh"));
    command
        .arg(arch.name())
        .arg(files().join(arch.name()))
        .env("CARGO_TARGET_DIR", build::target())
        .env("SOURCE_DATE_EPOCH", &origin.epoch);
    // For operatorconnect_build_info.
    command.env("OPERATORCONNECT_REVISION", &origin.revision);
    let status = command
        .status()
        .context("can't run image/build.sh; it needs bash")?;
    ensure!(status.success(), "image/build.sh failed; its messages are above");
    for kind in [&OPERATOR, &SIMULATOR] {
        let path = files().join(arch.name()).join(kind.program);
        let size = std::fs::metadata(&path)
            .with_context(|| format!("can't read {}", path.display()))?
            .len();
        note(&format!("{}: {:.1} MB", path.display(), megabytes(size)));
    }
    Ok(())
}

/// Builds one image and reads it back as the engine exports it.
fn make(settings: &Settings, engine: Engine, kind: &Kind, arch: Arch, origin: &Origin) -> Result<Archive> {
    let tag = settings.tag.as_deref().unwrap_or(origin.version);
    let name = match settings.arch {
        Some(Wanted::All) => format!("{}:{tag}-{}", kind.image, arch.name()),
        _ => format!("{}:{tag}", kind.image),
    };
    step(&format!(
        "Building {name} for {} with {}",
        arch.name(),
        engine.name()
    ));
    let file = folder().join(format!("{}-{}.tar", kind.image, arch.name()));
    engine.build(&engine::Order {
        kind,
        arch,
        name: &name,
        builder: settings.builder.as_deref(),
        files: &files(),
        origin,
    })?;
    engine.save(&name, &file)?;
    let archive = Archive::read(&file)
        .with_context(|| format!("{} is not an image in the format of docker save", file.display()))?;
    let name = format!("sbom/{}.cdx.json", kind.program);
    if let Some(sbom) = archive.file(&name) {
        let path = folder().join(format!("{}-{}.cdx.json", kind.program, arch.name()));
        std::fs::write(&path, &sbom.bytes).with_context(|| format!("can't write {}", path.display()))?;
    }
    Ok(archive)
}

fn unpack(archive: &Archive, arch: Arch, and_run: bool) -> Result<bool> {
    let root = folder().join(if arch == Arch::Amd64 { "root" } else { "root-arm64" });
    archive.unpack(&root)?;
    note(&format!("unpacked the root file system into {}", root.display()));
    if !and_run {
        return Ok(true);
    }
    ensure!(
        arch == Arch::here()?,
        "--run: this machine can't run the program for {}",
        arch.name()
    );
    step("Running the operator from its image");
    run::all(&root, OPERATOR.program)
}

fn line(archive: &Archive, kind: &Kind, arch: Arch) -> String {
    let program = archive
        .file(kind.program)
        .map_or(0, |file| file.bytes.len() as u64);
    let sizes = [program, archive.size, archive.compressed].map(|size| format!("{:.2}", megabytes(size)));
    format!("| {} | {} | {} |", kind.image, arch.name(), sizes.join(" | "))
}

/// Returns what git knows of the sources. Without git, as in a source archive, the images say `unknown`.
fn origin() -> Result<Origin> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git")
            .arg("-C")
            .arg(build::root())
            .args(arguments)
            .output()
            .ok()
            .filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned()).filter(|text| !text.is_empty())
    };
    std::fs::create_dir_all(files()).with_context(|| format!("can't create {}", files().display()))?;
    Ok(Origin {
        version: env!("CARGO_PKG_VERSION"),
        revision: git(&["describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"])
            .unwrap_or_else(|| "unknown".to_owned()),
        epoch: git(&["log", "-1", "--format=%ct"]).unwrap_or_else(|| "0".to_owned()),
        // A path of this machine, or an address with a token in it, must not be published.
        source: git(&["remote", "get-url", "origin"])
            .filter(|url| url.starts_with("https://") && !url.contains('@')),
    })
}

fn folder() -> PathBuf {
    build::target().join("image")
}

fn files() -> PathBuf {
    folder().join("files")
}

#[allow(clippy::cast_precision_loss, reason = "a size that is shown with one digit")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1_000_000.0
}

/// Removes a file or folder left by an earlier run.
fn removed(path: &Path) -> Result<()> {
    let gone = if path.is_dir() {
        std::fs::remove_dir_all(path)
    } else {
        std::fs::remove_file(path)
    };
    gone.or_else(|error| {
        if error.kind() == std::io::ErrorKind::NotFound {
            Ok(())
        } else {
            Err(error)
        }
    })
    .with_context(|| format!("can't remove {}", path.display()))
}
