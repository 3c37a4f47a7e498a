//! Redis over HTTPS, as Upstash speaks it (`upstash-rest.md` 2 to 9).

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::{
    Request, StatusCode, Uri,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER},
};
use redis::{Arg, Cmd, Value};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value as Json;
use tokio::sync::Semaphore;

use crate::{client::HttpClient, json, stores::StoreError};

use super::{
    BadAddress, Transport,
    rest_reply::{read_all, read_one},
    transport::{Dialect, Node},
};

const ENCODING: HeaderName = HeaderName::from_static("upstash-encoding");

/// Commands beyond the account's rate wait at the server: a bound keeps them from piling up there.
const MAX_REQUESTS: usize = 64;
/// The longest answer.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// Upstash.
pub struct Rest {
    client: HttpClient,
    command: Uri,
    pipeline: Uri,
    authorization: HeaderValue,
    room: Semaphore,
}

impl Rest {
    /// The database at `url`, which takes `token`.
    ///
    /// # Errors
    /// When the one is no address or the other no token.
    pub fn new(client: HttpClient, url: &str, token: &SecretString) -> Result<Self, BadAddress> {
        let uri = |path: &str| format!("{url}{path}").parse().map_err(|_| BadAddress);
        let mut authorization =
            HeaderValue::try_from(format!("Bearer {}", token.expose_secret())).map_err(|_| BadAddress)?;
        authorization.set_sensitive(true);
        let (command, pipeline, room) = (uri("/")?, uri("/pipeline")?, Semaphore::new(MAX_REQUESTS));
        Ok(Self { client, command, pipeline, authorization, room })
    }

    /// One exchange: `body` to `uri`, and what came back with 200.
    async fn post(&self, uri: &Uri, body: Vec<u8>) -> Result<Bytes, StoreError> {
        // Never closed.
        let _room = self.room.acquire().await.map_err(|_| StoreError::Unreached("closed"))?;
        let mut request =
            Request::post(uri.clone()).body(Full::from(body)).map_err(|_| StoreError::Unreached("no request"))?;
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, self.authorization.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ENCODING, HeaderValue::from_static("base64"));
        let response = self.client.request(request).await.map_err(|error| {
            if error.is_connect() {
                StoreError::unreached(&error)
            } else {
                StoreError::Broken("the connection broke".to_owned())
            }
        })?;
        let status = response.status();
        // It knows how long, and nobody waits that long.
        let is_busy = response.headers().contains_key(RETRY_AFTER);
        // Read to its end, or the connection could not be used again.
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| {
            if error.is::<LengthLimitError>() {
                StoreError::TooLarge
            } else {
                StoreError::Broken("the answer broke off".to_owned())
            }
        })?;
        let body = body.to_bytes();
        match status {
            StatusCode::OK => Ok(body),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(StoreError::Access(format!("status {}", status.as_u16())))
            }
            StatusCode::PAYLOAD_TOO_LARGE => Err(StoreError::TooLarge),
            StatusCode::BAD_REQUEST | StatusCode::METHOD_NOT_ALLOWED => {
                let json = serde_json::from_slice::<Json>(&body);
                let text = json.as_ref().ok().and_then(|json| json.get("error")?.as_str());
                Err(text.map_or_else(|| broken(status), StoreError::of_server))
            }
            _ if is_busy => Err(StoreError::Busy(status.as_u16())),
            _ => Err(broken(status)),
        }
    }
}

fn broken(status: StatusCode) -> StoreError {
    StoreError::Broken(format!("status {}", status.as_u16()))
}

/// About what a command takes as it is written.
fn room(command: &Cmd) -> usize {
    command.args_iter().map(|arg| if let Arg::Simple(text) = arg { text.len() + 8 } else { 0 }).sum()
}

/// Writes a command as an array of strings. JSON carries text and nothing else.
fn write(command: &Cmd, body: &mut Vec<u8>) -> Result<(), StoreError> {
    body.push(b'[');
    for (at, arg) in command.args_iter().enumerate() {
        let Arg::Simple(arg) = arg else { return Err(StoreError::Refused("a cursor".to_owned())) };
        let text = std::str::from_utf8(arg).map_err(|_| StoreError::Refused("bytes that are no text".to_owned()))?;
        if at > 0 {
            body.push(b',');
        }
        json::append(body, text);
    }
    body.push(b']');
    Ok(())
}

#[async_trait]
impl Transport for Rest {
    async fn send(&self, command: &Cmd) -> Result<Value, StoreError> {
        let mut body = Vec::with_capacity(room(command));
        write(command, &mut body)?;
        let answer = self.post(&self.command, body).await?;
        read_one(&answer)
    }

    async fn send_all(&self, commands: &[Cmd]) -> Result<Vec<Result<Value, StoreError>>, StoreError> {
        let mut body = Vec::with_capacity(commands.iter().map(room).sum());
        body.push(b'[');
        for (at, command) in commands.iter().enumerate() {
            if at > 0 {
                body.push(b',');
            }
            write(command, &mut body)?;
        }
        body.push(b']');
        let answer = self.post(&self.pipeline, body).await?;
        read_all(&answer, commands.len())
    }

    async fn nodes(&self) -> Result<Vec<Node>, StoreError> {
        Ok(vec![Node::Only])
    }

    async fn send_to(&self, _: &Node, command: &Cmd) -> Result<Value, StoreError> {
        self.send(command).await
    }

    fn dialect(&self) -> Dialect {
        Dialect::Upstash
    }
}
