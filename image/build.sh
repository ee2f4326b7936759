#!/usr/bin/env bash
# Builds the content of the images for one architecture: both programs, their SBOMs and the CA roots.
#   image/build.sh amd64|arm64 FOLDER
#   image/build.sh tools
# The Dockerfile and `cargo xtask image --builder host` both run this, so a program is the same wherever it is built.
set -euo pipefail
cd "$(dirname "$0")/.."

auditable=0.7.7
cyclonedx=0.5.9
programs=(oc-essentials-operator live-platform-simulator)
target=${CARGO_TARGET_DIR:-target}
tools=${IMAGE_TOOLS:-$target/tools/image}

note() { printf '    %s\n' "$*" >&2; }
fail() { printf 'image/build.sh: %s\n' "$*" >&2; exit 1; }
need() { command -v "$1" >/dev/null || fail "$1 is not installed; $2"; }

# Fetches the tools once, each in the version pinned here or in requirements.txt.
install_tools() {
  need cargo 'install Rust from https://rustup.rs'
  need python3 'install it (Debian: apt-get install python3-venv)'
  local stamp="$tools/requirements.txt"
  if ! cmp -s image/requirements.txt "$stamp"; then
    note 'installing the compiler for musl and the CA roots from PyPI'
    python3 -m venv --clear "$tools/python" >&2 || fail 'python3 has no venv module (Debian: apt-get install python3-venv)'
    "$tools/python/bin/pip" install --quiet --disable-pip-version-check --require-hashes --requirement image/requirements.txt >&2
    cp image/requirements.txt "$stamp"
  fi
  cargo_tool cargo-auditable "$auditable"
  cargo_tool cargo-cyclonedx "$cyclonedx"
}

cargo_tool() {
  if ! grep -qs "^\"$1 $2 " "$tools/.crates.toml"; then
    note "installing $1 $2 from crates.io (a minute or two, once)"
    cargo install --quiet --locked --root "$tools" "$1@$2" >&2
  fi
}

[ $# -ge 1 ] || fail 'missing argument: amd64 FOLDER, arm64 FOLDER, or tools'
case $1 in
  tools) install_tools; exit ;;
  amd64) triple=x86_64-unknown-linux-musl ;;
  arm64) triple=aarch64-unknown-linux-musl ;;
  *) fail "unknown architecture $1: use amd64 or arm64" ;;
esac
[ $# -eq 2 ] || fail "missing argument FOLDER, where to put the files: image/build.sh $1 FOLDER"
out=$2

install_tools
if command -v rustup >/dev/null; then
  rustup --quiet target add "$triple"
elif [ ! -d "$(rustc --print sysroot)/lib/rustlib/$triple" ]; then
  fail "Rust can't build for $triple here; install rustup, or your distribution's Rust for musl"
fi

# Absolute, because cargo runs the tools from other folders.
tools=$(cd "$tools" && pwd)
export PATH="$tools/bin:$tools/python/bin:$PATH"
# By default the allocator requests huge pages: 80 MiB instead of 51 for a thousand services (cargo xtask bench), in a program that mostly
# waits.
export "CFLAGS_${triple//-/_}=-DMI_DEFAULT_ALLOW_THP=0"
selected=(); for program in "${programs[@]}"; do selected+=(--package "$program"); done
cargo auditable zigbuild --locked --profile image --target "$triple" "${selected[@]}" --bins

# The tool writes next to each Cargo.toml. Git ignores these files; they are moved from there.
sbom=image-sbom.cdx
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-0} cargo cyclonedx --quiet --format json --target "$triple" --no-build-deps --override-filename "$sbom"
mkdir -p "$out"
for program in "${programs[@]}"; do
  folder=.; [ "$program" = live-platform-simulator ] && folder=crates/simulator
  install -m 0555 "$target/$triple/image/$program" "$out/$program"
  # The path of the sources is private, and would make the image differ on each machine.
  sed -i "s#file://$PWD\b#file:///src#g" "$folder/$sbom.json"
  install -m 0444 "$folder/$sbom.json" "$out/$program.cdx.json"
done
find . -path ./target -prune -o -name "$sbom.json" -exec rm {} +
install -m 0444 "$("$tools/python/bin/python" -m certifi)" "$out/ca-certificates.crt"
