//! Appendix A of the contract and the rules of its section 3.3.

use super::*;

/// The URL written back, under `mysql2` where it was `mysql`.
fn rewritten(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let scheme = match url.scheme() {
        "mysql" => "mysql2",
        other => other,
    };
    let scheme = scheme.to_owned();
    Some(url.with_scheme(&scheme).to_string())
}

/// A URL and how Go writes it back, `mysql` as `mysql2`.
const REWRITTEN: &[(&str, &str)] = &[
    ("postgres://u:p@h/db", "postgres://u:p@h/db"),
    ("POSTGRES://U:P@HOST:5432/DB", "postgres://U:P@HOST:5432/DB"),
    ("mysql:h", "mysql2:h"),
    ("mysql:", "mysql2:"),
    ("mysql:/p", "mysql2:/p"),
    ("mysql:///db", "mysql2:///db"),
    ("mysql://", "mysql2:"),
    ("mysql2://u@h", "mysql2://u@h"),
    ("mysql://u:@h/", "mysql2://u:@h/"),
    ("mysql://:p@h/", "mysql2://:p@h/"),
    ("mysql://@h/", "mysql2://@h/"),
    ("mysql://h?x=1&y=%20 z", "mysql2://h?x=1&y=%20 z"),
    // Paths: kept when validly encoded, else decoded and encoded anew.
    ("mysql://h/a b", "mysql2://h/a%20b"),
    ("mysql://h/a%2Fb", "mysql2://h/a%2Fb"),
    ("mysql://h/a%2fb", "mysql2://h/a%2fb"),
    ("mysql://h/é", "mysql2://h/%C3%A9"),
    ("mysql://h/%C3%A9", "mysql2://h/%C3%A9"),
    ("mysql://h/[x]", "mysql2://h/[x]"),
    ("mysql://h/a b!*%2F", "mysql2://h/a%20b%21%2A/"),
    ("mysql://h/a|b^c`d{e}\"<>\\", "mysql2://h/a%7Cb%5Ec%60d%7Be%7D%22%3C%3E%5C"),
    // Passwords: decoded and encoded anew.
    ("mysql://u:p@ss@h/d", "mysql2://u:p%40ss@h/d"),
    ("mysql://u:p@@h/d", "mysql2://u:p%40@h/d"),
    ("mysql://u:p:q@h/d", "mysql2://u:p%3Aq@h/d"),
    ("mysql://u:p!$&'()*+,;=-._~@h/d", "mysql2://u:p%21$&%27%28%29%2A+,;=-._~@h/d"),
    ("mysql://u:p%21%24%26%27%28%29%2A%2B%2C%3B%3D@h/d", "mysql2://u:p%21$&%27%28%29%2A+,;=@h/d"),
    ("mysql://u%2F:p%2F@h/d", "mysql2://u%2F:p%2F@h/d"),
    ("mysql://U%3a:x@h", "mysql2://U%3A:x@h"),
    ("mysql://u:p%25@h/d", "mysql2://u:p%25@h/d"),
    ("mysql://u:%E9@h/d", "mysql2://u:%E9@h/d"),
    // Hosts and ports.
    ("mysql://h:/d", "mysql2://h:/d"),
    ("mysql://h:99999/d", "mysql2://h:99999/d"),
    ("mysql://[::1]:3306/d", "mysql2://[::1]:3306/d"),
    ("mysql://[fe80::1%25eth0]/d", "mysql2://[fe80::1%25eth0]/d"),
    ("mysql://h1:1,h2:2/d", "mysql2://h1:1,h2:2/d"),
    ("mysql://h_x/d", "mysql2://h_x/d"),
    ("mysql://h<x>/d", "mysql2://h<x>/d"),
    ("mysql://h\"x/d", "mysql2://h\"x/d"),
    ("mysql://h;x/d", "mysql2://h;x/d"),
    ("mysql://hé/d", "mysql2://h%C3%A9/d"),
    // Queries and fragments.
    ("mysql://h/d#frag ment", "mysql2://h/d#frag%20ment"),
    ("mysql://h/d#!()*'[]", "mysql2://h/d#!()*'[]"),
    ("mysql://h/d#!()* '[]{}", "mysql2://h/d#!()*%20%27%5B%5D%7B%7D"),
    ("mysql://h/d#", "mysql2://h/d"),
    ("mysql://h/d?", "mysql2://h/d?"),
    ("mysql://h?", "mysql2://h?"),
    ("mysql://h/?q#f%20g", "mysql2://h/?q#f%20g"),
    ("postgres://u:p%23%3F@h/d?x=%zz", "postgres://u:p%23%3F@h/d?x=%zz"),
    ("mysql://h/d?a=é", "mysql2://h/d?a=é"),
    // Left alone.
    ("mysql://h//a//b/../c/./d", "mysql2://h//a//b/../c/./d"),
    ("mysql://h/*", "mysql2://h/*"),
    ("mysql://*", "mysql2://*"),
    ("mysql:*", "mysql2:*"),
    ("mysql:a%20b c", "mysql2:a%20b c"),
    ("mysql:?q", "mysql2:?q"),
    ("mysql://h/a;b=c,d:e@f&g=h+i$j", "mysql2://h/a;b=c,d:e@f&g=h+i$j"),
    ("mysql://h/a%41", "mysql2://h/a%41"),
    ("mysql://h/%7e~", "mysql2://h/%7e~"),
    ("mysql://h/!'()*", "mysql2://h/!'()*"),
    ("mysql://h/a%00b", "mysql2://h/a%00b"),
    // Not database URLs, but URLs.
    ("jdbc:mysql://h/d", "jdbc:mysql://h/d"),
    ("mysql+srv://h/d", "mysql+srv://h/d"),
    ("mysql", "mysql"),
    ("", ""),
    ("/a//b", "/a//b"),
    ("///a", "///a"),
];

#[test]
fn urls_are_written_back_as_go_writes_them() {
    for (text, written) in REWRITTEN {
        assert_eq!(rewritten(text).as_deref(), Some(*written), "{text}");
    }
}

#[test]
fn what_go_refuses_is_refused_in_its_words() {
    let table = [
        ("a%zz", r#"parse "a%zz": invalid URL escape "%zz""#),
        ("http://h/a%", r#"parse "http://h/a%": invalid URL escape "%""#),
        ("http://h/d#%zz", r#"parse "http://h/d#%zz": invalid URL escape "%zz""#),
        ("://x", r#"parse "://x": missing protocol scheme"#),
        ("a\u{1}", r#"parse "a\x01": net/url: invalid control character in URL"#),
        (
            "git@github.com:org/repo",
            r#"parse "git@github.com:org/repo": first path segment in URL cannot contain colon"#,
        ),
        ("my bp:1", r#"parse "my bp:1": first path segment in URL cannot contain colon"#),
        ("http://h a/d", r#"parse "http://h a/d": invalid character " " in host name"#),
        ("http://h%20a/d", r#"parse "http://h%20a/d": invalid URL escape "%20""#),
        ("http://%41/d", r#"parse "http://%41/d": invalid URL escape "%41""#),
        ("http://[::1/d", r#"parse "http://[::1/d": missing ']' in host"#),
        ("http://[h]/d", r#"parse "http://[h]/d": invalid IP-literal in host"#),
        ("http://h:abc/d", r#"parse "http://h:abc/d": invalid port ":abc" after host"#),
        ("http://[::1]x/d", r#"parse "http://[::1]x/d": invalid port "x" after host"#),
        ("http://u^@h/d", r#"parse "http://***@h/d": net/url: invalid userinfo"#),
        ("http://u:p%zz@h/d", r#"parse "http://u:***@h/d": invalid URL escape "%zz""#),
    ];
    for (text, sentence) in table {
        assert_eq!(Url::parse(text).unwrap_err().to_string(), sentence, "{text}");
    }
    // Passwords with characters that must be escaped there.
    for letter in ['/', '?', '#', ' ', '^', '|', '[', '"', 'é'] {
        let text = format!("mysql://u:p{letter}w@h/d");
        assert!(Url::parse(&text).is_err(), "{text}");
    }
    assert!(Url::parse(" mysql://h").is_err(), "a leading blank");
    assert!(Url::parse("mysql://h ").is_err(), "a trailing blank");
}

#[test]
fn the_parts_are_decoded() {
    let url = Url::parse("HTTPS://us%40er:p%3Aw@h:8443/a%20b.zip?q=1#v%31").unwrap();
    assert_eq!(url.scheme(), "https");
    assert_eq!(url.host(), "h:8443");
    assert_eq!(url.credentials(), Some((&b"us@er"[..], &b"p:w"[..])));
    assert_eq!(url.path(), "/a b.zip");
    assert_eq!(url.query(), Some("q=1"));
    assert_eq!(url.fragment(), "v1");
    assert_eq!(url.without_fragment().to_string(), "https://us%40er:p%3Aw@h:8443/a%20b.zip?q=1");
}

#[test]
fn a_plain_key_has_no_scheme() {
    for key in ["ruby_buildpack", "1a2b_c3", "my bp", "a/b:c", ""] {
        assert_eq!(Url::parse(key).unwrap().scheme(), "", "{key}");
    }
    assert_eq!(Url::parse("a:b").unwrap().scheme(), "a");
}

#[test]
fn passwords_are_masked() {
    let table = [
        ("https://u:p@h/x", "https://u:***@h/x"),
        ("https://u:p@ss@h/x", "https://u:***@h/x"),
        ("https://ghp_token@github.com/o/r", "https://***@github.com/o/r"),
        ("ssh://git@h/x and https://h:80/a@b", "ssh://git@h/x and https://h:80/a@b"),
        (
            "fatal: unable to access 'https://u:p@h/': x",
            "fatal: unable to access 'https://u:***@h/': x",
        ),
        ("a https://u:p@h/x b http://v:q@h/y.", "a https://u:***@h/x b http://v:***@h/y."),
        // Not valid URLs, but passwords all the same.
        ("https://u:p/w@h/x", "https://u:***@h/x"),
        ("https://u:p?w@h/x", "https://u:***@h/x"),
        ("no url: a:b@c", "no url: a:b@c"),
        ("://", "://"),
    ];
    for (text, masked) in table {
        assert_eq!(mask_passwords(text), masked);
    }
    let url = Url::parse("https://u:p@h/x").unwrap();
    assert_eq!(url.masked(), "https://u:***@h/x");
    assert_eq!(format!("{url:?}"), r#"Url("https://u:***@h/x")"#);
}

#[test]
fn blanks_and_quotes_may_belong_to_a_password() {
    for (text, masked) in [
        ("https://u:p w@h/x", "https://u:***@h/x"),
        ("https://u:p\"w'<>`@h/x", "https://u:***@h/x"),
        ("HTTPS://to ken@h/x y", "HTTPS://***@h/x y"),
        ("ssh://git@h/x y", "ssh://git@h/x y"),
        ("no url: a:b@c", "no url: a:b@c"),
    ] {
        assert_eq!(mask_url(text), masked);
        let shown = Url::parse(text).map_or_else(|error| error.to_string(), |url| url.masked());
        assert!(!shown.contains("w@") && !shown.contains("ken@"), "{shown}");
    }
}

#[test]
fn redirects_lead_where_rfc_3986_says() {
    let base = Url::parse("http://u:p@h:1/a/b/c?q").unwrap();
    let table = [
        ("https://other/x", "https://other/x"),
        ("//other/x", "http://other/x"),
        ("/x/y", "http://u:p@h:1/x/y"),
        ("x", "http://u:p@h:1/a/b/x"),
        ("../x?r", "http://u:p@h:1/a/x?r"),
        ("../../../x", "http://u:p@h:1/x"),
        ("./", "http://u:p@h:1/a/b/"),
        ("..", "http://u:p@h:1/a/"),
        ("?r", "http://u:p@h:1/a/b/c?r"),
        ("", "http://u:p@h:1/a/b/c?q"),
    ];
    for (reference, target) in table {
        assert_eq!(base.join(reference).unwrap().to_string(), target, "{reference}");
    }
    let root = Url::parse("http://h").unwrap();
    assert_eq!(root.join("x").unwrap().to_string(), "http://h/x");
}
