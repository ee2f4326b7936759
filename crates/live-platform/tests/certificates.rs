//! Messages about a server's certificate: real TLS, one certificate each, and the words that say what to do.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

mod support;

use std::sync::Arc;

use live_platform::{Client, ErrorKind, RequestSent};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use support::{Server, json, secret, settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use url::Url;

type Issuer = CertifiedIssuer<'static, KeyPair>;

/// An authority. All of them have the same name, like authorities that are created twice.
fn authority() -> Issuer {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "An authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A proper server certificate for the address used here.
fn proper() -> CertificateParams {
    let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    params.is_ca = IsCa::ExplicitNoCa;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

/// The client's message about a server with this certificate, given this bundle.
async fn said(certificate: &[u8], key: &KeyPair, bundle: Option<String>) -> Option<String> {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let versions = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = versions.with_no_client_auth().with_single_cert(vec![CertificateDer::from(certificate.to_vec())], key).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("https://{}/tenantui", listener.local_addr().unwrap())).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let server = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut tls) = acceptor.accept(stream).await else { continue };
            let mut asked = [0; 4096];
            let _ = tls.read(&mut asked).await;
            let _ = tls.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n[]").await;
            let _ = tls.shutdown().await;
        }
    });
    let said = ask(&url, bundle).await;
    server.abort();
    said
}

/// The error of a read of the services; the token comes from elsewhere.
async fn ask(url: &Url, bundle: Option<String>) -> Option<String> {
    let tokens = Server::start(|_, _| json(404, "")).await;
    let mut settings = settings(url, &tokens.url);
    settings.ca_bundle_pem = bundle.map(String::into_bytes);
    let client = Client::new(settings, secret(), None).unwrap();
    let error = client.services().await.err()?;
    assert_eq!((&error.kind, error.sent), (&ErrorKind::Unavailable, RequestSent::No), "{error}");
    Some(error.to_string())
}

async fn of(params: CertificateParams, authority: &Issuer, bundle: Option<&Issuer>) -> Option<String> {
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    said(certificate.der(), &key, bundle.map(|issuer| issuer.pem())).await
}

#[tokio::test]
async fn a_proper_certificate_is_taken() {
    let authority = authority();
    assert_eq!(of(proper(), &authority, Some(&authority)).await, None);
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_is_told() {
    let (ours, another) = (authority(), authority());
    let told = |said: Option<String>, what: &str| assert!(said.as_deref().is_some_and(|said| said.contains(what)), "{what}: {said:?}");

    told(of(proper(), &ours, None).await, "signed by an unknown authority; set the CA bundle");
    let mut elsewhere = CertificateParams::default();
    elsewhere.distinguished_name.push(DnType::CommonName, "Elsewhere");
    elsewhere.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let elsewhere = CertifiedIssuer::self_signed(elsewhere, KeyPair::generate().unwrap()).unwrap();
    told(of(proper(), &ours, Some(&elsewhere)).await, "neither in the CA bundle nor among the system's; add that authority");
    // Its authority was created again, under the same name with another key.
    told(of(proper(), &ours, Some(&another)).await, "a key or a signature that is too weak");

    let mut old = proper();
    old.not_after = rcgen::date_time_ymd(2020, 1, 1);
    told(of(old, &ours, Some(&ours)).await, "has expired or is not yet valid");
    let mut early = proper();
    early.not_before = rcgen::date_time_ymd(4000, 1, 1);
    told(of(early, &ours, Some(&ours)).await, "has expired or is not yet valid");

    let mut other_host = CertificateParams::new(["live.example.com".to_owned()]).unwrap();
    other_host.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    told(of(other_host, &ours, Some(&ours)).await, "is for another host name; check the url");
    let mut no_host = CertificateParams::default();
    no_host.distinguished_name.push(DnType::CommonName, "127.0.0.1");
    told(of(no_host, &ours, Some(&ours)).await, "a common name does not count, it needs a subjectAltName");

    let mut of_clients = proper();
    of_clients.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    told(of(of_clients, &ours, Some(&ours)).await, "is not for servers (extended key usage serverAuth)");

    // What openssl creates by default: self-signed, an authority, and in the bundle.
    let mut itself = proper();
    itself.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = itself.self_signed(&key).unwrap();
    told(said(certificate.der(), &key, Some(certificate.pem())).await, "is a CA certificate (CA:TRUE)");
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_1_2_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("https://{}/tenantui", listener.local_addr().unwrap())).unwrap();
    let server = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut hello = [0; 4096];
            let _ = stream.read(&mut hello).await;
            // A fatal alert (RFC 5246, 7.2): protocol_version.
            let _ = stream.write_all(&[21, 3, 1, 0, 2, 2, 70]).await;
        }
    });
    let said = ask(&url, None).await.unwrap();
    server.abort();
    assert!(said.contains("it supports neither TLS 1.2 nor 1.3, one of which is required"), "{said}");
}
