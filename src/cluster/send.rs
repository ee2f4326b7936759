//! Sends writes to the API server.
//!
//! `kube::Client::request_text` copies each answer twice. An answer to a write is 5 KB, most of which is
//! dropped, so here it is read where it lies.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Method, Request};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use kube::core::response::Status;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const MERGE_PATCH: HeaderValue = HeaderValue::from_static("application/merge-patch+json");

/// Returns the request of a merge patch. `url` names the object, and ends with its query.
///
/// # Errors
/// If the url is none.
pub fn merge_patch(url: String, patch: Vec<u8>) -> kube::Result<Request<Vec<u8>>> {
    Request::builder()
        .method(Method::PATCH)
        .uri(url)
        .header(ACCEPT, JSON)
        .header(CONTENT_TYPE, MERGE_PATCH)
        .body(patch)
        .map_err(kube::Error::HttpError)
}

/// Returns the request that creates an object. `url` names its collection.
///
/// # Errors
/// If the url is none.
pub fn create(url: String, object: Vec<u8>) -> kube::Result<Request<Vec<u8>>> {
    Request::builder()
        .method(Method::POST)
        .uri(url)
        .header(CONTENT_TYPE, JSON)
        .body(object)
        .map_err(kube::Error::HttpError)
}

/// Sends a request, and returns the body of the answer.
///
/// # Errors
/// If there is no answer, or it is a refusal.
pub async fn send(client: &Client, request: Request<Vec<u8>>) -> kube::Result<Bytes> {
    answered(client, request).await?.collect_bytes().await
}

/// Sends a request whose answer holds nothing new.
///
/// # Errors
/// As [`send`].
pub async fn send_only(client: &Client, request: Request<Vec<u8>>) -> kube::Result<()> {
    let mut body = answered(client, request).await?;
    // Read to its end, or the connection could not be used again.
    while let Some(piece) = body.frame().await {
        piece?;
    }
    Ok(())
}

async fn answered(client: &Client, request: Request<Vec<u8>>) -> kube::Result<Body> {
    let answer = client.send(request.map(Body::from)).await?;
    let status = answer.status();
    let body = answer.into_body();
    if status.is_client_error() || status.is_server_error() {
        return Err(refused(status.as_u16(), &body.collect_bytes().await?));
    }
    Ok(body)
}

/// The error of a refusal. Something between here and the API server may refuse in its own form.
fn refused(code: u16, body: &[u8]) -> kube::Error {
    let status = serde_json::from_slice::<Status>(body).unwrap_or_else(|_| {
        let text = String::from_utf8_lossy(body);
        Status::failure(text.trim(), "Failed to parse error data").with_code(code)
    });
    kube::Error::Api(status.boxed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Response;

    /// A server that gives this answer to every request.
    fn answering(code: u16, body: &'static str) -> Client {
        let service = tower::service_fn(move |_: Request<Body>| async move {
            let answer = Response::builder().status(code);
            Ok::<_, std::convert::Infallible>(answer.body(Body::from(body.as_bytes().to_vec())).unwrap())
        });
        Client::new(service, "default")
    }

    #[tokio::test]
    async fn a_refusal_is_read_as_kube_reads_it() {
        let status =
            r#"{"kind":"Status","status":"Failure","message":"denied","reason":"Forbidden","code":403}"#;
        let to = || merge_patch("/apis/x?fieldManager=y".into(), Vec::new()).unwrap();
        for (code, body) in [
            (200, "{}"),
            (201, ""),
            (403, status),
            (409, "<html> conflict "),
            (502, ""),
        ] {
            let client = answering(code, body);
            let kube = client
                .request_text(to())
                .await
                .map_err(|error| format!("{error:?}"));
            let ours = send(&client, to()).await.map_err(|error| format!("{error:?}"));
            assert_eq!(ours, kube.clone().map(Bytes::from), "{code} {body}");
            let only = send_only(&client, to())
                .await
                .map_err(|error| format!("{error:?}"));
            assert_eq!(only, kube.map(drop), "{code} {body}");
        }
    }

    /// Of a request only the url, its method and these headers matter.
    #[test]
    fn the_requests_are_those_of_kube() {
        use kube::api::{Patch, PatchParams, PostParams};
        let parts = |request: Request<Vec<u8>>| {
            let (parts, body) = request.into_parts();
            // kube begins each query with an empty parameter.
            let uri = parts.uri.to_string().replace("?&", "?");
            (
                parts.method,
                uri.trim_end_matches('?').to_owned(),
                parts.headers,
                body,
            )
        };
        let by = PatchParams {
            field_manager: Some("a-manager".into()),
            ..PatchParams::default()
        };
        let patch = serde_json::json!({"status": {"a": 1}});
        let kubes = kube::core::Request::new("/apis/g/v1/namespaces/n/things");
        let of_kube = kubes
            .patch_subresource("status", "one", &by, &Patch::Merge(&patch))
            .unwrap();
        let url = "/apis/g/v1/namespaces/n/things/one/status?fieldManager=a-manager";
        let ours = merge_patch(url.into(), patch.to_string().into_bytes()).unwrap();
        assert_eq!(parts(ours), parts(of_kube));
        let of_kube = kubes.create(&PostParams::default(), b"{}".to_vec()).unwrap();
        let ours = create("/apis/g/v1/namespaces/n/things".into(), b"{}".to_vec()).unwrap();
        assert_eq!(parts(ours), parts(of_kube));
    }
}
