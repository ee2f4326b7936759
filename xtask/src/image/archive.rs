//! Reads an image as `docker save` writes it: a tar of a manifest, a configuration, and layers that are tars.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::Value;

use super::removed;

/// The content and configuration of an image.
pub struct Archive {
    /// Its OCI configuration.
    pub config: Value,
    /// Files and folders, by their paths without the leading slash.
    pub entries: BTreeMap<String, Entry>,
    /// The size of all layers in bytes.
    pub size: u64,
    /// The size of all layers in bytes, compressed as in a registry.
    pub compressed: u64,
}

/// A file or a folder.
pub struct Entry {
    pub folder: bool,
    /// Neither a file nor a folder: a link, a device.
    pub odd: bool,
    pub mode: u32,
    pub owner: (u64, u64),
    pub bytes: Vec<u8>,
}

impl Archive {
    /// # Errors
    /// When the file is not such an image.
    pub fn read(path: &Path) -> Result<Self> {
        let parts = members(&fs::read(path)?)?;
        let part = |name: &str| parts.get(name).with_context(|| format!("it has no {name}"));
        let manifest: Value = serde_json::from_slice(&part("manifest.json")?.bytes)?;
        let text = |value: &Value| {
            value
                .as_str()
                .map(ToOwned::to_owned)
                .context("its manifest does not name its parts")
        };
        let config = serde_json::from_slice(&part(&text(&manifest[0]["Config"])?)?.bytes)?;
        let (mut entries, mut size, mut compressed) = (BTreeMap::new(), 0, 0);
        for layer in manifest[0]["Layers"]
            .as_array()
            .context("its manifest names no layers")?
        {
            let layer = plain(&part(&text(layer)?)?.bytes)?;
            size += layer.len() as u64;
            compressed += packed(&layer)?;
            entries.append(&mut members(&layer)?);
        }
        Ok(Self {
            config,
            entries,
            size,
            compressed,
        })
    }

    pub fn file(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name).filter(|entry| !entry.folder && !entry.odd)
    }

    /// Writes its files into a fresh folder.
    ///
    /// # Errors
    /// When a file can't be written.
    pub fn unpack(&self, root: &Path) -> Result<()> {
        removed(root)?;
        fs::create_dir_all(root)?;
        for (name, entry) in &self.entries {
            ensure!(
                !entry.odd && !name.split('/').any(|part| part == ".."),
                "the image contains {name}, which is neither a file nor a folder inside it"
            );
            let path = root.join(name);
            if entry.folder {
                fs::create_dir_all(&path)?;
            } else {
                fs::create_dir_all(path.parent().unwrap_or(root))?;
                fs::write(&path, &entry.bytes).with_context(|| format!("can't write {}", path.display()))?;
            }
            fs::set_permissions(&path, fs::Permissions::from_mode(entry.mode))?;
        }
        Ok(())
    }
}

fn members(bytes: &[u8]) -> Result<BTreeMap<String, Entry>> {
    let mut found = BTreeMap::new();
    for member in tar::Archive::new(bytes).entries()? {
        let mut member = member?;
        let name = member
            .path()?
            .to_string_lossy()
            .trim_matches('/')
            .trim_start_matches("./")
            .to_owned();
        let header = member.header();
        let (folder, file) = (header.entry_type().is_dir(), header.entry_type().is_file());
        let (mode, owner) = (header.mode()?, (header.uid()?, header.gid()?));
        let mut bytes = Vec::new();
        member.read_to_end(&mut bytes)?;
        if !name.is_empty() && name != "." {
            found.insert(
                name,
                Entry {
                    folder,
                    odd: !folder && !file,
                    mode,
                    owner,
                    bytes,
                },
            );
        }
    }
    Ok(found)
}

/// Returns a layer without compression: some engines compress layers and some don't.
fn plain(layer: &[u8]) -> Result<Vec<u8>> {
    if !layer.starts_with(&[0x1f, 0x8b]) {
        return Ok(layer.to_vec());
    }
    let mut bytes = Vec::new();
    GzDecoder::new(layer).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn packed(layer: &[u8]) -> Result<u64> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(layer)?;
    Ok(encoder.finish()?.len() as u64)
}
