//! Builds the Go tools that tests run as users have them, such as `helm`. Each has its own module,
//! `tests/tools/<name>`, with one `tool` line. The module pins its version, and no tool affects the
//! dependencies of another. A program of this project that is written in Go is built in the same way.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::golang::{Program, key, only_builder, sources};

/// How many packages the largest tool has, when Go's cache is empty.
const PACKAGES: usize = 1100;

/// Builds a tool into `target/tools/<name>`, unless a build of the same module is there, and returns its
/// path.
///
/// When several processes need one at the same time, one builds and the others wait.
///
/// # Errors
/// When there is no such module, Go is missing, or the build fails.
pub fn tool(project_root: &Path, name: &str, progress: fn(&str)) -> Result<PathBuf> {
    let module = project_root.join("tests/tools").join(name);
    let go_mod = module.join("go.mod");
    let text = fs::read_to_string(&go_mod).with_context(|| format!("can't read {}", go_mod.display()))?;
    let package = package(&text).with_context(|| go_mod.display().to_string())?;
    let program = Program {
        called: &format!("{name}, a tool for the tests"),
        module: &module,
        package: &package,
        flags: "-s -w",
        tags: tags(&text),
        packages: PACKAGES,
        otherwise: "The tests need the version that its go.mod names.",
    };
    build(project_root, name, &program, progress)
}

/// Builds a program of this project that is written in Go into `target/tools/<name>`, as [`tool`] does.
/// `module` is its folder, and `otherwise` what to do when it can't be built.
///
/// # Errors
/// When there is no such module, Go is missing, or the build fails.
pub fn go_program(
    project_root: &Path,
    module: &str,
    name: &str,
    otherwise: &str,
    progress: fn(&str),
) -> Result<PathBuf> {
    let program = Program {
        called: name,
        module: &project_root.join(module),
        package: ".",
        flags: "-s -w",
        tags: "",
        packages: PACKAGES,
        otherwise,
    };
    build(project_root, name, &program, progress)
}

fn build(project_root: &Path, name: &str, to_build: &Program<'_>, progress: fn(&str)) -> Result<PathBuf> {
    let home = project_root.join("target/tools");
    let (program, stamp) = (home.join(name), home.join(format!("{name}.built-from")));
    let key = key(&sources(to_build.module)?)?;
    // The stamp is removed before the program is replaced and written after that, so that it never belongs to
    // another build.
    let is_built = || program.exists() && fs::read_to_string(&stamp).is_ok_and(|built| built == key);
    if is_built() {
        return Ok(program);
    }
    let _only = only_builder(&home, to_build.called, progress)?;
    if !is_built() {
        let _absent = fs::remove_file(&stamp);
        to_build.build(&program, progress)?;
        fs::write(&stamp, key)?;
    }
    Ok(program)
}

/// Returns the package of the single `tool` line.
fn package(go_mod: &str) -> Result<String> {
    let mut tools = go_mod
        .lines()
        .filter_map(|line| line.trim().strip_prefix("tool "));
    let package = tools.next().context("there is no line `tool <package>`")?;
    anyhow::ensure!(
        tools.next().is_none(),
        "there is more than one line `tool <package>`"
    );
    Ok(package.trim().to_owned())
}

/// Returns the build tags of the comment `// Built with tags: a,b`, if there is one: Go has no place for them
/// in a module.
fn tags(go_mod: &str) -> &str {
    go_mod
        .lines()
        .find_map(|line| line.strip_prefix("// Built with tags: "))
        .unwrap_or_default()
        .trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_package_is_that_of_the_one_tool_line() {
        assert_eq!(package("module a\n\ntool b.c/d/cmd/e\n").unwrap(), "b.c/d/cmd/e");
        assert!(package("module a\n").is_err());
        assert!(package("tool a\ntool b\n").is_err());
    }

    #[test]
    fn the_tags_are_those_of_the_comment() {
        assert_eq!(tags("// Built with tags: a,b\nmodule c\n"), "a,b");
        assert_eq!(tags("module c\n"), "");
    }
}
