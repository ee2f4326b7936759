//! Docker, podman and buildah: three engines that build the same Dockerfile, each with its own arguments.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;

use super::{Arch, Kind, Origin, removed};
use crate::build;

/// A program that builds images.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Engine {
    /// Docker, with its daemon running
    Docker,
    /// Podman
    Podman,
    /// Buildah without extra privileges: chroot isolation and the vfs storage driver
    Buildah,
}

/// An image to build.
pub struct Order<'a> {
    pub kind: &'a Kind,
    pub arch: Arch,
    pub name: &'a str,
    /// An image, `host`, or `None` for the Dockerfile's default.
    pub builder: Option<&'a str>,
    /// The folder of programs compiled on this machine, with a folder for each architecture.
    pub files: &'a Path,
    pub origin: &'a Origin,
}

const NONE: &str = "found no working engine to build images. Start docker's daemon, or install podman or buildah \
                    (Debian: apt-get install buildah); or build only the programs, with --binary-only";

impl Engine {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Buildah => "buildah",
        }
    }

    /// Returns the requested engine, or the first that works.
    ///
    /// # Errors
    /// When it does not work, or none does.
    pub fn find(wished: Option<Self>) -> Result<Self> {
        match wished {
            Some(engine) if engine.works() => Ok(engine),
            Some(Self::Docker) => {
                bail!("--engine docker: `docker info` fails; install docker and start its daemon")
            }
            Some(engine) => bail!(
                "--engine {0}: can't run {0}; install it, or leave out --engine",
                engine.name()
            ),
            None => [Self::Docker, Self::Podman, Self::Buildah]
                .into_iter()
                .find(|engine| engine.works())
                .context(NONE),
        }
    }

    fn works(self) -> bool {
        // A docker client without a daemon builds nothing, but `docker version` would succeed.
        let question = if self == Self::Docker { "info" } else { "--version" };
        let asked = Command::new(self.name())
            .arg(question)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        asked.is_ok_and(|status| status.success())
    }

    /// # Errors
    /// When the engine fails.
    pub fn build(self, order: &Order<'_>) -> Result<()> {
        let status = self
            .build_command(order)
            .status()
            .with_context(|| format!("can't run {}", self.name()))?;
        if status.success() {
            return Ok(());
        }
        match order.builder {
            Some("host") => bail!("{} failed; its messages are above", self.name()),
            _ => bail!(
                "{} failed; its messages are above. If it can't pull the builder image, name another one (--builder IMAGE), or compile on this machine (--builder host)",
                self.name()
            ),
        }
    }

    fn build_command(self, order: &Order<'_>) -> Command {
        let Order {
            kind, arch, origin, ..
        } = order;
        let mut command = Command::new(self.name());
        if self == Self::Buildah {
            command.args(["--storage-driver", "vfs"]);
        }
        command
            .arg("build")
            .arg("--file")
            .arg(build::root().join("Dockerfile"));
        command.args([
            "--platform",
            &format!("linux/{}", arch.name()),
            "--target",
            kind.target,
            "--tag",
            order.name,
        ]);
        let mut arguments = vec![
            ("VERSION", origin.version),
            ("REVISION", &origin.revision),
            ("SOURCE_DATE_EPOCH", &origin.epoch),
        ];
        // Set even where it is the default: buildah skips a stage that only an argument's default names.
        arguments.push((
            "FILES",
            if order.builder == Some("host") {
                "prebuilt"
            } else {
                "build"
            },
        ));
        if let Some(image) = order.builder.filter(|builder| *builder != "host") {
            arguments.push(("BUILDER", image));
        }
        for (name, value) in arguments {
            command.args(["--build-arg", &format!("{name}={value}")]);
        }
        if let Some(source) = &origin.source {
            command.args(["--label", &format!("org.opencontainers.image.source={source}")]);
        }
        match self {
            Self::Docker => command.env("DOCKER_BUILDKIT", "1"),
            Self::Podman => command.args(["--timestamp", &origin.epoch]),
            Self::Buildah => command.args(["--timestamp", &origin.epoch, "--isolation", "chroot"]),
        };
        if order.builder == Some("host") {
            // Only files are copied: there is no progress to watch, and only the programs are sent to the
            // engine.
            command.arg("--quiet").arg(order.files).stdout(Stdio::null());
        } else {
            command.arg(build::root());
        }
        command
    }

    /// Writes an image into a file, like `docker save`.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn save(self, name: &str, file: &Path) -> Result<()> {
        removed(file)?;
        let mut command = Command::new(self.name());
        match self {
            Self::Docker => command.args(["save", "--output"]).arg(file).arg(name),
            Self::Podman => command
                .args(["save", "--quiet", "--format", "docker-archive", "--output"])
                .arg(file)
                .arg(name),
            Self::Buildah => {
                command.args(["--storage-driver", "vfs", "push", "--quiet", name]);
                command.arg(format!("docker-archive:{}:{name}", file.display()))
            }
        };
        let status = command
            .stdout(Stdio::null())
            .status()
            .with_context(|| format!("can't run {}", self.name()))?;
        ensure!(
            status.success(),
            "{} can't write {name} to {}; its messages are above",
            self.name(),
            file.display()
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::OPERATOR;

    fn words(engine: Engine, builder: Option<&str>) -> String {
        let origin = Origin {
            version: "1.2.3",
            revision: "abc".to_owned(),
            epoch: "7".to_owned(),
            source: None,
        };
        let order = Order {
            kind: &OPERATOR,
            arch: Arch::Arm64,
            name: "x:1",
            builder,
            files: Path::new("/made"),
            origin: &origin,
        };
        let command = engine.build_command(&order);
        command
            .get_args()
            .map(|word| word.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn each_engine_gets_its_words() {
        let buildah = words(Engine::Buildah, Some("host"));
        assert!(
            buildah.starts_with("--storage-driver vfs build")
                && buildah.contains("--isolation chroot")
                && buildah.contains("--timestamp 7"),
            "{buildah}"
        );
        assert!(
            buildah.contains("FILES=prebuilt") && buildah.ends_with("/made") && !buildah.contains("BUILDER="),
            "{buildah}"
        );
        let docker = words(Engine::Docker, Some("mine/rust:1"));
        assert!(
            docker.contains("BUILDER=mine/rust:1")
                && docker.contains("--platform linux/arm64")
                && docker.contains("FILES=build"),
            "{docker}"
        );
        assert!(
            !docker.contains("--timestamp") && !docker.contains("--isolation"),
            "{docker}"
        );
        assert!(
            !words(Engine::Podman, None).contains("BUILDER="),
            "the Dockerfile names its builder"
        );
    }
}
