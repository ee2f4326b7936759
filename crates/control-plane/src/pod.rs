//! Runs a pod as a kubelet would, as far as a process can.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::{Container, EnvVar, PodSpec, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::Running;

/// A process that represents a pod.
///
/// Its arguments and its environment are those of the first container, and nothing else is in its
/// environment, with these differences: a kubeconfig replaces the service account that a kubelet mounts, and
/// each container port is replaced by a free port of this machine wherever an argument or a variable ends
/// with it.
#[derive(Debug)]
pub struct Pod {
    /// The command, not started yet. What a test adds takes precedence.
    pub command: Command,
    ports: BTreeMap<String, u16>,
    probes: BTreeMap<&'static str, String>,
}

impl Pod {
    pub(crate) fn new(
        spec: &PodSpec,
        program: &Path,
        name: &str,
        namespace: &str,
        kubeconfig: &Path,
    ) -> Result<Self> {
        let container = spec.containers.first().context("the pod has no container")?;
        let mut ports = BTreeMap::new();
        let mut moved = Vec::new();
        for port in container.ports.iter().flatten() {
            let free = port_for_a_pod()?;
            ports.insert(port.name.clone().unwrap_or_default(), free);
            moved.push((port.container_port, free));
        }
        let mut command = Command::new(program);
        command.env_clear();
        for argument in container.command.iter().skip(1).chain(&container.args).flatten() {
            command.arg(with_ports(argument, &moved));
        }
        for variable in container.env.iter().flatten() {
            let value = value(variable, spec, name, namespace)?;
            command.env(&variable.name, with_ports(&value, &moved));
        }
        command.env("OPERATORCONNECT_KUBECONFIG", kubeconfig);
        let probes = probes(container, &ports)?;
        Ok(Self {
            command,
            ports,
            probes,
        })
    }

    /// Returns the port of this machine that replaces a named port of the container.
    #[must_use]
    pub fn port(&self, name: &str) -> Option<u16> {
        self.ports.get(name).copied()
    }

    /// The addresses that a kubelet would probe, by `startup`, `liveness` and `readiness`.
    #[must_use]
    pub fn probes(&self) -> &BTreeMap<&'static str, String> {
        &self.probes
    }

    /// Starts the process and appends its output to a file.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start(mut self, log: &Path) -> Result<Running> {
        Running::start(&mut self.command, log)
    }
}

/// Returns a port that stays free until the pod's process listens on it, and again for its successor. A port
/// from the kernel could be in the range that it also uses for connections, and in a busy second another
/// process would have it by then.
fn port_for_a_pod() -> Result<u16> {
    const FIRST: u16 = 20_000;
    // Below 32768, where the kernel's own range begins.
    const MANY: u32 = 12_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Tests that run in parallel begin at different places.
    let begin = std::process::id().wrapping_mul(97);
    for _ in 0..MANY {
        let offset = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % MANY;
        let port = FIRST + u16::try_from(offset)?;
        if TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port between {FIRST} and 32000 is free")
}

/// Returns a free port of 127.0.0.1: the wanted one if it is free.
///
/// # Errors
/// When none is free.
pub fn free_port(wanted: u16) -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", wanted))
        .or_else(|_| TcpListener::bind(("127.0.0.1", 0)))
        .context("no port is free")?;
    Ok(listener.local_addr()?.port())
}

fn with_ports(text: &str, moved: &[(i32, u16)]) -> String {
    for (port, free) in moved {
        if let Some(before) = text.strip_suffix(&format!(":{port}")) {
            return format!("{before}:{free}");
        }
    }
    text.to_owned()
}

static NEXT_UID: AtomicU32 = AtomicU32::new(0);

fn value(variable: &EnvVar, spec: &PodSpec, name: &str, namespace: &str) -> Result<String> {
    let Some(source) = &variable.value_from else {
        return Ok(variable.value.clone().unwrap_or_default());
    };
    let field = source.field_ref.as_ref().map(|field| field.field_path.as_str());
    Ok(match field {
        Some("metadata.name") => name.to_owned(),
        // Each `Pod` is a new pod. A test that restarts a container sets the variable itself.
        Some("metadata.uid") => format!(
            "{name}-{}-{}",
            std::process::id(),
            NEXT_UID.fetch_add(1, Ordering::Relaxed)
        ),
        Some("metadata.namespace") => namespace.to_owned(),
        Some("spec.serviceAccountName") => spec.service_account_name.clone().unwrap_or_default(),
        Some("status.podIP" | "status.hostIP") => "127.0.0.1".to_owned(),
        _ => bail!("{}: only a kubelet knows the value", variable.name),
    })
}

fn probes(container: &Container, ports: &BTreeMap<String, u16>) -> Result<BTreeMap<&'static str, String>> {
    let all: [(_, &Option<Probe>); 3] = [
        ("startup", &container.startup_probe),
        ("liveness", &container.liveness_probe),
        ("readiness", &container.readiness_probe),
    ];
    let mut found = BTreeMap::new();
    for (kind, probe) in all {
        let Some(get) = probe.as_ref().and_then(|probe| probe.http_get.as_ref()) else {
            continue;
        };
        let IntOrString::String(port) = &get.port else {
            bail!("the {kind} probe refers to its port by number: name the port")
        };
        let port = ports.get(port).with_context(|| {
            format!("the {kind} probe uses port {port}, which the container does not have")
        })?;
        found.insert(
            kind,
            format!("http://127.0.0.1:{port}{}", get.path.as_deref().unwrap_or("/")),
        );
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_has_what_the_deployment_says_and_ports_of_its_own() {
        let spec = serde_json::from_value(
            json!({"serviceAccountName": "account", "containers": [{"name": "operator", "args": ["run"],
            "env": [
                {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "HEALTH", "value": ":8081"}, {"name": "OTHER", "value": "example:80810"},
            ],
            "ports": [{"name": "health", "containerPort": 8081}],
            "livenessProbe": {"httpGet": {"path": "/livez", "port": "health"}}}]}),
        )
        .unwrap();
        let pod = Pod::new(
            &spec,
            Path::new("/operator"),
            "operator-0",
            "system",
            Path::new("/kubeconfig"),
        )
        .unwrap();
        let port = pod.port("health").unwrap();
        let text = |text: &std::ffi::OsStr| text.to_string_lossy().into_owned();
        let variables: BTreeMap<_, _> = pod
            .command
            .get_envs()
            .map(|(name, value)| (text(name), text(value.unwrap_or_default())))
            .collect();
        assert_eq!(pod.command.get_args().map(text).collect::<Vec<_>>(), ["run"]);
        assert_eq!(variables["POD_NAME"], "operator-0");
        assert_eq!(variables["HEALTH"], format!(":{port}"));
        assert_eq!(variables["OTHER"], "example:80810");
        assert_eq!(variables["OPERATORCONNECT_KUBECONFIG"], "/kubeconfig");
        assert_eq!(pod.probes()["liveness"], format!("http://127.0.0.1:{port}/livez"));
    }

    #[test]
    fn what_only_a_kubelet_knows_is_refused() {
        let env =
            json!([{"name": "LIMIT", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}}]);
        let spec = serde_json::from_value(json!({"containers": [{"name": "operator", "env": env}]})).unwrap();
        assert!(
            Pod::new(
                &spec,
                Path::new("/operator"),
                "operator-0",
                "system",
                Path::new("/kubeconfig")
            )
            .is_err()
        );
    }
}
