//! Values as they travel: large ones compressed.
//!
//! A packed value is one byte that says so, and zlib (RFC 1950) in base64, because not every transport carries bytes that are
//! no text. All else is a value as it is.

use std::io::{Read as _, Write as _};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use flate2::{Compression, read::ZlibDecoder, write::ZlibEncoder};
use tokio::task::{spawn_blocking, yield_now};

/// What a packed value begins with; a value that begins so itself is always packed.
const PACKED: u8 = b'~';
/// From here on it is worth it: an answer of this length becomes less than half, base64 included.
const WORTH_BYTES: usize = 4 << 10;
/// From here on it takes more than a millisecond, and others want the thread.
const LONG_BYTES: usize = 64 << 10;
/// The most that is unpacked of a value, so that nobody who writes to the store can fill the memory.
const MAX_UNPACKED_BYTES: usize = 16 << 20;

/// Whether `value` would be taken for a packed one, and so has to be packed itself.
pub(super) fn is_marked(value: &Bytes) -> bool {
    value.first() == Some(&PACKED)
}

/// `value` as it is sent.
pub(super) async fn pack(value: Bytes) -> Bytes {
    let is_marked = is_marked(&value);
    if value.len() > MAX_UNPACKED_BYTES || (value.len() < WORTH_BYTES && !is_marked) {
        return value;
    }
    // Whoever waits only for the beginning of what is done with it need not wait for this.
    yield_now().await;
    let packed = aside(value.len(), value.clone(), pack_now).await;
    packed.filter(|packed| is_marked || packed.len() < value.len()).unwrap_or(value)
}

/// The value that was sent as `packed`. What cannot be unpacked is given as it is: its reader will see that it is none of its
/// own.
pub(super) async fn unpack(packed: Bytes) -> Bytes {
    if !is_marked(&packed) {
        return packed;
    }
    aside(packed.len(), packed.clone(), unpack_now).await.unwrap_or(packed)
}

/// Does it here, or where it may take its time.
async fn aside(length: usize, value: Bytes, work: fn(&[u8]) -> Option<Bytes>) -> Option<Bytes> {
    if length < LONG_BYTES {
        return work(&value);
    }
    spawn_blocking(move || work(&value)).await.ok().flatten()
}

fn pack_now(value: &[u8]) -> Option<Bytes> {
    let mut encoder = ZlibEncoder::new(Vec::with_capacity(value.len() / 4), Compression::fast());
    encoder.write_all(value).ok()?;
    let compressed = encoder.finish().ok()?;
    let mut packed = String::with_capacity(compressed.len() / 3 * 4 + 8);
    packed.push(char::from(PACKED));
    BASE64_STANDARD.encode_string(compressed, &mut packed);
    Some(packed.into())
}

fn unpack_now(packed: &[u8]) -> Option<Bytes> {
    let compressed = BASE64_STANDARD.decode(packed.get(1..)?).ok()?;
    let mut value = Vec::with_capacity(compressed.len() * 3);
    let limit = MAX_UNPACKED_BYTES as u64 + 1;
    ZlibDecoder::new(&*compressed).take(limit).read_to_end(&mut value).ok()?;
    (value.len() <= MAX_UNPACKED_BYTES).then(|| value.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn large_values_travel_small_and_come_back_whole() {
        let code = "export function Button() { return <button className=\"primary\">Save</button>; }\n";
        for (value, is_packed) in [
            (String::new(), false),
            ("~".to_owned(), true),
            ("~ small, and marked like a packed one".to_owned(), true),
            (code.repeat(10), false),
            (code.repeat(100), true),
            (code.repeat(20_000), true),
        ] {
            let value = Bytes::from(value);
            let packed = pack(value.clone()).await;
            assert_eq!(packed.first() == Some(&PACKED), is_packed, "{}", value.len());
            assert!(value.len() < WORTH_BYTES || packed.len() * 2 < value.len());
            assert!(packed.is_ascii());
            assert_eq!(unpack(packed).await, value);
        }
    }

    #[tokio::test]
    async fn what_is_damaged_or_too_much_is_left_as_it_is() {
        let packed = pack("x".repeat(10_000).into()).await;
        let mut wrong = packed.to_vec();
        let last = wrong.len() - 6;
        wrong[last] = if wrong[last] == b'A' { b'B' } else { b'A' };
        let bomb = pack_now(&vec![b'x'; MAX_UNPACKED_BYTES + 1]).unwrap();
        for damaged in [packed.slice(..packed.len() - 4), wrong.into(), bomb, Bytes::from_static(b"~not base64")] {
            assert_eq!(unpack(damaged.clone()).await, damaged);
        }
    }
}
