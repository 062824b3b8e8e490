use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// The document as JSON; `None` when it is empty.
fn json_of(text: &str) -> Option<Value> {
    let node = parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text:?}: {error}"))?;
    let mut decoder = Decoder::default();
    let value = decoder.json(&node);
    decoder.finish().unwrap();
    value
}

/// The first value of a mapping decoded as text.
fn text_of(text: &str) -> Result<String, String> {
    let node = parse(text.as_bytes()).map_err(|error| error.to_string())?.unwrap();
    let mut decoder = Decoder::default();
    let value = decoder.entries(&node).and_then(|entries| decoder.text(entries.first().unwrap().1));
    decoder.finish().map_err(|error| error.to_string())?;
    Ok(value.unwrap())
}

fn integer_of(text: &str) -> Result<i64, String> {
    let node = parse(format!("memory: {text}").as_bytes()).unwrap().unwrap();
    let mut decoder = Decoder::default();
    let value =
        decoder.entries(&node).and_then(|entries| decoder.integer(entries.first().unwrap().1));
    decoder.finish().map_err(|error| error.to_string())?;
    Ok(value.unwrap())
}

#[test]
fn structures_are_read_as_yaml_v2_does() {
    let rows = [
        // Nothing at all changes nothing.
        ("", None),
        ("# only a comment\n", None),
        ("---\n", Some(json!(null))),
        ("--- {}\n", Some(json!({}))),
        ("a: 1\nb: [x, {c: d}]\n", Some(json!({"a": 1, "b": ["x", {"c": "d"}]}))),
        // Only the first document.
        ("a: 1\n---\nb: [\n", Some(json!({"a": 1}))),
        ("a: 1\n...\n%%%\n", Some(json!({"a": 1}))),
        // Duplicates: the last wins.
        ("a: 1\nb: 2\na: 3\n", Some(json!({"a": 3, "b": 2}))),
        // Anchors, aliases, merges in document order, earlier of a list first.
        ("x: &a-1_b 1\ny: *a-1_b\n", Some(json!({"x": 1, "y": 1}))),
        (
            "x: &a {k: 1, l: 2}\ny: {<<: *a, l: 3}\n",
            Some(json!({"x": {"k": 1, "l": 2}, "y": {"k": 1, "l": 3}})),
        ),
        ("y: {l: 3, <<: {l: 4}}\n", Some(json!({"y": {"l": 4}}))),
        ("<<: [{a: 1}, {a: 2, b: 2}]\n", Some(json!({"a": 1, "b": 2}))),
        ("'<<': 1\n", Some(json!({"<<": 1}))),
        // Unknown tags are ignored; what they stand before is text or a collection.
        (
            "a: !x y\nb: !x 5\nc: !ruby/object:Pathname {p: q}\n",
            Some(json!({"a": "y", "b": "5", "c": {"p": "q"}})),
        ),
        ("a: [!a, b]\n", Some(json!({"a": ["", "b"]}))),
        // A byte order mark, CRLF, UTF-16.
        ("\u{feff}a: 1\r\nb: 2\r\n", Some(json!({"a": 1, "b": 2}))),
        // Quotes, blocks and folds.
        (
            "a: \"x\\ty\\u00e9\"\nb: 'it''s'\nc: x\n  y\n",
            Some(json!({"a": "x\ty\u{e9}", "b": "it's", "c": "x y"})),
        ),
        ("a: |\n  x\n  y\nb: >-\n  x\n  y\n", Some(json!({"a": "x\ny\n", "b": "x y"}))),
        // A block that ends with the file has no line break of its own.
        ("a: |\n  x", Some(json!({"a": "x"}))),
        ("a: |\n  x\n    ", Some(json!({"a": "x\n  "}))),
        ("a: |\n  x\n  ", Some(json!({"a": "x\n"}))),
        // A tab is no indentation, but may separate.
        ("a:\t1\nb: [x,\tz]\n", Some(json!({"a": 1, "b": ["x", "z"]}))),
        // Keys are text; null is the empty one.
        ("~: x\n5: w\ntrue: z\n", Some(json!({"": "x", "5": "w", "true": "z"}))),
    ];
    for (text, expected) in rows {
        assert_eq!(json_of(text), expected, "{text:?}");
    }
}

#[test]
fn utf16_with_a_byte_order_mark_is_read() {
    let little: Vec<u8> = "\u{feff}a: \u{e9}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = "\u{feff}a: \u{e9}".encode_utf16().flat_map(u16::to_be_bytes).collect();
    for bytes in [little, big] {
        let node = parse(&bytes).unwrap().unwrap();
        assert_eq!(Decoder::default().json(&node), Some(json!({"a": "\u{e9}"})));
    }
}

#[test]
fn what_is_no_yaml_is_refused_with_line_and_libyaml_words() {
    let rows: &[(&[u8], &str)] = &[
        (b"processes: [\n", "line 1: did not find expected node content"),
        (b"a: ]", "line 1: did not find expected node content"),
        (b"a: ,x", "line 1: did not find expected node content"),
        (b"[,]", "line 1: did not find expected node content"),
        (b"a: [x}", "line 1: did not find expected ',' or ']'"),
        (b"a: b: c", "line 1: mapping values are not allowed in this context"),
        (b"ok: 1\na: @x", "line 2: found character that cannot start any token"),
        (b"a: `x", "line 1: found character that cannot start any token"),
        (b"a: %x", "line 1: found character that cannot start any token"),
        (b"a:\n\tb: 1\n", "line 2: found character that cannot start any token"),
        (b"\ta: 1\n", "line 1: found character that cannot start any token"),
        (b"-\tx\n", "line 1: found character that cannot start any token"),
        (b"a: 1\n\tb: 2\n", "line 1: found a tab character that violates indentation"),
        (b"a: 'x", "line 1: found unexpected end of stream"),
        (b"a: \"\\", "line 1: found unknown escape character"),
        (b"- a\nb: 1\n", "line 2: did not find expected '-' indicator"),
        (b"a:\n  - b\n c: d\n", "line 3: did not find expected key"),
        (b"web: a\nworker\n", "line 2: could not find expected ':'"),
        (b"x: *unknown\n", "line 1: unknown anchor 'unknown' referenced"),
        (b"x: [*a, b]\n", "line 1: unknown anchor 'a' referenced"),
        (b"x: &a [*a]\n", "line 1: anchor 'a' value contains itself"),
        (
            b"a: &ruby/object:Pathname {x: 1}",
            "line 1: did not find expected alphabetic or numeric character",
        ),
        (b"%YAML 1.2\n---\na: 1\n", "line 1: found incompatible YAML document"),
        (b"# c\n%FOO\n---\na: 1\n", "line 2: found unknown directive name"),
        (b"a: 1 # \x7f", "line 1: control characters are not allowed"),
        (b"a: 1\r\n\nb: \0", "line 3: control characters are not allowed"),
        (b"a: \x01", "line 1: control characters are not allowed"),
        (b"a: 1\nb: \xff", "line 2: invalid UTF-8"),
        (b"\xff\xfea", "line 1: invalid UTF-16"),
        (b"a: !foo!bar x", "line 1: found undefined tag handle"),
    ];
    for (bytes, expected) in rows {
        let error = parse(bytes).unwrap_err().to_string();
        assert_eq!(error, format!("yaml: {expected}"), "{:?}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn yaml_1_1_and_tag_directives_are_allowed() {
    assert_eq!(json_of("# c\n\n%YAML 1.1\n---\na: 1\n"), Some(json!({"a": 1})));
    assert_eq!(json_of("%TAG !e! tag:x,2000:\n---\na: !e!k v\n"), Some(json!({"a": "v"})));
}

#[test]
fn the_explanation_names_line_column_and_reason() {
    let error = parse(b"a: 1\nprocesses: [\n").unwrap_err();
    assert_eq!(error.explanation(), ["line 2, column 12: unclosed bracket '['"]);
    let error = parse("é: \u{7f}".as_bytes()).unwrap_err();
    assert_eq!(
        error.explanation(),
        ["line 1, column 4: the control character U+007F is not allowed"]
    );
}

#[test]
fn text_keeps_the_source_of_any_scalar() {
    let verbatim = [
        "5",
        "5.0",
        "1e3",
        "true",
        "yes",
        "0x1F",
        "1_000",
        "2020-01-01",
        ".inf",
        "1:30",
        "017",
        "-0",
        "a b  c",
        "b, c",
        "x#y",
        "100%",
        "?x",
        ":x",
        "-x",
    ];
    for text in verbatim {
        assert_eq!(text_of(&format!("a: {text}\n")).as_deref(), Ok(text));
    }
    for nothing in ["a: null", "a: ~", "a:", "a: # c"] {
        assert_eq!(text_of(nothing).as_deref(), Ok(""), "{nothing}");
    }
    assert_eq!(text_of("a: '~'").as_deref(), Ok("~"));
    assert_eq!(text_of("a: !!str ~").as_deref(), Ok("~"));
    assert_eq!(text_of("a: !!binary aGk=").as_deref(), Ok("hi"));
    assert_eq!(text_of("a: !!binary |\n  aG\n  k=\n").as_deref(), Ok("hi"));
    assert!(text_of("a: !!binary '*'").unwrap_err().contains("invalid base64 data"));
}

#[test]
fn wrong_types_are_named_and_the_rest_is_read() {
    let node = parse(b"a: [x]\nb: {c: d}\ne: f\n").unwrap().unwrap();
    let mut decoder = Decoder::default();
    let entries = decoder.entries(&node).unwrap();
    let texts: Vec<_> = entries.iter().map(|(_, value)| decoder.text(value)).collect();
    assert_eq!(texts, [None, None, Some("f".to_owned())]);
    let error = decoder.finish().unwrap_err();
    assert_eq!(
        error.to_string(),
        "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!seq into string\n  \
         line 2: cannot unmarshal !!map into string"
    );
    assert_eq!(error.explanation()[0], "line 1, column 4: a list stands where text is expected");
}

#[test]
fn long_values_are_cut_in_type_errors() {
    let node = parse(b"web:abcdefgh").unwrap().unwrap();
    let mut decoder = Decoder::default();
    assert!(decoder.entries(&node).is_none());
    assert_eq!(
        decoder.finish().unwrap_err().to_string(),
        "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!str `web:abc...` into map"
    );
}

#[test]
fn integers_follow_yaml_1_1() {
    let rows = [
        ("10", 10),
        ("0x10", 16),
        ("0o7", 7),
        ("017", 15),
        ("0b1", 1),
        ("-0b11", -3),
        ("1_000", 1000),
        ("1.5", 1),
        ("1e3", 1000),
        ("10.0", 10),
        ("-5", -5),
        ("+5", 5),
        ("-1.9", -1),
        (".5", 0),
        ("~", 0),
        ("", 0),
        ("089", 89),
        ("!!int '7'", 7),
    ];
    for (text, expected) in rows {
        assert_eq!(integer_of(text), Ok(expected), "{text}");
    }
    for wrong in ["'10'", "1M", "true", ".inf", ".nan", "1e30", "99999999999999999999", "[1]"] {
        assert!(integer_of(wrong).unwrap_err().ends_with("into int"), "{wrong}");
    }
}

#[test]
fn values_for_json_follow_yaml_1_1() {
    let rows = [
        ("y", json!(true)),
        ("No", json!(false)),
        ("ON", json!(true)),
        ("off", json!(false)),
        ("yEs", json!("yEs")),
        ("~", json!(null)),
        ("NULL", json!(null)),
        ("0x10", json!(16)),
        ("017", json!(15)),
        ("0o7", json!(7)),
        ("0b1", json!(1)),
        ("1_000", json!(1000)),
        ("1:30", json!("1:30")),
        ("2020-01-01", json!("2020-01-01")),
        ("18446744073709551615", json!(18_446_744_073_709_551_615_u64)),
        ("+-5", json!("+-5")),
        ("0x", json!("0x")),
        ("1.2.3", json!("1.2.3")),
        ("e3", json!("e3")),
        (".", json!(".")),
        ("'5'", json!("5")),
        ("!!str 5", json!("5")),
        ("!!int '5'", json!(5)),
        // JSON has no infinity: the text stays.
        (".inf", json!(".inf")),
        ("-.INF", json!("-.INF")),
        (".nan", json!(".nan")),
        ("1e999", json!("1e999")),
    ];
    for (text, expected) in rows {
        assert_eq!(json_of(&format!("a: {text}\n")), Some(json!({ "a": expected })), "{text}");
    }
}

#[test]
fn floats_are_written_as_go_writes_them() {
    let rows = [
        ("1.0", "1"),
        ("1.50", "1.5"),
        ("-0.0", "-0"),
        ("1e-6", "0.000001"),
        ("1e-7", "1e-7"),
        ("1e20", "100000000000000000000"),
        ("1e21", "1e+21"),
        ("-1.5e+300", "-1.5e+300"),
        ("99999999999999999999", "100000000000000000000"),
        (".5", "0.5"),
        ("5.", "5"),
    ];
    for (text, expected) in rows {
        assert_eq!(json_of(text).unwrap().to_string(), expected, "{text}");
    }
}

#[test]
fn alias_bombs_are_refused() {
    let bomb = chain(12, "[x, x, x, x, x, x, x, x, x, x]", |alias| {
        format!("[{}]", vec![alias; 10].join(", "))
    });
    let error = parse(bomb.as_bytes()).unwrap_err();
    assert!(error.to_string().ends_with("document contains excessive aliasing"), "{error}");
}

/// `length` values, each but the first made of the one before.
fn chain(length: usize, first: &str, next: fn(String) -> String) -> String {
    let line = |level: usize| {
        let value = level
            .checked_sub(1)
            .map_or_else(|| first.to_owned(), |before| next(format!("*a{before}")));
        format!("a{level}: &a{level} {value}\n")
    };
    (0..length).map(line).collect()
}

#[test]
fn deep_documents_and_deep_alias_chains_are_refused() {
    for deep in ["[".repeat(100_000), "{a: ".repeat(100_000), "- ".repeat(100_000)] {
        let error = parse(deep.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("exceeded max depth"), "{error}");
    }
    let chain = chain(100_000, "[x]", |alias| format!("[{alias}]"));
    let error = parse(chain.as_bytes()).unwrap_err();
    assert!(error.to_string().ends_with("document contains excessive aliasing"), "{error}");
}

#[test]
fn the_deepest_allowed_alias_chain_fits_a_small_stack() {
    let reader = || {
        let chain = chain(700, "{<<: {x: y}}", |alias| format!("{{<<: {alias}}}"));
        let node = parse(chain.as_bytes()).unwrap().unwrap();
        Decoder::default().json(&node).unwrap();
    };
    std::thread::Builder::new().stack_size(4 << 20).spawn(reader).unwrap().join().unwrap();
}

#[test]
fn one_long_line_is_read_in_linear_time() {
    let line = format!("{{\"a\": [{}]}}", "\"x\", ".repeat(200_000));
    let node = parse(line.as_bytes()).unwrap().unwrap();
    assert!(!node.is_null());
}

/// Pieces that make documents which get past the first token.
fn fragments() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a",
        ": ",
        "- ",
        "\n",
        "\n  ",
        "\t",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "&a ",
        "*a",
        "!",
        "!!binary ",
        "!x",
        "|",
        ">",
        "-",
        "+",
        "2",
        "'",
        "\"",
        "\\",
        "\\x4",
        "\\ud83d",
        "#",
        "%",
        "%YAML 1.1\n",
        "%TAG ! x\n",
        "---",
        "...",
        "?",
        "<<",
        "<<: ",
        "~",
        "0x",
        "1e9",
        ".inf",
        "\r",
        "\u{85}",
        "\u{2028}",
        "é",
        "\u{feff}",
        " ",
    ]);
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

fn read_every_way(bytes: &[u8]) {
    if let Ok(Some(node)) = parse(bytes) {
        let mut decoder = Decoder::default();
        let _ = decoder.json(&node);
        let _ = decoder.text(&node);
        let _ = decoder.integer(&node);
        let _ = decoder.list(&node).map(<[_]>::len);
        let _ = decoder.finish().map_err(|error| error.explanation());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_document_makes_the_reader_panic(document in fragments()) {
        read_every_way(document.as_bytes());
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        read_every_way(&bytes);
    }
}
