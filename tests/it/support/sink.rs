//! A service outside that is told things: a collector of spans, or Sentry.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
};
use tokio::net::TcpListener;

/// Takes what comes, as long as the test lasts.
pub(crate) struct Sink {
    pub(crate) address: String,
    taken: Arc<Mutex<Vec<Taken>>>,
}

/// What came in one request.
#[derive(Clone)]
pub(crate) struct Taken {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

#[derive(Clone)]
struct Desk {
    taken: Arc<Mutex<Vec<Taken>>>,
    /// `None`: it never answers.
    status: Option<StatusCode>,
}

impl Sink {
    /// Answers each request with `status`. `None`: not at all.
    pub(crate) async fn answering(status: Option<u16>) -> Self {
        let taken = Arc::default();
        let status = status.map(|status| StatusCode::from_u16(status).unwrap());
        let desk = Desk { taken: Arc::clone(&taken), status };
        let router = Router::new().fallback(take).with_state(desk);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, taken }
    }

    /// Nobody is there.
    #[cfg(feature = "otel")]
    pub(crate) fn away() -> Self {
        Self { address: "127.0.0.1:9".to_owned(), taken: Arc::default() }
    }

    /// What came, oldest first.
    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.taken.lock().unwrap().clone()
    }

    /// Whether `text` is in anything that came.
    pub(crate) fn holds(&self, text: &str) -> bool {
        self.taken().iter().any(|taken| taken.body.windows(text.len()).any(|window| window == text.as_bytes()))
    }
}

async fn take(State(desk): State<Desk>, uri: Uri, headers: HeaderMap, body: Bytes) -> StatusCode {
    desk.taken.lock().unwrap().push(Taken { path: uri.path().to_owned(), headers, body });
    match desk.status {
        Some(status) => status,
        None => std::future::pending().await,
    }
}
