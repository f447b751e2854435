//! Requests whose length is given in two ways, `Content-Length` and `Transfer-Encoding` (RFC 9112, 6.3): what request
//! smuggling is made of. hyper takes the length away before anybody sees it, so the bytes of HTTP/1 are looked over as they
//! come, from one head to the next. What is odd in another way ends the looking: hyper refuses it, or closes behind it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use memchr::memchr;

/// As much of a line as must be known: a name, and a number behind some space.
const LINE_BYTES: usize = 64;

/// No request so far.
const NONE: u64 = u64::MAX;

/// Looks over what a connection reads.
#[derive(Debug)]
pub(in crate::edge) struct Framing {
    at: At,
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    head: Head,
    heads: u64,
    requests: Arc<Requests>,
}

/// The requests of a connection, in their order.
#[derive(Debug)]
pub(in crate::edge) struct Requests {
    /// The number of the first one with two framings.
    two_framings: AtomicU64,
    served: AtomicU64,
}

/// What a head says of its body.
#[derive(Debug, Clone, Copy, Default)]
struct Head {
    length: Option<u64>,
    is_chunked: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Before a request line.
    Start,
    Head,
    /// In so many bytes of content.
    Content(u64),
    ChunkSize,
    Chunk(u64),
    /// Behind a chunk, where a line ends.
    ChunkEnd,
    Trailers,
    /// At something that is not followed further.
    Lost,
}

impl Framing {
    pub(in crate::edge) fn new() -> (Self, Arc<Requests>) {
        let requests = Arc::new(Requests { two_framings: AtomicU64::new(NONE), served: AtomicU64::new(0) });
        let framing =
            Self { at: At::Start, line: Vec::new(), head: Head::default(), heads: 0, requests: Arc::clone(&requests) };
        (framing, requests)
    }

    /// These bytes came.
    pub(super) fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = match self.at {
                At::Lost => return,
                At::Content(left) => self.skip(bytes, left, At::Content, At::Start),
                At::Chunk(left) => self.skip(bytes, left, At::Chunk, At::ChunkEnd),
                _ => self.line(bytes),
            };
        }
    }

    fn skip<'b>(&mut self, bytes: &'b [u8], left: u64, within: fn(u64) -> At, behind: At) -> &'b [u8] {
        let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let left = left - here as u64;
        self.at = if left == 0 { behind } else { within(left) };
        &bytes[here..]
    }

    /// Takes a line, or the part of it that is there.
    fn line<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let end = memchr(b'\n', bytes);
        let part = &bytes[..end.unwrap_or(bytes.len())];
        let room = LINE_BYTES - self.line.len();
        let kept = &part[..part.len().min(room)];
        let Some(end) = end else {
            self.line.extend_from_slice(kept);
            return &[];
        };
        self.at = if self.line.is_empty() {
            self.behind(kept)
        } else {
            let mut line = std::mem::take(&mut self.line);
            line.extend_from_slice(kept);
            self.behind(&line)
        };
        &bytes[end + 1..]
    }

    /// What comes behind a line.
    fn behind(&mut self, line: &[u8]) -> At {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match self.at {
            At::Start if line.is_empty() => At::Start,
            // The preface of HTTP/2 (RFC 9113, 3.4).
            At::Start if line.starts_with(b"PRI * HTTP/2") => At::Lost,
            At::Start => {
                self.head = Head::default();
                At::Head
            }
            At::Head if line.is_empty() => self.behind_head(),
            At::Head => self.field(line),
            At::ChunkSize => match chunk_size(line) {
                Some(0) => At::Trailers,
                Some(size) => At::Chunk(size),
                None => At::Lost,
            },
            At::ChunkEnd if line.is_empty() => At::ChunkSize,
            At::Trailers if line.is_empty() => At::Start,
            At::Trailers => At::Trailers,
            At::ChunkEnd | At::Content(_) | At::Chunk(_) | At::Lost => At::Lost,
        }
    }

    fn field(&mut self, line: &[u8]) -> At {
        let Some(colon) = memchr(b':', line) else { return At::Head };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.head.is_chunked = true;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            // What cannot be read here is no length at all, or stands too far behind its name.
            self.head.length = Some(decimal(value).unwrap_or(u64::MAX));
        }
        At::Head
    }

    fn behind_head(&mut self) -> At {
        let number = self.heads;
        self.heads += 1;
        match (self.head.is_chunked, self.head.length) {
            (true, Some(_)) => {
                self.requests.two_framings.store(number, Ordering::Release);
                At::Lost
            }
            (true, None) => At::ChunkSize,
            (false, None | Some(0)) => At::Start,
            (false, Some(length)) => At::Content(length),
        }
    }
}

impl Requests {
    /// The next request of HTTP/1 has come. Whether its length is given in two ways.
    pub(in crate::edge) fn next_has_two_framings(&self) -> bool {
        self.served.fetch_add(1, Ordering::Relaxed) >= self.two_framings.load(Ordering::Acquire)
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    u64::from_str_radix(std::str::from_utf8(&line[..digits]).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLAIN: &str = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
    const SIZED: &str =
        "POST / HTTP/1.1\r\nContent-Length: 44\r\n\r\nTransfer-Encoding: x\r\nContent-Length: 0\r\n\r\n\r";
    const CHUNKED: &str = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n\
        1A;x=y\r\n\r\n\r\nContent-Length: 5\r\n\r\n \r\n0\r\nContent-Length: 9\r\n\r\n";
    const BOTH: &str = "POST / HTTP/1.1\r\nCONTENT-LENGTH:5\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    const BOTH_TURNED: &str = "\r\nPOST / HTTP/1.1\nTransfer-Encoding: chunked\nContent-Length: +5\n\n";

    /// The numbers of the requests that are told to have two framings, of `count`.
    fn refused(pieces: &[&[u8]], count: usize) -> Vec<usize> {
        let (mut framing, requests) = Framing::new();
        pieces.iter().for_each(|piece| framing.read(piece));
        (0..count).filter(|_| requests.next_has_two_framings()).collect()
    }

    #[test]
    fn a_request_with_both_is_told_wherever_it_stands() {
        for (stream, number) in [
            (vec![BOTH], 0),
            (vec![BOTH_TURNED], 0),
            (vec![PLAIN, BOTH], 1),
            (vec![SIZED, BOTH], 1),
            (vec![CHUNKED, BOTH_TURNED], 1),
            (vec![CHUNKED, SIZED, PLAIN, BOTH], 3),
        ] {
            assert_eq!(refused(&[stream.concat().as_bytes()], number + 1), [number], "{stream:?}");
        }
    }

    #[test]
    fn content_that_looks_like_both_is_not() {
        let stream = [SIZED, CHUNKED, PLAIN, SIZED, CHUNKED].concat();
        assert!(refused(&[stream.as_bytes()], 5).is_empty());
    }

    #[test]
    fn http_2_is_left_alone() {
        let stream = ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", BOTH].concat();
        assert!(refused(&[stream.as_bytes()], 1).is_empty());
    }

    proptest! {
        #[test]
        fn how_a_stream_is_cut_into_pieces_changes_nothing(
            order in prop::collection::vec(0..3usize, 0..5),
            cuts in prop::collection::vec(1..30usize, 1..200),
        ) {
            let mut stream: Vec<&str> = order.iter().map(|which| [PLAIN, SIZED, CHUNKED][*which]).collect();
            stream.push(BOTH);
            let text = stream.concat();
            let (mut rest, mut pieces) = (text.as_bytes(), Vec::new());
            for cut in cuts {
                let (piece, behind) = rest.split_at(cut.min(rest.len()));
                pieces.push(piece);
                rest = behind;
            }
            pieces.push(rest);
            prop_assert_eq!(refused(&pieces, stream.len()), [stream.len() - 1]);
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            refused(&[&bytes], 1);
        }

        #[test]
        fn one_request_of_any_fields_but_both_is_never_refused(
            fields in prop::collection::vec("[A-Za-z-]{1,20}: ?[ -~]{0,80}", 0..8),
        ) {
            let both = ["content-length:", "transfer-encoding:"]
                .iter()
                .all(|name| fields.iter().any(|field| field.to_ascii_lowercase().starts_with(name)));
            prop_assume!(!both);
            let head = format!("GET / HTTP/1.1\r\n{}\r\n\r\n", fields.join("\r\n"));
            prop_assert!(refused(&[head.as_bytes()], 1).is_empty());
        }
    }
}
