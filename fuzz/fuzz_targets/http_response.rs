//! Any bytes as an HTTP answer to the healthcheck: the parsers end, keep little, and find the same
//! whether the bytes come at once or in pieces.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use healthcheck::http::body::BodyEnd;
use healthcheck::http::head::{Head, HeadParser, Malformed};
use healthcheck::url::Url;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // The first byte says how long the pieces are.
    let Some((&size, answer)) = data.split_first() else { return };
    let whole = HeadParser::default().push(answer);
    let in_pieces = head(answer, usize::from(size).max(1));
    assert_eq!(whole, in_pieces);
    let Ok(Some((head, used))) = whole else { return };
    assert!(used <= answer.len());
    assert!(head.status <= 999);
    body(&head, &answer[used..], usize::from(size).max(1));
    redirect(&head);
});

fn head(answer: &[u8], size: usize) -> Result<Option<(Head, usize)>, Malformed> {
    let mut parser = HeadParser::default();
    for (index, piece) in answer.chunks(size).enumerate() {
        if let Some((head, used)) = parser.push(piece)? {
            return Ok(Some((head, index * size + used)));
        }
    }
    Ok(None)
}

fn body(head: &Head, bytes: &[u8], size: usize) {
    let mut at_once = BodyEnd::new(head.framing);
    at_once.push(bytes);
    let mut in_pieces = BodyEnd::new(head.framing);
    for piece in bytes.chunks(size) {
        in_pieces.push(piece);
    }
    assert_eq!(at_once.is_over(), in_pieces.is_over());
}

/// Where a redirect leads is asked for with a request line of one line.
fn redirect(head: &Head) {
    let here = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 5));
    let Some(base) = Url::new(here, "8080", b"/a/b?c") else { unreachable!("a plain URL") };
    if let Ok(url) = base.join(&head.location) {
        assert_eq!(url.target.first(), Some(&b'/'));
        assert!(!url.target.iter().any(u8::is_ascii_control));
        assert_eq!(url.address, here);
    }
}
