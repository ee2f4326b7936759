//! The CA bundle, and the reasons why a TLS connection failed.

use reqwest::Certificate;

use crate::error::{Error, ErrorKind, RequestSent};

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// Reads the certificates of a bundle. It tolerates a byte order mark, indented lines, and an END and a BEGIN
/// on one line. It rejects a block that is not a certificate: its absence would otherwise cause an unclear
/// error later.
pub(crate) fn roots(pem: &[u8]) -> Result<Vec<Certificate>, Error> {
    let text = String::from_utf8_lossy(pem)
        .replace('\u{feff}', "")
        .replace("----------BEGIN", "-----\n-----BEGIN");
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let mut roots = Vec::new();
    for block in lines.split(|line| *line == BEGIN).skip(1) {
        let number = roots.len() + 1;
        let end = block.iter().position(|line| *line == END);
        let body = end
            .and_then(|end| block.get(..end))
            .ok_or_else(|| bad_block(number))?;
        let block = [&[BEGIN][..], body, &[END, ""]].concat().join("\n");
        let read = Certificate::from_pem_bundle(block.as_bytes())
            .map_err(|error| bad_block(number).with_source(error))?;
        let [certificate] = <[Certificate; 1]>::try_from(read).map_err(|_| bad_block(number))?;
        roots.push(certificate);
    }
    if roots.is_empty() {
        return Err(bad(
            "the CA bundle contains no certificate; use PEM, with each certificate between BEGIN CERTIFICATE and END CERTIFICATE",
        ));
    }
    Ok(roots)
}

/// Explains why a client could not be built, by naming the first certificate that fails on its own.
pub(crate) fn unusable(roots: &[Certificate], error: reqwest::Error) -> Error {
    let alone = |root: &Certificate| {
        reqwest::Client::builder()
            .tls_certs_only([root.clone()])
            .build()
            .is_err()
    };
    match roots.iter().position(alone) {
        Some(at) => bad_block(at + 1).with_source(error),
        None => bad("TLS can't be set up; check that the image contains the system's root certificates")
            .with_source(error),
    }
}

fn bad_block(number: usize) -> Error {
    bad(format!(
        "certificate {number} of the CA bundle can't be read; include it whole, from BEGIN CERTIFICATE to END CERTIFICATE, or remove it"
    ))
}

fn bad(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Settings, RequestSent::No, message)
}

/// Explains in a few stable words why there is no connection. The texts of TLS errors are not shown: they
/// hold times.
pub(crate) fn no_connection(error: &reqwest::Error, with_bundle: bool) -> &'static str {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text.push_str(&format!(" {inner} {inner:?}"));
        cause = inner.source();
    }
    reason(&text.to_ascii_lowercase(), with_bundle)
}

fn reason(text: &str, with_bundle: bool) -> &'static str {
    let has = |part: &str| text.contains(part);
    if has("causedasendentity") {
        "its certificate is a CA certificate (CA:TRUE), as openssl creates it by default; give the server one with basicConstraints CA:FALSE"
    } else if has("unknownissuer") || has("unknown issuer") {
        if with_bundle {
            "its certificate is signed by an authority that is neither in the CA bundle nor among the system's; add that authority, and check that the server sends its intermediate certificates"
        } else {
            "its certificate is signed by an unknown authority; set the CA bundle, and check that the server sends its intermediate certificates"
        }
    } else if has("notvalidforname") && has("presented: []") {
        "its certificate names no host: a common name does not count, it needs a subjectAltName"
    } else if has("notvalidforname") || has("not valid for name") {
        "its certificate is for another host name; check the url"
    } else if has("certificate") && (has("expired") || has("notvalidyet")) {
        "its certificate has expired or is not yet valid"
    } else if has("invalidpurpose") || has("ekuerror") {
        "its certificate is not for servers (extended key usage serverAuth)"
    } else if has("badsignature") || has("unsupportedsignaturealgorithm") {
        "its certificate, or that of its authority, has a key or a signature that is too weak (RSA under 2048 bits, SHA-1) or wrong; create a new one"
    } else if has("protocolversion") || has("doesnotsupporttls12or13") {
        "it supports neither TLS 1.2 nor 1.3, one of which is required"
    } else if has("certificate") || has("handshake") || has("tls") || has("fatal alert") {
        "the TLS handshake failed; check the url, and the server's certificate and TLS settings"
    } else if has("dns") || has("lookup address") || has("resolve") {
        "its host name is not found; check the url"
    } else if has("refused") {
        "the connection was refused; check the url, and whether it is up"
    } else if has("proxy") || has("tunnel") {
        "the proxy did not let the connection through; check the proxy settings"
    } else {
        "no connection could be made; check the url, the network policy, and whether it is up"
    }
}
