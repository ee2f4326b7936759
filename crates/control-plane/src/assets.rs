//! `etcd` and `kube-apiserver` of a folder, started as envtest starts them.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::Processes;

const TOKEN: &str = "administrator-of-the-tests";

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn spawn(program: PathBuf, arguments: &[String], folder: &Path, log: &str) -> Result<std::process::Child> {
    let said = std::fs::File::create(folder.join(log))?;
    let started = Command::new(&program).args(arguments).stdin(Stdio::null()).stdout(said.try_clone()?).stderr(said).spawn();
    started.with_context(|| format!("{} can't be started; KUBEBUILDER_ASSETS must name a folder with etcd and kube-apiserver", program.display()))
}

/// Starts them. A `kube-controller-manager` is started too when it is there.
pub fn start(assets: &Path, folder: &Path) -> Result<(Processes, PathBuf)> {
    let (etcd_port, peer_port, api_port) = (free_port()?, free_port()?, free_port()?);
    let at = |name: &str| folder.join(name).display().to_string();
    std::fs::write(folder.join("tokens.csv"), format!("{TOKEN},admin,admin,system:masters\n"))?;
    std::fs::write(
        folder.join("audit-policy.yaml"),
        "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{ level: Metadata }]\n",
    )?;
    key(folder)?;
    let etcd: Vec<String> = vec![
        format!("--data-dir={}", at("etcd")),
        format!("--listen-client-urls=http://127.0.0.1:{etcd_port}"),
        format!("--advertise-client-urls=http://127.0.0.1:{etcd_port}"),
        format!("--listen-peer-urls=http://127.0.0.1:{peer_port}"),
        "--unsafe-no-fsync=true".into(),
    ];
    let mut processes = Processes(vec![spawn(assets.join("etcd"), &etcd, folder, "etcd.log")?]);
    let server: Vec<String> = vec![
        format!("--etcd-servers=http://127.0.0.1:{etcd_port}"),
        "--bind-address=127.0.0.1".into(),
        format!("--secure-port={api_port}"),
        format!("--cert-dir={}", at("pki")),
        format!("--token-auth-file={}", at("tokens.csv")),
        "--authorization-mode=RBAC".into(),
        "--service-account-issuer=https://control-plane.test".into(),
        format!("--service-account-key-file={}", at("sa.pub")),
        format!("--service-account-signing-key-file={}", at("sa.key")),
        "--service-cluster-ip-range=10.0.0.0/24".into(),
        "--disable-admission-plugins=ServiceAccount".into(),
        format!("--audit-policy-file={}", at("audit-policy.yaml")),
        format!("--audit-log-path={}", at("audit.log")),
    ];
    processes.0.push(spawn(assets.join("kube-apiserver"), &server, folder, "kube-apiserver.log")?);
    let kubeconfig = folder.join("admin.kubeconfig");
    std::fs::write(&kubeconfig, kubeconfig_text(api_port))?;
    let manager = assets.join("kube-controller-manager");
    if manager.exists() {
        let arguments = vec![
            format!("--kubeconfig={}", kubeconfig.display()),
            "--controllers=namespace-controller,garbage-collector-controller".into(),
            "--leader-elect=false".into(),
            "--secure-port=0".into(),
        ];
        processes.0.insert(0, spawn(manager, &arguments, folder, "kube-controller-manager.log")?);
    }
    Ok((processes, kubeconfig))
}

fn kubeconfig_text(port: u16) -> String {
    let config = serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "admin",
        "clusters": [{"name": "test", "cluster": {"server": format!("https://127.0.0.1:{port}"), "insecure-skip-tls-verify": true}}],
        "users": [{"name": "admin", "user": {"token": TOKEN}}],
        "contexts": [{"name": "admin", "context": {"cluster": "test", "user": "admin"}}],
    });
    config.to_string()
}

/// A key for service account tokens. `openssl` makes it: envtest's folder has nothing that does.
fn key(folder: &Path) -> Result<()> {
    let run = |arguments: &[&str]| Command::new("openssl").args(arguments).current_dir(folder).stdin(Stdio::null()).output();
    let made = run(&["genrsa", "-out", "sa.key", "2048"]).context("openssl is needed with KUBEBUILDER_ASSETS, to make a key for service accounts")?;
    let public = run(&["rsa", "-in", "sa.key", "-pubout", "-out", "sa.pub"])?;
    if !made.status.success() || !public.status.success() {
        bail!("openssl could not make a key: {}", String::from_utf8_lossy(&made.stderr));
    }
    Ok(())
}
