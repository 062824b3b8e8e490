//! Speaks the protocol to [`serve`], in memory, about directories of its own.

mod attributes;
mod directories;
mod extensions;
mod files;
mod protocol;

use std::fmt::Debug;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::attributes::{Attributes, Times};
use super::requests::open_flags::{CREATE, READ, WRITE};
use super::serve;
use super::wire::Fields;

const INIT: u8 = 1;
const OPEN: u8 = 3;
const CLOSE: u8 = 4;
const READ_FILE: u8 = 5;
const WRITE_FILE: u8 = 6;
const LSTAT: u8 = 7;
const FSTAT: u8 = 8;
const SETSTAT: u8 = 9;
const FSETSTAT: u8 = 10;
const OPENDIR: u8 = 11;
const READDIR: u8 = 12;
const REMOVE: u8 = 13;
const MKDIR: u8 = 14;
const RMDIR: u8 = 15;
const REALPATH: u8 = 16;
const STAT: u8 = 17;
const RENAME: u8 = 18;
const READLINK: u8 = 19;
const SYMLINK: u8 = 20;

const NOTHING: Attributes = Attributes { size: None, owner: None, permissions: None, times: None };

/// A request, being put together: its type and its fields.
struct Ask {
    kind: u8,
    fields: Vec<u8>,
}

fn ask(kind: u8) -> Ask {
    Ask { kind, fields: Vec::new() }
}

/// A request about a path.
fn ask_of(kind: u8, path: impl AsRef<Path>) -> Ask {
    ask(kind).path(path)
}

fn extended(name: &str) -> Ask {
    ask(200).string(name)
}

fn open(path: impl AsRef<Path>, flags: u32) -> Ask {
    ask_of(OPEN, path).number(flags).attributes(&NOTHING)
}

fn create(path: impl AsRef<Path>) -> Ask {
    open(path, READ | WRITE | CREATE)
}

fn read(handle: &str, offset: u64, length: u32) -> Ask {
    ask(READ_FILE).string(handle).long(offset).number(length)
}

fn write(handle: &str, offset: u64, data: impl AsRef<[u8]>) -> Ask {
    ask(WRITE_FILE).string(handle).long(offset).string(data)
}

impl Ask {
    fn number(mut self, number: u32) -> Self {
        self.fields.extend(number.to_be_bytes());
        self
    }

    fn long(mut self, number: u64) -> Self {
        self.fields.extend(number.to_be_bytes());
        self
    }

    fn string(self, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        let mut longer = self.number(u32::try_from(bytes.len()).unwrap());
        longer.fields.extend(bytes);
        longer
    }

    fn path(self, path: impl AsRef<Path>) -> Self {
        self.string(path.as_ref().as_os_str().as_bytes())
    }

    fn attributes(mut self, attributes: &Attributes) -> Self {
        let mut flags = 0;
        let mut fields = ask(0);
        if let Some(size) = attributes.size {
            flags |= 1;
            fields = fields.long(size);
        }
        if let Some((user, group)) = attributes.owner {
            flags |= 2;
            fields = fields.number(user).number(group);
        }
        if let Some(permissions) = attributes.permissions {
            flags |= 4;
            fields = fields.number(permissions);
        }
        if let Some(times) = attributes.times {
            flags |= 8;
            fields = fields.number(times.accessed).number(times.modified);
        }
        self = self.number(flags);
        self.fields.extend(fields.fields);
        self
    }

    fn packet(&self, id: u32) -> Vec<u8> {
        let length = u32::try_from(5 + self.fields.len()).unwrap();
        [&length.to_be_bytes()[..], &[self.kind], &id.to_be_bytes(), &self.fields].concat()
    }
}

#[derive(Debug, PartialEq)]
enum Answer {
    Version(u32, Vec<(String, String)>),
    Status(u32, String),
    Handle(String),
    Data(Vec<u8>),
    Names(Vec<Name>),
    Attributes(Attributes),
    Extended(Vec<u8>),
}

#[derive(Debug, PartialEq)]
struct Name {
    file: Vec<u8>,
    line: String,
    attributes: Attributes,
}

const DONE: Answer = Answer::Status(0, String::new());

fn status(code: u32, text: impl Into<String>) -> Answer {
    Answer::Status(code, text.into())
}

fn end() -> Answer {
    status(1, "EOF")
}

fn handle(handle: &str) -> Answer {
    Answer::Handle(handle.to_owned())
}

fn data(bytes: impl AsRef<[u8]>) -> Answer {
    Answer::Data(bytes.as_ref().to_owned())
}

/// A NAME answer as REALPATH has it.
fn path(path: impl AsRef<Path>) -> Answer {
    let name = path.as_ref().as_os_str().as_bytes().to_owned();
    Answer::Names(vec![Name {
        line: String::from_utf8_lossy(&name).into_owned(),
        file: name,
        attributes: NOTHING,
    }])
}

/// All packets of `asks`, with ids from 1.
fn packets(asks: impl IntoIterator<Item = Ask>) -> Vec<u8> {
    asks.into_iter().zip(1..).flat_map(|(ask, id)| ask.packet(id)).collect()
}

/// The answers to `asks`, which come in their order.
fn answers<const N: usize>(asks: [Ask; N]) -> [Answer; N] {
    let mut output = Vec::new();
    serve(&mut packets(asks).as_slice(), &mut output).unwrap();
    parse(&output, 1).try_into().unwrap()
}

/// The answer to the last of `asks`.
fn last<const N: usize>(asks: [Ask; N]) -> Answer {
    answers(asks).into_iter().next_back().unwrap()
}

/// What the last of `asks` tells about a file.
fn attributes_by<const N: usize>(asks: [Ask; N]) -> Attributes {
    match last(asks) {
        Answer::Attributes(attributes) => attributes,
        other => panic!("{other:?} instead of attributes"),
    }
}

/// Answers with ids from `first_id`.
fn parse(output: &[u8], first_id: u32) -> Vec<Answer> {
    let mut output = Fields(output);
    let mut answers = Vec::new();
    for id in first_id.. {
        if output.0.is_empty() {
            break;
        }
        answers.push(parse_one(output.string().unwrap(), id));
    }
    answers
}

fn parse_one(packet: &[u8], expected_id: u32) -> Answer {
    let mut fields = Fields(packet);
    let kind = fields.byte().unwrap();
    let id = fields.number().unwrap();
    let answer = if kind == 2 {
        let mut extensions = Vec::new();
        while !fields.0.is_empty() {
            extensions.push((text(&mut fields), text(&mut fields)));
        }
        return Answer::Version(id, extensions);
    } else {
        assert_eq!(id, expected_id);
        match kind {
            101 => {
                let answer = Answer::Status(fields.number().unwrap(), text(&mut fields));
                assert_eq!(text(&mut fields), "", "the language");
                answer
            }
            102 => Answer::Handle(text(&mut fields)),
            103 => data(fields.string().unwrap()),
            104 => {
                let count = fields.number().unwrap();
                Answer::Names((0..count).map(|_| name(&mut fields)).collect())
            }
            105 => Answer::Attributes(fields.attributes().unwrap()),
            201 => Answer::Extended(std::mem::take(&mut fields.0).to_owned()),
            _ => panic!("answer of type {kind}"),
        }
    };
    assert!(fields.0.is_empty(), "bytes behind {answer:?}");
    answer
}

fn text(fields: &mut Fields<'_>) -> String {
    String::from_utf8(fields.string().unwrap().to_owned()).unwrap()
}

fn name(fields: &mut Fields<'_>) -> Name {
    Name {
        file: fields.string().unwrap().to_owned(),
        line: String::from_utf8_lossy(fields.string().unwrap()).into_owned(),
        attributes: fields.attributes().unwrap(),
    }
}

/// A directory of one's own, and a file of `content` in it.
fn with_file(content: impl AsRef<[u8]>) -> (tempfile::TempDir, std::path::PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, content).unwrap();
    (directory, file)
}

/// That `answer` is a refusal with this code, and this text behind the names.
#[track_caller]
fn assert_refused(answer: &Answer, code: u32, words: &str) {
    match answer {
        Answer::Status(found, text) if *found == code && text.ends_with(words) => {}
        other => panic!("{other:?} instead of {code} {words}"),
    }
}
