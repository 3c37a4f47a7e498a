//! A connection to Redis that leaves answers as they came: in order, and error texts to the letter.

use std::io;

use futures_util::{FutureExt as _, future::BoxFuture};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream},
    net::TcpStream,
};

/// A command and its arguments.
pub(super) type Words = Vec<Vec<u8>>;

#[derive(Clone, Debug)]
pub(super) enum Answer {
    Text(Vec<u8>),
    Integer(i64),
    Nil,
    Error(String),
    Array(Vec<Answer>),
}

pub(super) struct Connection(BufStream<TcpStream>);

impl Connection {
    pub(super) async fn open(port: u16, password: Option<&str>) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let mut connection = Self(BufStream::new(stream));
        if let Some(password) = password {
            connection.call(&[b"AUTH", password.as_bytes()]).await?;
        }
        Ok(connection)
    }

    pub(super) async fn call(&mut self, words: &[impl AsRef<[u8]>]) -> io::Result<Answer> {
        self.0.write_all(format!("*{}\r\n", words.len()).as_bytes()).await?;
        for word in words.iter().map(AsRef::as_ref) {
            self.0.write_all(format!("${}\r\n", word.len()).as_bytes()).await?;
            self.0.write_all(word).await?;
            self.0.write_all(b"\r\n").await?;
        }
        self.0.flush().await?;
        self.read().await
    }

    fn read(&mut self) -> BoxFuture<'_, io::Result<Answer>> {
        async move {
            let mut line = String::new();
            self.0.read_line(&mut line).await?;
            let line = line.strip_suffix("\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
            let (kind, rest) = line.split_at(1);
            let number = || rest.parse::<i64>().map_err(io::Error::other);
            Ok(match kind {
                "+" => Answer::Text(rest.into()),
                "-" => Answer::Error(rest.into()),
                ":" => Answer::Integer(number()?),
                "$" | "*" if rest == "-1" => Answer::Nil,
                "$" => {
                    let mut bytes = vec![0; usize::try_from(number()?).unwrap() + 2];
                    self.0.read_exact(&mut bytes).await?;
                    bytes.truncate(bytes.len() - 2);
                    Answer::Text(bytes)
                }
                "*" => {
                    let mut items = Vec::new();
                    for _ in 0..number()? {
                        items.push(self.read().await?);
                    }
                    Answer::Array(items)
                }
                _ => return Err(io::Error::other(format!("not RESP2: {line}"))),
            })
        }
        .boxed()
    }
}
