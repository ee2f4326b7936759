//! Checks what must hold for an image, whatever engine built it.

use std::collections::BTreeSet;
use std::io::Read;

use anyhow::{Context, Result};
use flate2::read::ZlibDecoder;
use object::elf::{EM_AARCH64, EM_X86_64, FileHeader64, PT_INTERP};
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};
use object::{Endianness, Object, ObjectSection};
use serde_json::Value;

use super::archive::Archive;
use super::{Arch, Kind, Origin, megabytes};

/// The user that the chart also names. A number, since the image has no file of names.
const USER: &str = "65532:65532";
/// With fewer roots than this the file is not Mozilla's list.
const FEWEST_ROOTS: usize = 100;

/// Returns what is wrong with an image, one sentence for each fault. Empty when it is correct.
pub fn faults(archive: &Archive, kind: &Kind, arch: Arch, origin: &Origin) -> Vec<String> {
    let mut faults = told(&archive.config, kind, arch, origin);
    faults.extend(held(archive, kind));
    if let Some(program) = archive.file(kind.program) {
        match binary(&program.bytes, arch) {
            Ok(found) => faults.extend(found),
            Err(error) => faults.push(format!("{} can't be read as a program: {error:#}", kind.program)),
        }
        let sbom = archive
            .file(&format!("sbom/{}.cdx.json", kind.program))
            .map(|file| file.bytes.as_slice())
            .unwrap_or_default();
        match inventory(&program.bytes, sbom, kind, origin) {
            Ok(found) => faults.extend(found),
            Err(error) => faults.push(format!(
                "can't compare its SBOM with the dependencies in the program: {error:#}"
            )),
        }
    }
    if archive.size > kind.most {
        faults.push(format!(
            "it has {:.2} MB; the limit is {} MB",
            megabytes(archive.size),
            kind.most / 1_000_000
        ));
    }
    faults
}

/// Checks the image's configuration.
fn told(config: &Value, kind: &Kind, arch: Arch, origin: &Origin) -> Vec<String> {
    let inner = &config["config"];
    let mut faults = Vec::new();
    let mut expect = |what: &str, found: &Value, wished: Value| {
        if *found != wished {
            faults.push(format!("{what} is {found}, not {wished}"));
        }
    };
    expect("the architecture", &config["architecture"], arch.name().into());
    expect("the user", &inner["User"], USER.into());
    expect(
        "the entrypoint",
        &inner["Entrypoint"],
        vec![format!("/{}", kind.program)].into(),
    );
    let label = |name: &str| &inner["Labels"][format!("org.opencontainers.image.{name}")];
    expect("the title", label("title"), kind.image.into());
    expect("the version", label("version"), origin.version.into());
    expect("the revision", label("revision"), origin.revision.as_str().into());
    expect("the license", label("licenses"), "Apache-2.0".into());
    if label("description").as_str().is_none_or(str::is_empty) {
        faults.push("the description is missing".to_owned());
    }
    faults
}

/// Checks the files: exactly those listed, no shell, no library, and nothing that a user other than root may
/// write.
fn held(archive: &Archive, kind: &Kind) -> Vec<String> {
    let found: BTreeSet<&str> = archive
        .entries
        .iter()
        .filter(|(_, entry)| !entry.folder)
        .map(|(name, _)| name.as_str())
        .collect();
    let wished: BTreeSet<&str> = kind.files.iter().copied().collect();
    let mut faults: Vec<String> = found
        .difference(&wished)
        .map(|name| format!("/{name} does not belong in the image"))
        .collect();
    faults.extend(
        wished
            .difference(&found)
            .map(|name| format!("/{name} is missing")),
    );
    for (name, entry) in &archive.entries {
        let writable = if entry.folder { 0o022 } else { 0o222 };
        if entry.mode & writable != 0 || entry.mode & 0o6000 != 0 || entry.owner != (0, 0) {
            faults.push(format!(
                "/{name} has the mode {:o} and the owner {:?}; root must own it, and nobody may change it",
                entry.mode, entry.owner
            ));
        }
    }
    if let Some(roots) = archive.file("etc/ssl/certs/ca-certificates.crt") {
        let count = String::from_utf8_lossy(&roots.bytes)
            .matches("-----BEGIN CERTIFICATE-----")
            .count();
        if count < FEWEST_ROOTS {
            faults.push(format!(
                "it has {count} CA roots, but Mozilla's list has more than {FEWEST_ROOTS}"
            ));
        }
    }
    faults
}

/// Checks that the program is static and for the right processor: nothing in the image could load another
/// one.
fn binary(bytes: &[u8], arch: Arch) -> Result<Vec<String>> {
    let file = ElfFile64::<Endianness>::parse(bytes)?;
    let endian = file.endian();
    let header: &FileHeader64<Endianness> = file.elf_header();
    let mut faults = Vec::new();
    let wished = match arch {
        Arch::Amd64 => EM_X86_64,
        Arch::Arm64 => EM_AARCH64,
    };
    if header.e_machine(endian) != wished {
        faults.push(format!("the program is not for the architecture {}", arch.name()));
    }
    if file
        .elf_program_headers()
        .iter()
        .any(|part| part.p_type(endian) == PT_INTERP)
    {
        faults.push("the program needs a dynamic loader, which is not in the image".to_owned());
    }
    Ok(faults)
}

/// Checks that the SBOM and the list in the program (`cargo auditable`) name the same crates.
fn inventory(program: &[u8], sbom: &[u8], kind: &Kind, origin: &Origin) -> Result<Vec<String>> {
    let (running, all) = embedded(program)?;
    let sbom: Value = serde_json::from_slice(sbom).context("the SBOM is not JSON")?;
    let listed = listed(&sbom)?;
    let mut faults: Vec<String> = running
        .difference(&listed)
        .map(|name| format!("{name} is in the program but not in its SBOM"))
        .collect();
    // The SBOM lists macros. The program's list counts them as used only for its build.
    faults.extend(
        listed
            .difference(&all)
            .map(|name| format!("{name} is in the SBOM but not in the program's list")),
    );
    let subject = &sbom["metadata"]["component"];
    if subject["name"] != kind.program || subject["version"] != origin.version {
        faults.push(format!(
            "the SBOM describes {} {}",
            subject["name"], subject["version"]
        ));
    }
    Ok(faults)
}

/// Returns the crates that run in the program, and all crates including those used only for its build.
fn embedded(program: &[u8]) -> Result<(BTreeSet<String>, BTreeSet<String>)> {
    let file = ElfFile64::<Endianness>::parse(program)?;
    let section = file
        .section_by_name(".dep-v0")
        .context("the program has no list of its dependencies: it was not built with cargo auditable")?;
    let mut text = String::new();
    ZlibDecoder::new(section.data()?).read_to_string(&mut text)?;
    let list: Value = serde_json::from_str(&text)?;
    let packages: Vec<&Value> = list["packages"]
        .as_array()
        .context("the list in the program names no packages")?
        .iter()
        .collect();
    let others = packages.iter().filter(|package| package["root"] != true);
    let running = others.clone().filter(|package| package["kind"] != "build");
    Ok((
        running.map(|package| named(package)).collect(),
        others.map(|package| named(package)).collect(),
    ))
}

fn listed(sbom: &Value) -> Result<BTreeSet<String>> {
    let components = sbom["components"]
        .as_array()
        .context("the SBOM names no components")?;
    Ok(components.iter().map(named).collect())
}

fn named(package: &Value) -> String {
    let text = |key: &str| package[key].as_str().unwrap_or("?").to_owned();
    format!("{} {}", text("name"), text("version"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end by it")]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::image::OPERATOR;
    use crate::image::archive::Entry;

    fn origin() -> Origin {
        Origin {
            version: "1.2.3",
            revision: "abc".to_owned(),
            epoch: "0".to_owned(),
            source: None,
        }
    }

    fn file(mode: u32, bytes: &[u8]) -> Entry {
        Entry {
            folder: false,
            odd: false,
            mode,
            owner: (0, 0),
            bytes: bytes.to_vec(),
        }
    }

    /// A correct image, except for its program, which is not checked here.
    fn image() -> Archive {
        let roots = "-----BEGIN CERTIFICATE-----\n".repeat(120);
        let entries = OPERATOR.files.iter().map(|name| {
            (
                (*name).to_owned(),
                file(
                    0o444,
                    if name.ends_with(".crt") {
                        roots.as_bytes()
                    } else {
                        b""
                    },
                ),
            )
        });
        let labels = ["title", "version", "revision", "licenses", "description"]
            .map(|name| format!("org.opencontainers.image.{name}"));
        let values = ["oc-essentials-operator", "1.2.3", "abc", "Apache-2.0", "x"];
        let labels: serde_json::Map<String, Value> =
            labels.into_iter().zip(values.map(Value::from)).collect();
        let config = json!({"architecture": "amd64", "config": {"User": "65532:65532", "Entrypoint": ["/oc-essentials-operator"], "Labels": labels}});
        Archive {
            config,
            entries: entries.collect(),
            size: 0,
            compressed: 0,
        }
    }

    fn around_the_program(archive: &Archive) -> Vec<String> {
        [
            told(&archive.config, &OPERATOR, Arch::Amd64, &origin()),
            held(archive, &OPERATOR),
        ]
        .concat()
    }

    #[test]
    fn an_image_as_it_must_be_has_no_fault() {
        assert_eq!(around_the_program(&image()), Vec::<String>::new());
    }

    #[test]
    fn each_fault_is_told() {
        type Spoil = fn(&mut Archive);
        let spoilt: [(&str, Spoil); 9] = [
            ("the user is \"0\"", |image| {
                image.config["config"]["User"] = "0".into()
            }),
            ("the user is null", |image| {
                image.config["config"]["User"] = Value::Null
            }),
            ("the entrypoint is", |image| {
                image.config["config"]["Entrypoint"] = json!(["/bin/sh"])
            }),
            ("the architecture is \"arm64\"", |image| {
                image.config["architecture"] = "arm64".into()
            }),
            ("the revision is", |image| {
                image.config["config"]["Labels"]["org.opencontainers.image.revision"] = "old".into()
            }),
            ("/bin/sh does not belong", |image| {
                drop(image.entries.insert("bin/sh".to_owned(), file(0o555, b"")))
            }),
            ("/etc/ssl/certs/ca-certificates.crt is missing", |image| {
                drop(image.entries.remove("etc/ssl/certs/ca-certificates.crt"))
            }),
            ("it has 1 CA roots", |image| {
                drop(image.entries.insert(
                    "etc/ssl/certs/ca-certificates.crt".to_owned(),
                    file(0o444, b"-----BEGIN CERTIFICATE-----"),
                ))
            }),
            ("/oc-essentials-operator has the mode 755", |image| {
                drop(
                    image
                        .entries
                        .insert("oc-essentials-operator".to_owned(), file(0o755, b"")),
                )
            }),
        ];
        for (wished, spoil) in spoilt {
            let mut image = image();
            spoil(&mut image);
            let faults = around_the_program(&image);
            assert!(
                faults.len() == 1 && faults[0].starts_with(wished),
                "{wished}: {faults:?}"
            );
        }
    }

    /// The test itself is such a program where the C library is not musl.
    #[cfg(target_env = "gnu")]
    #[test]
    fn a_program_with_a_loader_is_refused() {
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let here = Arch::here().unwrap();
        let other = if here == Arch::Amd64 {
            Arch::Arm64
        } else {
            Arch::Amd64
        };
        assert_eq!(binary(&bytes, here).unwrap().len(), 1);
        assert_eq!(binary(&bytes, other).unwrap().len(), 2);
        assert!(binary(b"#!/bin/sh", here).is_err());
        assert!(
            inventory(&bytes, b"{}", &OPERATOR, &origin())
                .unwrap_err()
                .to_string()
                .contains("cargo auditable")
        );
    }
}
