//! What a request gets, in the platform's words (platform, section 2.1).

use std::convert::Infallible;
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use hyper::header::{
    ACCEPT_RANGES, ALLOW, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderValue,
    LAST_MODIFIED, RANGE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::response::Builder;
use hyper::{Method, Request, Response, StatusCode};
use lifecycle::report::{system_words, warn};
use tokio::task::spawn_blocking;

use crate::body::Content;
use crate::conditions::{Validators, Verdict};
use crate::directory::{Directory, Found, Refusal};
use crate::ranges::{Selection, select};
use crate::tag::Tags;

/// What the names of files are appended to.
pub(crate) const PREFIX: &str = "/v1/static/";
/// Content types by the end of the name; everything else is bytes.
const TYPES: [(&str, &str); 6] = [
    (".tgz", "application/gzip"),
    (".gz", "application/gzip"),
    (".tar", "application/x-tar"),
    (".zip", "application/zip"),
    (".json", "application/json"),
    (".txt", "text/plain; charset=utf-8"),
];

/// What is served, and what is known of it.
#[derive(Debug)]
pub(crate) struct Site {
    directory: Arc<Directory>,
    tags: Tags,
}

impl Site {
    pub(crate) fn new(directory: Directory) -> Self {
        Self { directory: Arc::new(directory), tags: Tags::new() }
    }
}

/// Answers one request.
pub(crate) async fn answer<B>(
    site: &Site,
    request: &Request<B>,
) -> Result<Response<Content>, Infallible> {
    Ok(match *request.method() {
        Method::GET | Method::HEAD => match request.uri().path().strip_prefix(PREFIX) {
            Some(name) => file(site, request, name).await,
            None => text(StatusCode::NOT_FOUND, "404 page not found".to_owned()),
        },
        _ => {
            let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed".to_owned());
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            refused
        }
    })
}

async fn file<B>(site: &Site, request: &Request<B>, name: &str) -> Response<Content> {
    let (directory, path) = (Arc::clone(&site.directory), name.to_owned());
    let opened = spawn_blocking(move || directory.open(&path)).await;
    let Found { file, metadata } = match opened {
        Ok(Ok(found)) => found,
        Ok(Err(refusal)) => return refused(&refusal, name),
        Err(ended) => return refused(&Refusal::System(std::io::Error::other(ended)), name),
    };
    let file = Arc::new(file);
    let tag = site.tags.of(&file, &metadata).await;
    let (tag, modified) = match tag.and_then(|tag| Ok((tag, metadata.modified()?))) {
        Ok(validators) => validators,
        Err(error) => return refused(&Refusal::System(error), name),
    };
    let validators = Validators::new(tag, modified);
    let length = metadata.len();
    let selection = match validators.judge(request.headers()) {
        Verdict::Proceed => selection(request, &validators, length),
        Verdict::NotModified => return bare(StatusCode::NOT_MODIFIED, &validators),
        Verdict::Failed => return bare(StatusCode::PRECONDITION_FAILED, &validators),
    };
    let head = head(&validators).header(CONTENT_TYPE, content_type(name));
    match selection {
        Selection::Whole => send(head, request, file, 0..length),
        Selection::Part(part) => {
            let range = format!("bytes {}-{}/{length}", part.start, part.end - 1);
            let head = head.status(StatusCode::PARTIAL_CONTENT).header(CONTENT_RANGE, range);
            send(head, request, file, part)
        }
        Selection::Unsatisfiable => {
            let mut refused = text(
                StatusCode::RANGE_NOT_SATISFIABLE,
                "invalid range: failed to overlap".to_owned(),
            );
            if let Ok(range) = format!("bytes */{length}").parse() {
                refused.headers_mut().insert(CONTENT_RANGE, range);
            }
            refused
        }
    }
}

/// Ranges are for GET, and for the file that the client knows.
fn selection<B>(request: &Request<B>, validators: &Validators, length: u64) -> Selection {
    let headers = request.headers();
    if *request.method() != Method::GET || !validators.allows_range(headers, SystemTime::now()) {
        return Selection::Whole;
    }
    select(headers.get(RANGE).and_then(|range| range.to_str().ok()), length)
}

fn send<B>(
    head: Builder,
    request: &Request<B>,
    file: Arc<File>,
    part: Range<u64>,
) -> Response<Content> {
    let head = head.header(CONTENT_LENGTH, part.end - part.start);
    let content = match *request.method() {
        Method::HEAD => Content::Text(Bytes::new()),
        _ => Content::part(file, part),
    };
    finished(head.body(content))
}

fn bare(status: StatusCode, validators: &Validators) -> Response<Content> {
    finished(head(validators).status(status).body(Content::Text(Bytes::new())))
}

fn head(validators: &Validators) -> Builder {
    Response::builder()
        .header(ETAG, &validators.tag)
        .header(LAST_MODIFIED, http_date(validators.modified))
        .header(ACCEPT_RANGES, "bytes")
}

/// HTTP dates end with the year 9999; a file from later has one all the same.
fn http_date(time: SystemTime) -> String {
    const LAST: Duration = Duration::from_secs(253_402_300_799);
    httpdate::fmt_http_date(time.min(SystemTime::UNIX_EPOCH + LAST))
}

fn content_type(name: &str) -> &'static str {
    let known = TYPES.iter().find(|(end, _)| name.ends_with(end));
    known.map_or("application/octet-stream", |(_, content_type)| content_type)
}

fn refused(refusal: &Refusal, name: &str) -> Response<Content> {
    let name = name.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    match refusal {
        Refusal::BadPath => text(StatusCode::BAD_REQUEST, "invalid URL path".to_owned()),
        Refusal::NotFound => text(StatusCode::NOT_FOUND, format!("File not found: {name}")),
        Refusal::IsDirectory => {
            text(StatusCode::UNAUTHORIZED, "Unauthorized to list the directory".to_owned())
        }
        Refusal::Forbidden => {
            let sentence = format!("The file server is not allowed to read the file: {name}");
            text(StatusCode::FORBIDDEN, sentence)
        }
        Refusal::System(error) => {
            let words = system_words(error);
            warn(&format!("cannot read {name}: {words}"));
            let sentence = format!("The file server cannot read the file: {name}: {words}");
            text(StatusCode::INTERNAL_SERVER_ERROR, sentence)
        }
    }
}

fn text(status: StatusCode, sentence: String) -> Response<Content> {
    let answer = Response::builder()
        .status(status)
        .header(CONTENT_TYPE, "text/plain; charset=utf-8")
        .header(X_CONTENT_TYPE_OPTIONS, "nosniff");
    finished(answer.body(Content::Text((sentence + "\n").into())))
}

/// All headers above are valid, so this is always the answer; the type system does not know.
fn finished(answer: hyper::http::Result<Response<Content>>) -> Response<Content> {
    answer.unwrap_or_else(|_| {
        let mut failed = Response::new(Content::Text(Bytes::new()));
        *failed.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        failed
    })
}
