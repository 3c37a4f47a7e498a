//! Between `compare` and a service, to change what is said.

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, Method, Uri},
    response::Response,
};
use tokio::net::TcpListener;

/// A reply on its way.
pub(super) struct Passing {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

/// Passes on what comes to `url`, and lets `change` change what comes back. Gives back its own address.
pub(super) async fn in_front_of(url: &str, change: fn(&mut Passing)) -> String {
    let url = url.to_owned();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let pass = move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| async move {
        let reply = client.request(method, format!("{url}{uri}")).headers(headers).body(body).send().await.unwrap();
        let (status, mut headers) = (reply.status().as_u16(), reply.headers().clone());
        for name in ["content-length", "transfer-encoding", "connection"] {
            headers.remove(name);
        }
        let mut passing = Passing { status, headers, body: reply.text().await.unwrap() };
        change(&mut passing);
        let mut reply = Response::new(Body::from(passing.body));
        *reply.status_mut() = passing.status.try_into().unwrap();
        *reply.headers_mut() = passing.headers;
        reply
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(pass);
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}
