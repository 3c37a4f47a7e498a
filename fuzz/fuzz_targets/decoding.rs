//! What holds of every stream of every vendor.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use llm_gateway::{
    generate::ToolPiece,
    providers::{Delta, Dialect, Framing, ProviderError, deltas},
};
use tokio::runtime::Runtime;

thread_local! {
    static RUNTIME: Runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
}

/// Decodes `body` whole and in pieces: it must come to the same, and end in one finish or one error.
pub fn check(dialect: &impl Dialect, framing: Framing, body: &[u8]) {
    let decode = |piece: usize| -> Vec<Result<Delta, ProviderError>> {
        let pieces: Vec<_> =
            body.chunks(piece).map(|piece| Ok::<_, Infallible>(Bytes::copy_from_slice(piece))).collect();
        let decoded = deltas(dialect.decoder(), framing, stream::iter(pieces)).collect();
        let decoded: Vec<_> = RUNTIME.with(|runtime| runtime.block_on(decoded));
        decoded.into_iter().map(|delta| delta.map(without_made_up_id)).collect()
    };
    let whole = decode(body.len().max(1));
    assert_eq!(decode(1), whole);
    assert_eq!(decode(body.len() % 13 + 2), whole);
    let (last, before) = whole.split_last().expect("an end");
    assert!(matches!(last, Ok(Delta::Finish(_)) | Err(_)));
    assert!(before.iter().all(|delta| matches!(delta, Ok(Delta::Text(_) | Delta::Tool(_)))));
    let mut begun = 0;
    for delta in before {
        match delta {
            Ok(Delta::Text(text)) => assert!(!text.is_empty() && std::str::from_utf8(text).is_ok()),
            Ok(Delta::Tool(ToolPiece::Begin { name, .. })) => {
                assert!(!name.is_empty());
                begun += 1;
            }
            Ok(Delta::Tool(ToolPiece::Arguments { of, text })) => {
                assert!(*of < begun && !text.is_empty() && std::str::from_utf8(text).is_ok());
            }
            Ok(Delta::Alive | Delta::Finish(_)) | Err(_) => {}
        }
    }
    // The same bytes as a reply that is no stream, and as one that says what went wrong.
    drop(dialect.whole(body));
    drop(dialect.fault(axum::http::StatusCode::TOO_MANY_REQUESTS, body));
}

/// A call that came without an id gets another one each time.
fn without_made_up_id(delta: Delta) -> Delta {
    match delta {
        Delta::Tool(ToolPiece::Begin { id, name, signature }) if id.starts_with("call_") && id.len() == 37 => {
            Delta::Tool(ToolPiece::Begin { id: String::new(), name, signature })
        }
        other => other,
    }
}
