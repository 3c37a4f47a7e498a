//! Many who ask, so many of them at once: each question once, and streams that stay open.

use std::ops::Range;

use futures_util::{StreamExt as _, stream};
use reqwest::{Client, RequestBuilder, Response};
use tokio::runtime::{self, Runtime};

/// Connections that ask at once, and ask again.
const CONNECTIONS: usize = 32;

/// A client, and the thread that drives it.
pub struct Crowd {
    runtime: Runtime,
    client: Client,
}

impl Crowd {
    pub fn new() -> Self {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { runtime, client: Client::builder().no_proxy().build().unwrap() }
    }

    /// Sends a request for each of these numbers, and reads what is answered.
    pub fn ask(&self, numbers: Range<u64>, request: impl Fn(&Client, u64) -> RequestBuilder) {
        let asking = stream::iter(numbers).for_each_concurrent(CONNECTIONS, async |number| {
            let reply = request(&self.client, number).send().await.unwrap();
            assert_eq!(reply.status(), 200);
            reply.bytes().await.unwrap();
        });
        self.runtime.block_on(asking);
    }

    /// The same, up to when `beginning` has come of each reply, and no further.
    pub fn begin(
        &self,
        numbers: Range<u64>,
        beginning: &[u8],
        request: impl Fn(&Client, u64) -> RequestBuilder,
    ) -> Vec<Response> {
        let beginning = stream::iter(numbers).map(async |number| {
            let mut reply = request(&self.client, number).send().await.unwrap();
            assert_eq!(reply.status(), 200);
            let mut came = Vec::new();
            while !came.windows(beginning.len()).any(|window| window == beginning) {
                came.extend_from_slice(&reply.chunk().await.unwrap().expect("it has not ended"));
            }
            reply
        });
        self.runtime.block_on(beginning.buffer_unordered(CONNECTIONS).collect())
    }
}
