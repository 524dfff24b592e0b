//! Bytes, read as their sender labels them: how they are packed
//! (`Content-Encoding`) and in which characters text is written (`charset`, the
//! byte order mark).
//!
//! What cannot be read so is a failure that names the label. U+FFFD stands in
//! for nothing: it would make one value out of many.

use std::borrow::Cow;
use std::io::Read;

use encoding_rs::{Encoding, UTF_8, UTF_16LE};
use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

pub mod numbers;

/// What we can unpack, as `Accept-Encoding` says it (RFC 9110 §12.5.3).
pub const ACCEPTED: &str = "gzip, deflate, br";

/// Layers of packing that are taken off. Nobody needs two; a bound keeps a
/// short header from costing much work.
const CODINGS_MAX: usize = 3;

/// The longest label that a message repeats, in characters.
const LABEL_CHARS_MAX: usize = 60;

/// Bytes that the decoder of brotli reads at once.
const BROTLI_BUFFER_BYTES: usize = 4096;

/// Why bytes cannot be read as their sender labels them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Packed in a way that we do not know.
    #[error("its Content-Encoding `{0}` is not known here; known are {ACCEPTED}")]
    UnknownCoding(String),
    /// The bytes are not what the label says.
    #[error("it is labelled `Content-Encoding: {coding}` and cannot be unpacked: {why}")]
    Damaged {
        /// The coding that the label names.
        coding: &'static str,
        /// What the decoder met.
        why: String,
    },
    /// More than the caller takes.
    #[error("unpacked it is larger than {0} bytes; reading was stopped")]
    TooLarge(usize),
    /// Text in characters that we do not know.
    #[error("its charset `{0}` is not known here; send UTF-8")]
    UnknownCharset(String),
    /// Two byte orders are possible (RFC 2781 §4.3), and a guess would be silent.
    #[error("its charset `{0}` does not say which byte comes first, and no byte order mark does; send UTF-8")]
    NoByteOrder(String),
    /// The bytes are no text of this charset.
    #[error("it is not {charset}, as which it must be read: byte {at} does not fit")]
    Malformed {
        /// The charset that was labelled, or UTF-8 where none was.
        charset: String,
        /// The first byte that does not fit, counted from 1.
        at: usize,
    },
}

impl Unreadable {
    /// A stable code, kebab-case.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownCoding(_) => "content-encoding-unknown",
            Self::Damaged { .. } => "content-encoding-wrong",
            Self::TooLarge(_) => "unpacked-too-large",
            Self::UnknownCharset(_) | Self::NoByteOrder(_) => "charset-unknown",
            Self::Malformed { .. } => "charset-wrong",
        }
    }
}

/// The bytes unpacked, at most `bytes_max` of them. `content_encoding` holds
/// all fields of that name, joined by commas; empty when there are none.
///
/// # Errors
/// An unknown coding, bytes that do not fit it, or more bytes than `bytes_max`.
pub fn unpack<'a>(
    bytes: &'a [u8],
    content_encoding: &str,
    bytes_max: usize,
) -> Result<Cow<'a, [u8]>, Unreadable> {
    let codings = content_encoding.split(',').map(str::trim).filter(|coding| !coding.is_empty());
    let codings: Vec<&str> = codings.filter(|coding| !coding.eq_ignore_ascii_case("identity")).collect();
    if codings.len() > CODINGS_MAX {
        return Err(Unreadable::UnknownCoding(label(content_encoding)));
    }
    let mut unpacked = Cow::Borrowed(bytes);
    // They are listed in the order in which they were applied (RFC 9110 §8.4).
    for coding in codings.into_iter().rev() {
        // An answer without content, such as a 204, may carry the label.
        if !unpacked.is_empty() {
            unpacked = Cow::Owned(unpack_one(&unpacked, coding, bytes_max)?);
        }
    }
    Ok(unpacked)
}

/// Takes off one layer of packing.
fn unpack_one(packed: &[u8], coding: &str, bytes_max: usize) -> Result<Vec<u8>, Unreadable> {
    match coding.to_ascii_lowercase().as_str() {
        // RFC 9110 §8.4.1.3: both names mean the same.
        "gzip" | "x-gzip" => read_up_to(MultiGzDecoder::new(packed), "gzip", bytes_max),
        // RFC 9110 §8.4.1.2: some send it without the zlib frame.
        "deflate" if has_zlib_header(packed) => read_up_to(ZlibDecoder::new(packed), "deflate", bytes_max),
        "deflate" => read_up_to(DeflateDecoder::new(packed), "deflate", bytes_max),
        "br" => {
            let decoder = brotli_decompressor::Decompressor::new(packed, BROTLI_BUFFER_BYTES);
            read_up_to(decoder, "br", bytes_max)
        }
        _ => Err(Unreadable::UnknownCoding(label(coding))),
    }
}

fn read_up_to(decoder: impl Read, coding: &'static str, bytes_max: usize) -> Result<Vec<u8>, Unreadable> {
    let mut unpacked = Vec::new();
    let most = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    let read = decoder.take(most).read_to_end(&mut unpacked);
    if unpacked.len() > bytes_max {
        return Err(Unreadable::TooLarge(bytes_max));
    }
    read.map_err(|error| Unreadable::Damaged { coding, why: error.to_string() })?;
    Ok(unpacked)
}

/// The frame of RFC 1950 §2.2: the method is 8, and the first two bytes are a
/// multiple of 31.
fn has_zlib_header(bytes: &[u8]) -> bool {
    matches!(bytes, [first, second, ..]
        if first & 0x0f == 8 && (u16::from(*first) * 256 + u16::from(*second)) % 31 == 0)
}

/// The text that the bytes are, without its byte order mark. A mark goes before
/// the `charset` of `content_type` (WHATWG Encoding §6.1); without either it is
/// UTF-8, as JSON must be (RFC 8259 §8.1). `content_type` is empty when absent.
///
/// As browsers do, `iso-8859-1` is read as `windows-1252`, which differs in
/// control characters alone that no text has.
///
/// # Errors
/// A charset that is not known, or bytes that do not fit it.
pub fn text<'a>(bytes: &'a [u8], content_type: &str) -> Result<Cow<'a, str>, Unreadable> {
    let (encoding, bytes, skipped) = match (Encoding::for_bom(bytes), charset(content_type)) {
        (Some((encoding, mark)), _) => (encoding, &bytes[mark..], mark),
        (None, Some(charset)) => (named(&charset)?, bytes, 0),
        (None, None) => (UTF_8, bytes, 0),
    };
    // US-ASCII has 128 characters; the encoding it is read with has 256.
    let ascii = charset(content_type).filter(|charset| is_ascii_label(charset) && skipped == 0);
    if let (Some(charset), Some(at)) = (ascii, bytes.iter().position(|byte| !byte.is_ascii())) {
        return Err(Unreadable::Malformed { charset: label(&charset), at: at + 1 });
    }
    encoding.decode_without_bom_handling_and_without_replacement(bytes).ok_or_else(|| Unreadable::Malformed {
        charset: encoding.name().to_owned(),
        at: skipped + fitting(encoding, bytes) + 1,
    })
}

/// How many bytes at the beginning fit.
fn fitting(encoding: &'static Encoding, bytes: &[u8]) -> usize {
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let mut read = 0;
    let mut piece = String::with_capacity(1024);
    loop {
        let (result, taken) = decoder.decode_to_string_without_replacement(&bytes[read..], &mut piece, true);
        read += taken;
        match result {
            encoding_rs::DecoderResult::OutputFull => piece.clear(),
            encoding_rs::DecoderResult::InputEmpty => return read,
            encoding_rs::DecoderResult::Malformed(bad, after) => {
                return read.saturating_sub(usize::from(bad) + usize::from(after));
            }
        }
    }
}

fn named(charset: &str) -> Result<&'static Encoding, Unreadable> {
    let encoding = Encoding::for_label_no_replacement(charset.as_bytes())
        .ok_or_else(|| Unreadable::UnknownCharset(label(charset)))?;
    if encoding == UTF_16LE && !charset.eq_ignore_ascii_case("utf-16le") {
        return Err(Unreadable::NoByteOrder(label(charset)));
    }
    Ok(encoding)
}

fn is_ascii_label(charset: &str) -> bool {
    ["us-ascii", "ascii"].iter().any(|name| charset.eq_ignore_ascii_case(name))
}

/// The `charset` of a media type (RFC 9110 §8.3.1); the first where it is said twice.
fn charset(content_type: &str) -> Option<String> {
    parameters(content_type).into_iter().find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches('"').replace('\\', "");
        (name.trim().eq_ignore_ascii_case("charset") && !value.is_empty()).then_some(value)
    })
}

/// What stands between the semicolons of a media type, but for its first part.
fn parameters(content_type: &str) -> Vec<&str> {
    let mut quoted = false;
    let between = content_type.split(|c| {
        quoted ^= c == '"';
        c == ';' && !quoted
    });
    between.skip(1).collect()
}

/// Bytes as a text that shows what is not UTF-8 as `\xNN`: for messages only.
pub fn shown(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// The value of a header field as text: UTF-8, or else ISO-8859-1, in which
/// every byte is a character and none is lost (RFC 9110 §5.5).
pub fn field_text(value: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(value) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(value.iter().copied().map(char::from).collect()),
    }
}

/// A label as messages repeat it: short, and with nothing in it that acts on a
/// terminal.
fn label(text: &str) -> String {
    text.chars().take(LABEL_CHARS_MAX).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    const PLAIN: &[u8] = b"{\"said\":\"Gr\xc3\xbc\xc3\x9fe\"}";

    fn packed(how: &str, bytes: &[u8]) -> Vec<u8> {
        let level = Compression::default();
        match how {
            "gzip" => {
                let mut encoder = GzEncoder::new(Vec::new(), level);
                encoder.write_all(bytes).and_then(|()| encoder.finish())
            }
            "zlib" => {
                let mut encoder = ZlibEncoder::new(Vec::new(), level);
                encoder.write_all(bytes).and_then(|()| encoder.finish())
            }
            _ => {
                let mut encoder = DeflateEncoder::new(Vec::new(), level);
                encoder.write_all(bytes).and_then(|()| encoder.finish())
            }
        }
        .expect("it is packed")
    }

    /// `{"ok":true}` as brotli 1.0.9 packs it.
    const BROTLI: [u8; 15] =
        [0x0b, 0x05, 0x80, 0x7b, 0x22, 0x6f, 0x6b, 0x22, 0x3a, 0x74, 0x72, 0x75, 0x65, 0x7d, 0x03];

    #[test]
    fn what_is_packed_is_unpacked_as_its_label_says() {
        let twice = packed("gzip", &packed("zlib", PLAIN));
        for (coding, bytes) in [
            ("", PLAIN.to_vec()),
            ("identity", PLAIN.to_vec()),
            ("gzip", packed("gzip", PLAIN)),
            ("X-GZip", packed("gzip", PLAIN)),
            ("gzip", [packed("gzip", &PLAIN[..5]), packed("gzip", &PLAIN[5..])].concat()),
            ("deflate", packed("zlib", PLAIN)),
            ("deflate", packed("raw", PLAIN)),
            ("deflate, gzip", twice),
            (" gzip , identity,", packed("gzip", PLAIN)),
        ] {
            let unpacked = unpack(&bytes, coding, 1000);
            assert_eq!(unpacked.as_deref(), Ok(PLAIN), "{coding}");
        }
        assert_eq!(unpack(&BROTLI, "br", 1000).as_deref(), Ok(&b"{\"ok\":true}"[..]));
        assert_eq!(unpack(b"", "gzip", 10).as_deref(), Ok(&b""[..]), "a 204 has nothing to unpack");
    }

    #[test]
    fn what_cannot_be_unpacked_names_its_label() {
        let gzip = packed("gzip", PLAIN);
        let zlib = packed("zlib", PLAIN);
        for (coding, bytes, code) in [
            ("zstd", PLAIN, "content-encoding-unknown"),
            ("gzip, gzip, gzip, gzip", PLAIN, "content-encoding-unknown"),
            ("gzip", PLAIN, "content-encoding-wrong"),
            ("gzip", &gzip[..gzip.len() - 3], "content-encoding-wrong"),
            ("deflate", &zlib[..zlib.len() - 5], "content-encoding-wrong"),
            ("deflate", b"\xff\xff\xff\xff", "content-encoding-wrong"),
            ("br", PLAIN, "content-encoding-wrong"),
            ("br", &BROTLI[..9], "content-encoding-wrong"),
        ] {
            let found = unpack(bytes, coding, 1000).expect_err(coding);
            assert_eq!(found.code(), code, "{coding}: {found}");
            let first = coding.split(',').next().unwrap_or_default();
            assert!(found.to_string().contains(first), "{found}");
        }
        let hostile = unpack(PLAIN, "\u{1b}[2Jx", 10).expect_err("it is unknown").to_string();
        assert!(!hostile.chars().any(char::is_control), "{hostile}");
    }

    #[test]
    fn a_bound_holds_for_what_is_unpacked() {
        let bomb = packed("gzip", &vec![0; 1_000_000]);
        assert!(bomb.len() < 2000);
        assert_eq!(unpack(&bomb, "gzip", 999_999), Err(Unreadable::TooLarge(999_999)));
        assert_eq!(unpack(&bomb, "gzip", 1_000_000).map(|bytes| bytes.len()), Ok(1_000_000));
        // The layers in between are bounded too.
        let nested = packed("gzip", &packed("gzip", &vec![0; 50_000_000]));
        assert_eq!(unpack(&nested, "gzip, gzip", 1000), Err(Unreadable::TooLarge(1000)));
    }

    #[test]
    fn text_is_read_in_the_characters_that_are_labelled() {
        for (bytes, content_type, said) in [
            (&b"Gr\xc3\xbc\xc3\x9fe"[..], "", "Grüße"),
            (b"Gr\xc3\xbc\xc3\x9fe", "application/json", "Grüße"),
            (b"Gr\xfc\xdfe", "text/plain; charset=ISO-8859-1", "Grüße"),
            (b"Gr\xfc\xdfe", "text/plain; x=\"a;charset=utf-8\"; Charset=\"latin1\" ", "Grüße"),
            (b"\x93Gr\xfc\xdfe\x94", "text/plain;charset=windows-1252", "“Grüße”"),
            (b"\x83\x65\x83\x58\x83\x67", "text/plain; charset=shift_jis", "テスト"),
            (b"\xef\xbb\xbf{}", "application/json", "{}"),
            (b"\xef\xbb\xbf\xc3\xbc", "application/json; charset=iso-8859-1", "ü"),
            (b"\xff\xfe{\0}\0", "application/json", "{}"),
            (b"\xfe\xff\0{\0}", "text/plain; charset=utf-16", "{}"),
            (b"\0{\0}", "text/plain; charset=utf-16be", "{}"),
            (b"{\0}\0", "text/plain; charset=utf-16le", "{}"),
            (b"abc", "text/plain; charset=us-ascii", "abc"),
            (b"abc", "text/plain; charset", "abc"),
            (b"abc", "text/plain; charset=", "abc"),
        ] {
            assert_eq!(text(bytes, content_type).as_deref(), Ok(said), "{content_type}");
        }
    }

    #[test]
    fn text_that_does_not_fit_its_label_is_named_and_never_patched() {
        for (bytes, content_type, code, says) in [
            (&b"ab\xff"[..], "", "charset-wrong", "UTF-8, as which it must be read: byte 3"),
            (b"ab\xc3", "application/json; charset=utf-8", "charset-wrong", "byte 3"),
            (b"\xef\xbb\xbfa\xff", "", "charset-wrong", "byte 5"),
            (b"\xed\xa0\x80", "", "charset-wrong", "byte 1"),
            (
                b"a\xfc",
                "text/plain; charset=ascii",
                "charset-wrong",
                "ascii, as which it must be read: byte 2",
            ),
            (b"\xff\xfea", "", "charset-wrong", "UTF-16LE"),
            (b"{\0}\0", "text/plain; charset=utf-16", "charset-unknown", "utf-16"),
            (b"abc", "text/plain; charset=utf-7", "charset-unknown", "utf-7"),
            (b"abc", "text/plain; charset=\"x\u{1b}[2J\"", "charset-unknown", "x\\u{1b}[2J"),
        ] {
            let found = text(bytes, content_type).expect_err(content_type);
            assert_eq!(found.code(), code, "{content_type}: {found}");
            assert!(found.to_string().contains(says), "{found}");
        }
        let long = [vec![b'a'; 5000], vec![0xff]].concat();
        assert!(text(&long, "").expect_err("it does not fit").to_string().contains("byte 5001"));
    }

    #[test]
    fn what_is_shown_says_which_bytes_were_no_text() {
        assert_eq!(shown(b"a\xff\xfeb\xc3"), "a\\xff\\xfeb\\xc3");
        assert_eq!(shown("ü".as_bytes()), "ü");
        assert_eq!(field_text(b"Gr\xfc\xdfe"), "Grüße");
        assert_eq!(field_text("Grüße".as_bytes()), "Grüße");
    }
}
