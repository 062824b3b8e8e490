//! Packets: versions, order, sizes, and what is wrong with them.

use std::cell::RefCell;
use std::io::{self, BufRead, ErrorKind, Read, Write};

use super::*;
use crate::blocking::Source;
use crate::sftp::requests::Request;

#[test]
fn any_version_is_answered_with_3_and_the_extensions_and_so_is_a_second_init() {
    let versions = [3, 6]
        .map(|version| [&[0, 0, 0, 5, INIT][..], &u32::to_be_bytes(version)].concat())
        .concat();
    let mut output = Vec::new();
    serve(&mut versions.as_slice(), &mut output).unwrap();
    let answers = parse(&output, 0);
    assert_eq!(answers.len(), 2);
    for answer in answers {
        let Answer::Version(3, extensions) = answer else { panic!("{answer:?}") };
        let extensions: Vec<_> =
            extensions.iter().map(|(name, version)| format!("{name} {version}")).collect();
        assert_eq!(
            extensions,
            [
                "posix-rename@openssh.com 1",
                "statvfs@openssh.com 2",
                "fstatvfs@openssh.com 2",
                "hardlink@openssh.com 1",
                "fsync@openssh.com 1",
                "lsetstat@openssh.com 1",
                "limits@openssh.com 1",
                "expand-path@openssh.com 1",
                "copy-data 1",
                "home-directory 1",
                "users-groups-by-id@openssh.com 1",
            ]
        );
    }
}

#[test]
fn types_and_extensions_that_nobody_knows_are_unsupported_and_the_session_goes_on() {
    // The predecessor's whole daemon died of the first one (contract sshd, B2).
    let unsupported = || status(8, "operation unsupported");
    let answers = answers([
        ask(99).string("fields of who knows what"),
        ask(21),
        extended("vendor-id"),
        ask(0),
        ask(255),
        ask(101),
        ask_of(REALPATH, "/"),
    ]);
    let expected = [
        unsupported(),
        unsupported(),
        unsupported(),
        unsupported(),
        unsupported(),
        unsupported(),
        path("/"),
    ];
    assert_eq!(answers, expected);
}

#[test]
fn packets_empty_too_long_or_cut_short_end_the_session_after_what_was_answered_before() {
    let before = packets([ask_of(REALPATH, "/")]);
    let too_long = (256 * 1024 + 1_u32).to_be_bytes();
    let string_too_long = [&[0, 0, 0, 9, STAT, 0, 0, 0, 2][..], &u32::MAX.to_be_bytes()].concat();
    for (broken, kind, text) in [
        (&[0, 0, 0, 0][..], ErrorKind::InvalidData, "sftp packet of 0 bytes"),
        (&too_long, ErrorKind::InvalidData, "sftp packet of 262145 bytes"),
        (&[255; 200], ErrorKind::InvalidData, "sftp packet of 4294967295 bytes"),
        (&[0, 0, 0, 1, STAT], ErrorKind::InvalidData, "sftp packet cut short"),
        (&string_too_long, ErrorKind::InvalidData, "sftp packet cut short"),
        (&[0, 0], ErrorKind::UnexpectedEof, ""),
        (&[0, 0, 0, 9, STAT], ErrorKind::UnexpectedEof, ""),
    ] {
        let mut output = Vec::new();
        let error = serve(&mut [&before, broken].concat().as_slice(), &mut output).unwrap_err();
        assert_eq!(error.kind(), kind, "{broken:?}");
        assert!(text.is_empty() || error.to_string() == text, "{error}");
        assert_eq!(parse(&output, 1), [path("/")]);
    }
}

#[test]
fn every_request_cut_short_at_any_byte_is_an_error_and_no_panic() {
    let attributes = Attributes {
        size: Some(1),
        owner: Some((1, 2)),
        permissions: Some(0o644),
        times: Some(Times { accessed: 1, modified: 2 }),
    };
    let asks = [
        ask_of(OPEN, "a").number(1).attributes(&attributes),
        write("1", 5, "data"),
        read("1", 5, 6),
        ask_of(RENAME, "a").path("b"),
        extended("copy-data").string("1").long(1).long(2).string("2").long(3),
        extended("lsetstat@openssh.com").path("a").attributes(&attributes),
    ];
    for ask in asks {
        let packet = ask.packet(7);
        assert_eq!(Request::decode(&packet[4..]).unwrap().0, 7);
        for end in 4..packet.len() {
            assert!(Request::decode(&packet[4..end]).is_err(), "{:?}", &packet[..end]);
        }
    }
}

#[test]
fn extended_attributes_are_skipped() {
    let (_directory, file) = with_file("12345");
    let truncate =
        ask_of(SETSTAT, &file).number(1 << 31 | 1).long(2).number(1).string("name").string("value");
    assert_eq!(answers([truncate]), [DONE]);
    assert_eq!(std::fs::read(file).unwrap(), b"12");
    let endless = ask_of(SETSTAT, "x").number(1 << 31).number(u32::MAX);
    assert!(Request::decode(&endless.packet(1)[4..]).is_err());
}

#[test]
fn a_write_in_pieces_is_as_good_as_one_at_once() {
    let (directory, file) = with_file("");
    let content: Vec<u8> = (0..1000_u32).flat_map(u32::to_be_bytes).collect();
    let mut more_than_its_fields = write("1", 4000, "x");
    more_than_its_fields.fields.extend([0; 100]);
    let asks = packets([
        create(&file),
        write("1", 0, &content),
        write("2", 0, &content),
        write("1", u64::MAX, &content),
        more_than_its_fields,
        create(directory.path().join("other")),
    ]);
    let whole = answers_in_pieces(&asks, asks.len());
    assert_eq!(whole[1..3], [DONE, status(4, "bad file descriptor")]);
    assert_refused(&whole[3], 4, ": invalid argument");
    assert_eq!(whole[4..], [DONE, handle("2")]);
    for size in [1, 2, 7, 100, 1000, 4000] {
        std::fs::write(&file, "").unwrap();
        assert_eq!(answers_in_pieces(&asks, size), whole, "{size}");
        assert_eq!(std::fs::read(&file).unwrap(), [&content[..], b"x"].concat());
    }
}

#[test]
fn a_write_in_pieces_whose_fields_do_not_fit_is_an_error() {
    let (_directory, file) = with_file("");
    let mut long = write("1", 0, "content");
    long.fields.truncate(20);
    let long_handle = write(&"1".repeat(257), 0, "content");
    for (broken, text) in
        [(long, "sftp packet cut short"), (long_handle, "sftp handle of 257 bytes")]
    {
        let asks = packets([create(&file), broken]);
        for size in [1, 30, asks.len()] {
            let output = RefCell::new(Vec::new());
            let mut input = Lockstep::in_pieces(&asks, size, &output);
            let error = serve(&mut input, &mut Writes(&output)).unwrap_err();
            assert_eq!(error.to_string(), text);
        }
    }
}

/// The answers to `packets` sent `size` bytes at a time.
fn answers_in_pieces(packets: &[u8], size: usize) -> Vec<Answer> {
    let output = RefCell::new(Vec::new());
    serve(&mut Lockstep::in_pieces(packets, size, &output), &mut Writes(&output)).unwrap();
    parse(&output.borrow().concat(), 1)
}

/// What a client sends in pieces, each of them only once everything before it is answered.
struct Lockstep<'a> {
    pieces: Vec<Vec<u8>>,
    current: Vec<u8>,
    /// How many answers there have to be before each piece, where that matters.
    answered: Vec<usize>,
    output: &'a RefCell<Vec<Vec<u8>>>,
}

impl<'a> Lockstep<'a> {
    fn in_pieces(packets: &[u8], size: usize, output: &'a RefCell<Vec<Vec<u8>>>) -> Self {
        let pieces = packets.chunks(size).map(<[u8]>::to_vec).collect();
        Self { pieces, current: Vec::new(), answered: Vec::new(), output }
    }

    fn next_piece(&mut self) {
        if !self.answered.is_empty() {
            assert_eq!(parse(&self.output.borrow().concat(), 1).len(), self.answered.remove(0));
        }
        self.current = self.pieces.remove(0);
    }
}

impl Read for Lockstep<'_> {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        unreachable!("it is read by its buffer")
    }
}

impl BufRead for Lockstep<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.current.is_empty() && !self.pieces.is_empty() {
            self.next_piece();
        }
        Ok(&self.current)
    }

    fn consume(&mut self, amount: usize) {
        self.current.drain(..amount);
    }
}

impl Source for Lockstep<'_> {
    fn ready(&mut self) -> bool {
        !self.current.is_empty()
    }
}

struct Writes<'a>(&'a RefCell<Vec<Vec<u8>>>);

impl Write for Writes<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().push(bytes.to_owned());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn answers_go_out_together_and_before_anything_is_waited_for() {
    let all = packets([
        ask_of(REALPATH, "/1"),
        ask_of(REALPATH, "/2"),
        ask_of(REALPATH, "/3"),
        ask_of(REALPATH, "/4"),
    ]);
    let one = all.len() / 4;
    // Three requests, the fourth in pieces: within its length field, and within its path.
    let pieces = [
        &all[..3 * one],
        &all[3 * one..3 * one + 2],
        &all[3 * one + 2..4 * one - 1],
        &all[4 * one - 1..],
    ];
    let output = RefCell::new(Vec::new());
    let mut input = Lockstep {
        pieces: pieces.iter().map(|piece| piece.to_vec()).collect(),
        current: Vec::new(),
        answered: vec![0, 3, 3, 3],
        output: &output,
    };
    serve(&mut input, &mut Writes(&output)).unwrap();
    assert_eq!(output.borrow().len(), 2);
    assert_eq!(
        parse(&output.borrow().concat(), 1),
        [path("/1"), path("/2"), path("/3"), path("/4")]
    );
}

#[test]
fn answers_do_not_gather_without_end() {
    let (_directory, file) = with_file(vec![7; 255 * 1024]);
    let mut asks = vec![open(&file, READ)];
    asks.extend((0..8).map(|_| read("1", 0, 255 * 1024)));
    let output = RefCell::new(Vec::new());
    serve(&mut packets(asks).as_slice(), &mut Writes(&output)).unwrap();
    assert!(output.borrow().iter().all(|write| write.len() <= 384 * 1024));
    assert_eq!(parse(&output.borrow().concat(), 1).len(), 9);
}

#[test]
fn a_client_that_is_gone_ends_the_session() {
    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Err(ErrorKind::BrokenPipe.into())
        }
    }
    let asks = packets([ask_of(REALPATH, "/")]);
    assert_eq!(serve(&mut asks.as_slice(), &mut Gone).unwrap_err().kind(), ErrorKind::BrokenPipe);
}
