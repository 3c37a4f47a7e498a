//! From an accepted connection to an answer, or to the end of the connection.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, Method, Request, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use http_body_util::BodyExt as _;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};

use super::{
    KEPT, Open, REFUSED_TOKEN, Seen, Shared,
    faults::Fault,
    protocol::{Asked, Form, written},
    resp::Answer,
};
use crate::support::ports;

const LIMIT_BYTES: usize = 10 * 1024 * 1024;

/// At a port that nobody takes while the fixture is away.
pub(super) async fn listen_anywhere() -> TcpListener {
    let [port] = ports();
    listen(port).await.unwrap()
}

pub(super) async fn listen(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind(("127.0.0.1", port)).await
}

pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>, open: Open) {
    loop {
        tokio::select! {
            () = open.stop.cancelled() => return,
            accepted = listener.accept() => {
                let (stream, _) = accepted.unwrap();
                shared.connections.fetch_add(1, Ordering::SeqCst);
                open.tasks.spawn(connection(stream, Arc::clone(&shared), open.clone()));
            }
        }
    }
}

/// Serves one connection until either side has enough of it. Dropping it closes it, without another byte.
async fn connection(stream: TcpStream, shared: Arc<Shared>, open: Open) {
    stream.set_nodelay(true).unwrap();
    let is_busy = AtomicBool::new(false);
    let service = service_fn(|request| async {
        is_busy.store(true, Ordering::SeqCst);
        let answer = answer(&shared, request).await;
        is_busy.store(false, Ordering::SeqCst);
        answer
    });
    let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let mut served = std::pin::pin!(served);
    loop {
        tokio::select! {
            _ = &mut served => return,
            () = open.stop.cancelled() => return,
            () = shared.idle.notified() => if !is_busy.load(Ordering::SeqCst) { return },
        }
    }
}

/// An error closes the connection without a reply.
async fn answer(shared: &Shared, request: Request<Incoming>) -> io::Result<Response> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    shared.note(head.uri.to_string(), &head.headers, &body);
    let asked = Asked::read(head.uri.path(), &body);
    let names = asked.as_ref().map(Asked::names).unwrap_or_default();
    let (latency, fault) = shared.faults.next(&names, |name| shared.database.needs_room(name));
    if !latency.is_zero() {
        sleep(latency).await;
    }
    match fault {
        Some(Fault::DropBefore) => return Err(dropped()),
        Some(Fault::NoAnswer) => std::future::pending().await,
        Some(fault) => {
            if let Some(answer) = fault.instead() {
                return Ok(answer);
            }
        }
        None => {}
    }
    let answer = respond(shared, &head.method, &head.headers, body.len(), asked).await;
    match fault {
        Some(Fault::DropAfter) => Err(dropped()),
        Some(fault) => spoiled(fault, answer).await,
        None => Ok(answer),
    }
}

fn dropped() -> io::Error {
    io::Error::other("the connection is dropped, as told")
}

async fn spoiled(fault: Fault, answer: Response) -> io::Result<Response> {
    let (mut head, body) = answer.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    if !fault.shortens_the_promise() {
        head.headers.insert(header::CONTENT_LENGTH, body.len().into());
    }
    Ok(Response::from_parts(head, fault.spoil(body)))
}

async fn respond(
    shared: &Shared,
    method: &Method,
    headers: &HeaderMap,
    length: usize,
    asked: Result<Asked, String>,
) -> Response {
    let (status, body) = match decide(shared, method, headers, length, asked).await {
        Ok(body) => (StatusCode::OK, body),
        Err((status, text)) => (status, json!({"error": text})),
    };
    let body = match body.to_string() {
        long if long.len() > LIMIT_BYTES => return too_large(long.len()).into_response(),
        body => body,
    };
    let sync_token = format!("{:016x}", fastrand::u64(..));
    let headers = [("content-type", "application/json"), ("upstash-sync-token", &sync_token)];
    (status, headers, Body::from(body)).into_response()
}

async fn decide(
    shared: &Shared,
    method: &Method,
    headers: &HeaderMap,
    length: usize,
    asked: Result<Asked, String>,
) -> Result<Value, (StatusCode, String)> {
    let refused = |text| (StatusCode::BAD_REQUEST, text);
    if ![Method::HEAD, Method::GET, Method::POST, Method::PUT].contains(method) {
        return Err((StatusCode::METHOD_NOT_ALLOWED, "ERR method not allowed".into()));
    }
    let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let reads_only = token == Some(&shared.read_only_token);
    if !reads_only && token != Some(&shared.token) {
        return Err((StatusCode::UNAUTHORIZED, REFUSED_TOKEN.into()));
    }
    if length > LIMIT_BYTES {
        return Err(refused(request_too_large(length)));
    }
    let asked = asked.map_err(refused)?;
    let in_base64 = headers.get("upstash-encoding").is_some_and(|encoding| encoding == "base64");
    let answers = match shared.database.run(&asked, reads_only).await {
        Ok(answers) => answers.map_err(refused)?,
        Err(gone) => return Err((StatusCode::INTERNAL_SERVER_ERROR, format!("ERR internal error: {gone}"))),
    };
    match (asked.form, answers.as_slice()) {
        (Form::Single, [Answer::Error(text)]) => Err(refused(text.clone())),
        (Form::Single, [answer]) => Ok(written(answer, in_base64)),
        (_, answers) => Ok(answers.iter().map(|answer| written(answer, in_base64)).collect()),
    }
}

fn request_too_large(bytes: usize) -> String {
    format!("ERR max request size exceeded. Limit: {LIMIT_BYTES} bytes, Actual: {bytes} bytes")
}

fn too_large(bytes: usize) -> (StatusCode, axum::Json<Value>) {
    (StatusCode::BAD_REQUEST, axum::Json(json!({"error": request_too_large(bytes)})))
}

impl Shared {
    fn note(&self, path: String, headers: &HeaderMap, body: &Bytes) {
        self.requests.fetch_add(1, Ordering::SeqCst);
        let mut seen = self.seen.lock().unwrap();
        if seen.len() == KEPT {
            seen.pop_front();
        }
        let body = String::from_utf8_lossy(body).into_owned();
        seen.push_back(Seen { path, headers: headers.clone(), body });
    }
}
