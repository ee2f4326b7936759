//! Starts `etcd` and `kube-apiserver` as separate programs from a folder: the convention of envtest.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client};
use serde_json::json;

use crate::account::{kubeconfig, write_private};
use crate::process::{Processes, last_words};

/// The audit policy, as in `tests/control-plane`: one line for each external request, and one more when a
/// watch starts.
const AUDIT_POLICY: &str = r#"{"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "omitManagedFields": true, "rules": [
  {"level": "None", "users": ["system:apiserver", "system:kube-controller-manager"]},
  {"level": "None", "nonResourceURLs": ["/livez*", "/readyz*", "/healthz*"]},
  {"level": "Metadata"}]}"#;

/// Starts the programs in a folder and waits until they are ready. All paths are relative to it, since the
/// path of a socket must be short.
pub async fn start(assets: &Path, folder: &Path) -> Result<(Processes, PathBuf)> {
    let assets = assets
        .canonicalize()
        .with_context(|| format!("KUBEBUILDER_ASSETS: can't read {}", assets.display()))?;
    fs::create_dir_all(folder.join("pki"))?;
    let (admin, controllers) = (token()?, token()?);
    let users = format!(
        "{admin},admin,admin,system:masters\n{controllers},system:kube-controller-manager,controllers,system:masters\n"
    );
    write_private(&folder.join("pki/tokens.csv"), &users)?;
    fs::write(folder.join("pki/audit-policy.yaml"), AUDIT_POLICY)?;
    // The port is free now. Another process could take it in the next moment, and the API server would then
    // end.
    let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();

    let mut processes = Processes::default();
    processes.add(spawn(&assets.join("etcd"), folder, &etcd())?);
    processes.add(spawn(&assets.join("kube-apiserver"), folder, &api_server(port))?);
    let path = folder.join("admin.kubeconfig");
    ready(&mut processes, folder, &path, port, &admin).await?;

    let manager = assets.join("kube-controller-manager");
    if manager.exists() {
        let admin = kube::config::Kubeconfig::read_from(&path)?;
        let cluster = admin.clusters.first().context("no cluster in the kubeconfig")?;
        let text = kubeconfig(&serde_json::to_value(&cluster.cluster)?, "default", &controllers);
        write_private(&folder.join("pki/controllers.kubeconfig"), &text)?;
        processes.add(spawn(&manager, folder, &controller_manager())?);
    }
    Ok((processes, path))
}

fn etcd() -> Vec<String> {
    let socket = "unix://etcd.sock";
    vec![
        "--data-dir=etcd".into(),
        format!("--listen-client-urls={socket}"),
        format!("--advertise-client-urls={socket}"),
        "--listen-peer-urls=unix://peer.sock".into(),
        "--initial-advertise-peer-urls=unix://peer.sock".into(),
        "--initial-cluster=default=unix://peer.sock".into(),
        "--unsafe-no-fsync".into(),
        // 100,000 objects with all their versions of five minutes.
        "--quota-backend-bytes=8589934592".into(),
        "--heartbeat-interval=10".into(),
        "--election-timeout=100".into(),
        "--log-level=warn".into(),
    ]
}

fn api_server(port: u16) -> Vec<String> {
    let mut arguments: Vec<String> = [
        "--etcd-servers=unix://etcd.sock",
        "--bind-address=127.0.0.1",
        "--cert-dir=pki",
        "--authorization-mode=RBAC",
        "--anonymous-auth=false",
        "--token-auth-file=pki/tokens.csv",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        // The server's own TLS key. The server creates it before it looks for these, and any private key will
        // do.
        "--service-account-signing-key-file=pki/apiserver.key",
        "--service-account-key-file=pki/apiserver.key",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--audit-policy-file=pki/audit-policy.yaml",
        "--audit-log-path=audit.log",
        "--audit-log-maxsize=0",
        "--endpoint-reconciler-type=none",
        "--profiling=false",
        "--max-requests-inflight=4000",
        "--max-mutating-requests-inflight=2000",
    ]
    .map(str::to_owned)
    .into();
    arguments.push(format!("--secure-port={port}"));
    arguments
}

fn controller_manager() -> Vec<String> {
    [
        "--kubeconfig=pki/controllers.kubeconfig",
        "--controllers=namespace-controller,garbage-collector-controller,serviceaccount-controller,clusterrole-aggregation-controller",
        "--leader-elect=false",
        "--secure-port=0",
    ]
    .map(str::to_owned)
    .into()
}

fn spawn(program: &Path, folder: &Path, arguments: &[String]) -> Result<Child> {
    let log = File::options()
        .create(true)
        .append(true)
        .open(folder.join("control-plane.log"))?;
    Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("can't start {} (KUBEBUILDER_ASSETS)", program.display()))
}

/// Writes the kubeconfig as soon as the server has created its certificate, and waits until it serves the
/// namespaces that everything relies on.
async fn ready(processes: &mut Processes, folder: &Path, path: &Path, port: u16, token: &str) -> Result<()> {
    let mut client = None;
    for _ in 0..1200 {
        processes.check().with_context(|| last_words(folder))?;
        if client.is_none()
            && fs::read_to_string(folder.join("pki/apiserver.crt"))
                .is_ok_and(|text| text.ends_with("-----END CERTIFICATE-----\n"))
        {
            // The kubeconfig refers to a file. The server's file holds its certificate and the authority that
            // signed it.
            let authority = last_certificate(&fs::read_to_string(folder.join("pki/apiserver.crt"))?)?;
            fs::write(folder.join("pki/ca.crt"), authority)?;
            let cluster = json!({"server": format!("https://127.0.0.1:{port}"), "certificate-authority": folder.join("pki/ca.crt")});
            write_private(path, &kubeconfig(&cluster, "default", token))?;
            client = Some(crate::client_of(path).await?);
        }
        if let Some(client) = &client
            && serves(client).await
        {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!(
        "the API server was not ready after a minute: {}",
        last_words(folder)
    )
}

async fn serves(client: &Client) -> bool {
    let Ok(request) = http::Request::get("/readyz").body(Vec::new()) else {
        return false;
    };
    if client.request_text(request).await.is_err() {
        return false;
    }
    let namespaces = Api::<Namespace>::all(client.clone());
    namespaces.get("default").await.is_ok() && namespaces.get("kube-system").await.is_ok()
}

fn last_certificate(pem: &str) -> Result<String> {
    let begin = pem
        .rfind("-----BEGIN CERTIFICATE-----")
        .context("can't read the API server's certificate")?;
    Ok(pem[begin..].to_owned())
}

/// Returns a random secret.
fn token() -> Result<String> {
    use std::io::Read;
    let mut bytes = [0_u8; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
