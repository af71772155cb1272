//! The tokenizer gives Hugging Face's ids and text, on any text, from any files.

use std::time::{Duration, Instant};

use portcullis::checkpoint::config::Architecture;
use portcullis::checkpoint::tokenizer_files::TokenizerFiles;
use portcullis::inference::tokenizer::SpecialTokens::{Escape, Parse};
use portcullis::inference::tokenizer::Tokenizer;
use proptest::prelude::*;
use serde::Deserialize;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tokenizer");

fn read(path: &str) -> Vec<u8> {
    std::fs::read(format!("{FIXTURES}/{path}")).unwrap()
}

fn files(vocabulary: &str, merges: &str) -> TokenizerFiles {
    TokenizerFiles::parse(&read(vocabulary), &read(merges), usize::MAX).unwrap()
}

fn gpt2() -> Tokenizer {
    let files = files("gpt2/encoder.json", "gpt2/vocab.bpe");
    Tokenizer::new(Architecture::Gpt2, files).unwrap()
}

fn small(folder: &str, architecture: Architecture) -> Tokenizer {
    let files = files(&format!("{folder}/vocab.json"), &format!("{folder}/merges.txt"));
    Tokenizer::new(architecture, files).unwrap()
}

/// What `transformers` builds from the same files, out of the library's own parts.
mod judge {
    use tokenizers::models::bpe::BPE;
    use tokenizers::normalizers::BertNormalizer;
    use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
    use tokenizers::pre_tokenizers::byte_level::ByteLevel;
    use tokenizers::{AddedToken, Tokenizer};

    use super::FIXTURES;

    pub(super) fn gpt2(vocabulary: &str, merges: &str) -> Tokenizer {
        let [vocabulary, merges] = [vocabulary, merges].map(|file| format!("{FIXTURES}/{file}"));
        let mut judge = Tokenizer::new(BPE::from_file(&vocabulary, &merges).build().unwrap());
        judge.with_pre_tokenizer(Some(ByteLevel::new(false, false, true)));
        judge.with_decoder(Some(ByteLevel::default()));
        judge.add_special_tokens([AddedToken::from("<|endoftext|>", true)]).unwrap();
        judge
    }

    pub(super) fn gpt1() -> Tokenizer {
        let [vocabulary, merges] =
            ["vocab.json", "merges.txt"].map(|file| format!("{FIXTURES}/gpt1-512/{file}"));
        let model = BPE::from_file(&vocabulary, &merges)
            .unk_token("<unk>".to_owned())
            .end_of_word_suffix("</w>".to_owned());
        let mut judge = Tokenizer::new(model.build().unwrap());
        judge.with_normalizer(Some(BertNormalizer::default())).unwrap();
        judge.with_pre_tokenizer(Some(BertPreTokenizer));
        judge.with_decoder(Some(tokenizers::decoders::bpe::BPEDecoder::default()));
        judge.add_special_tokens([AddedToken::from("<unk>", true)]).unwrap();
        judge
    }
}

fn judged(judge: &tokenizers::Tokenizer, text: &str) -> Vec<u32> {
    judge.encode_fast(text, false).unwrap().get_ids().to_vec()
}

/// Texts that mix scripts, white space, controls, combining marks, contractions, special names and long runs.
fn texts() -> impl Strategy<Value = String> {
    let run = |characters: BoxedStrategy<char>| {
        (characters, 1..40_usize).prop_map(|(character, n)| character.to_string().repeat(n))
    };
    let piece = prop_oneof![
        4 => any::<char>().prop_map(String::from),
        4 => "[ -~]{0,8}",
        3 => "[ \t\n\r\u{b}\u{85}\u{a0}\u{2003}\u{2028}\u{3000}]{1,4}",
        2 => "[\u{0}-\u{1f}\u{7f}-\u{ad}\u{200b}-\u{200f}\u{fffd}\u{feff}]",
        2 => "[a-zA-Z]{1,3}[\u{300}-\u{36f}\u{5b0}-\u{5bd}\u{1ab0}-\u{1ace}]{0,5}",
        2 => "[\u{c0}-\u{24f}\u{1e00}-\u{1fff}]",
        2 => "[\u{3041}-\u{30ff}\u{4e00}-\u{4fff}\u{ac00}-\u{ad00}。、]",
        2 => "[a-z]{1,4}'(s|t|re|ve|m|ll|d|S|x)",
        1 => "[0-9\u{b2}\u{bd}\u{660}-\u{669}\u{2160}-\u{217f}]{1,5}",
        1 => prop_oneof!["<\\|endoftext\\|>", "<unk>", "</w>", "<\\|endo", "text\\|>"],
        1 => run(any::<char>().boxed()),
        1 => run(proptest::char::range(' ', '~').boxed()),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

#[test]
fn gpt2_gives_hugging_faces_ids() {
    #[derive(Deserialize)]
    struct Case {
        text: String,
        ids: Vec<u32>,
    }
    let cases: Vec<Case> = serde_json::from_slice(&read("gpt2-golden.json")).unwrap();
    assert_eq!(cases.len(), 94);
    let tokenizer = gpt2();
    for Case { text, ids } in cases {
        assert_eq!(tokenizer.encode(&text, Escape), ids, "{text:?}");
        assert_eq!(tokenizer.decode(&ids), text);
    }
}

#[test]
fn gpt1_gives_hugging_faces_ids_and_text() {
    #[derive(Deserialize)]
    struct Case {
        text: String,
        ids: Vec<u32>,
        decoded: String,
    }
    let cases: Vec<Case> = serde_json::from_slice(&read("gpt1-512/golden.json")).unwrap();
    assert_eq!(cases.len(), 6);
    let tokenizer = small("gpt1-512", Architecture::Gpt1);
    for case in cases {
        assert_eq!(tokenizer.encode(&case.text, Escape), case.ids, "{:?}", case.text);
        assert_eq!(tokenizer.decode(&case.ids), case.decoded);
    }
}

#[test]
fn every_character_is_cut_as_the_library_cuts_it() {
    let text: String = ('\0'..=char::MAX).flat_map(|c| ['x', c]).collect();
    let (small, judge) =
        (small("gpt2-512", Architecture::Gpt2), judge::gpt2("gpt2-512/vocab.json", "gpt2-512/merges.txt"));
    assert!(small.encode(&text, Escape) == judged(&judge, &text));
}

#[test]
fn the_end_of_text_is_one_token_only_where_asked() {
    let tokenizer = gpt2();
    assert_eq!(tokenizer.end_of_text(), Some(50256));
    let text = "foo<|endoftext|>bar";
    assert_eq!(tokenizer.encode(text, Parse), [21943, 50256, 5657]);
    assert!(!tokenizer.encode(text, Escape).contains(&50256));
    assert_eq!(tokenizer.decode(&tokenizer.encode(text, Parse)), text);
    assert_eq!(tokenizer.encode("<|endoftext|>", Parse), [50256]);
}

#[test]
fn gpt1_has_no_end_of_text_but_an_unknown_token() {
    let tokenizer = small("gpt1-512", Architecture::Gpt1);
    assert_eq!(tokenizer.end_of_text(), None);
    assert_eq!(tokenizer.encode("<unk>", Parse), [0]);
    assert_ne!(tokenizer.encode("<unk>", Escape), [0]);
    assert_eq!(tokenizer.encode("日", Parse), [0]);
}

#[test]
fn a_token_shows_its_bytes() {
    let tokenizer = gpt2();
    assert_eq!(tokenizer.token_text(995).as_deref(), Some(" world"));
    assert_eq!(tokenizer.token_bytes(222).as_deref(), Some(&[0x80][..]));
    assert_eq!(tokenizer.token_bytes(50257), None);
    let words = small("gpt1-512", Architecture::Gpt1);
    assert_eq!(words.token_text(507).as_deref(), Some("heaven "));
    assert_eq!(words.token_text(512), None);
}

#[test]
fn a_character_in_three_tokens_is_shown_whole() {
    let tokenizer = gpt2();
    let ids = tokenizer.encode("🤖!", Escape);
    let mut stream = tokenizer.stream();
    let shown: Vec<String> = ids.iter().map(|&id| stream.push(id)).collect();
    assert_eq!(shown, ["", "", "🤖", "!"]);
    assert_eq!(stream.finish(), "");
    let mut stream = tokenizer.stream();
    assert_eq!(stream.push(ids[0]), "");
    assert_eq!(stream.finish(), "\u{fffd}");
}

#[test]
fn gpt1_shows_the_space_after_a_word_with_the_next_word() {
    let tokenizer = small("gpt1-512", Architecture::Gpt1);
    let mut stream = tokenizer.stream();
    assert_eq!(stream.push(507), "heaven");
    assert_eq!(stream.push(507), " heaven");
    assert_eq!(stream.finish(), "");
}

#[test]
fn files_that_would_lose_text_are_refused() {
    let files = TokenizerFiles::parse(br#"{"!":0}"#, b"#version: 0.2\n", 1).unwrap();
    let refusal = |architecture| Tokenizer::new(architecture, files.clone()).unwrap_err().to_string();
    insta::assert_snapshot!(refusal(Architecture::Gpt2), @"the vocabulary has no token for the byte 0x00; GPT-2 needs one for each of the 256 bytes");
    insta::assert_snapshot!(refusal(Architecture::Gpt1), @"the vocabulary has no `<unk>`, which GPT-1 needs for unknown text");
}

#[test]
fn a_megabyte_that_cannot_be_cut_does_not_hang() {
    const MEGABYTE: usize = 1 << 20;
    let tokenizers = [gpt2(), small("gpt1-512", Architecture::Gpt1)];
    for unit in ["a", " ", "abcdefghij", "\n", "ab ", ".", "日", "\0", "e\u{301}", "\u{316}"] {
        let text = unit.repeat(MEGABYTE / unit.len()) + "x";
        for tokenizer in &tokenizers {
            let start = Instant::now();
            let ids = tokenizer.encode(&text, Escape);
            assert!(!ids.is_empty());
            tokenizer.decode(&ids);
            assert!(start.elapsed() < Duration::from_secs(20), "{unit:?}: {:?}", start.elapsed());
        }
    }
}

/// Bytes of a fixture with some stretches replaced.
fn tampered(path: String) -> impl Strategy<Value = Vec<u8>> {
    let bytes = read(&path);
    let patch = (any::<prop::sample::Index>(), 0..8_usize, "[ \n\"{}:,0-9a-zĠ</>\\\\]{0,6}|\\PC");
    prop::collection::vec(patch, 0..4).prop_map(move |patches| {
        let mut bytes = bytes.clone();
        for (at, removed, inserted) in patches {
            let start = at.index(bytes.len() + 1);
            let end = (start + removed).min(bytes.len());
            bytes.splice(start..end, inserted.into_bytes());
        }
        bytes
    })
}

fn use_both_ways(vocabulary: &[u8], merges: &[u8], text: &str) {
    let Ok(files) = TokenizerFiles::parse(vocabulary, merges, 600) else {
        return;
    };
    for architecture in [Architecture::Gpt2, Architecture::Gpt1] {
        if let Ok(tokenizer) = Tokenizer::new(architecture, files.clone()) {
            for special in [Parse, Escape] {
                tokenizer.decode(&tokenizer.encode(text, special));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_as_files_never_panic(
        vocabulary in prop::collection::vec(any::<u8>(), 0..200),
        merges in prop::collection::vec(any::<u8>(), 0..200),
        text in texts(),
    ) {
        use_both_ways(&vocabulary, &merges, &text);
        use_both_ways(&vocabulary, &read("gpt2-512/merges.txt"), &text);
        use_both_ways(&read("gpt2-512/vocab.json"), &merges, &text);
    }

    #[test]
    fn tampered_files_never_panic(
        gpt2 in (tampered("gpt2-512/vocab.json".into()), tampered("gpt2-512/merges.txt".into())),
        gpt1 in (tampered("gpt1-512/vocab.json".into()), tampered("gpt1-512/merges.txt".into())),
        text in texts(),
    ) {
        use_both_ways(&gpt2.0, &gpt2.1, &text);
        use_both_ways(&gpt1.0, &gpt1.1, &text);
        use_both_ways(&gpt2.0, &gpt1.1, &text);
    }
}

#[test]
fn any_text_has_the_librarys_ids_and_comes_back() {
    let pairs = [
        (gpt2(), judge::gpt2("gpt2/encoder.json", "gpt2/vocab.bpe")),
        (small("gpt2-512", Architecture::Gpt2), judge::gpt2("gpt2-512/vocab.json", "gpt2-512/merges.txt")),
    ];
    let mut escaping = judge::gpt2("gpt2/encoder.json", "gpt2/vocab.bpe");
    escaping.set_encode_special_tokens(true);
    proptest!(|(text in texts())| {
        for (ours, judge) in &pairs {
            let ids = ours.encode(&text, Parse);
            prop_assert_eq!(&ids, &judged(judge, &text));
            prop_assert_eq!(ours.decode(&ids), &*text);
            prop_assert_eq!(ours.decode(&ours.encode(&text, Escape)), &*text);
        }
        prop_assert_eq!(pairs[0].0.encode(&text, Escape), judged(&escaping, &text));
    });
}

#[test]
fn any_text_has_the_librarys_ids_in_gpt1() {
    let (ours, mut judge) = (small("gpt1-512", Architecture::Gpt1), judge::gpt1());
    let mut escaping = judge.clone();
    escaping.set_encode_special_tokens(true);
    judge.set_encode_special_tokens(false);
    proptest!(|(text in texts())| {
        let ids = ours.encode(&text, Parse);
        prop_assert_eq!(&ids, &judged(&judge, &text));
        prop_assert_eq!(ours.encode(&text, Escape), judged(&escaping, &text));
        if !ids.is_empty() {
            prop_assert_eq!(ours.decode(&ids), judge.decode(&ids, false).unwrap());
        }
    });
}

#[test]
fn a_stream_of_any_ids_shows_what_decoding_them_shows() {
    let gpt2_judge = judge::gpt2("gpt2-512/vocab.json", "gpt2-512/merges.txt");
    let tokenizers = [
        (small("gpt2-512", Architecture::Gpt2), gpt2_judge),
        (small("gpt1-512", Architecture::Gpt1), judge::gpt1()),
    ];
    proptest!(|(ids in prop::collection::vec(prop_oneof![0..520_u32, 94..256_u32], 1..60))| {
        for (tokenizer, judge) in &tokenizers {
            let mut stream = tokenizer.stream();
            let mut shown: String = ids.iter().map(|&id| stream.push(id)).collect();
            shown.push_str(&stream.finish());
            prop_assert_eq!(&shown, &tokenizer.decode(&ids));
            if ids.iter().any(|&id| id < 512) {
                prop_assert_eq!(&shown, &judge.decode(&ids, false).unwrap());
            }
        }
    });
}
