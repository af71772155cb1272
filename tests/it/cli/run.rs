//! `run`, `score` and `demo` as a researcher meets them.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::support::*;
use serde_json::Value;

/// The demo's checkpoints, imported once a test, in `<folder>/demo/checkpoints`.
fn demo(folder: &Path) {
    succeed(folder, "demo --dir demo --quiet --json");
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn run(folder: &Path, checkpoint: &str, arguments: &[&str]) -> Value {
    let output = portcullis()
        .current_dir(folder)
        .args(["--json", "run", checkpoint])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    json(&text(&output.stdout))
}

#[test]
fn the_demo_checkpoints_write_what_transformers_writes() {
    let folder = workplace();
    demo(folder.path());
    for id in ["demo-small", "demo-medium", "demo-large", "demo-xl"] {
        let golden = json(&fs::read_to_string(fixture("demo").join(id).join("golden.json")).unwrap());
        for case in golden["cases"].as_array().unwrap() {
            let prompt = case["prompt"].as_str().unwrap();
            let checkpoint = format!("demo/checkpoints/{id}");
            let result = run(folder.path(), &checkpoint, &[prompt, "-t", "0", "-n", "48"]);
            let sample = &result["samples"][0];
            assert_eq!(sample["prompt_tokens"], case["prompt_ids"].as_array().unwrap().len());
            assert_eq!(sample["tokens"], case["greedy_ids"], "{id}: {prompt}");
            assert_eq!(sample["text"], case["greedy_text"]);
            assert_eq!(sample["finish_reason"], "length");
        }
    }
}

#[test]
fn a_text_scores_as_transformers_scores_it() {
    let folder = workplace();
    demo(folder.path());
    let valid = fs::read_to_string(fixture("demo/valid.txt")).unwrap();
    let first = valid.split("<|endoftext|>").next().unwrap();
    fs::write(folder.path().join("first.txt"), first).unwrap();
    for id in ["demo-small", "demo-xl"] {
        let golden = json(&fs::read_to_string(fixture("demo").join(id).join("golden.json")).unwrap());
        let expected = golden["first_256_tokens_of_valid_mean_nll"].as_f64().unwrap();
        // The first 256 tokens: those of the text that a prompt which is cut would keep are not these, so take ids.
        let files =
            |name: &str| fs::read(folder.path().join("demo/checkpoints").join(id).join(name)).unwrap();
        let files = portcullis::checkpoint::tokenizer_files::TokenizerFiles::parse(
            &files("vocab.json"),
            &files("merges.txt"),
            4096,
        );
        let tokenizer = portcullis::inference::tokenizer::Tokenizer::new(
            portcullis::checkpoint::config::Architecture::Gpt2,
            files.unwrap(),
        );
        let ids = tokenizer
            .unwrap()
            .encode(first, portcullis::inference::tokenizer::SpecialTokens::Escape)
            .into_iter()
            .take(256)
            .map(|id| id.to_string())
            .collect::<Vec<_>>()
            .join(",");
        let result =
            json(&succeed(folder.path(), &format!("score demo/checkpoints/{id} --tokens {ids} --json")));
        assert_eq!(result["tokens"], 255);
        assert!((result["mean_nll"].as_f64().unwrap() - expected).abs() < 1e-4, "{id}");
        assert_eq!(result["last_logits"].as_array().unwrap().len(), 4096);
    }
    insta::assert_snapshot!(succeed(folder.path(), "score demo/checkpoints/demo-small first.txt"), @"
    demo-small
      tokens scored  1,687
      bits per byte  1.5280
      perplexity     33.749
      stride         128 of a context of 256
    ");
}

#[test]
fn one_token_gives_logits_and_no_likelihood() {
    let folder = workplace();
    published(folder.path(), "f32");
    succeed(folder.path(), "import mine source --to imported");
    let golden = json(&fs::read_to_string(fixture("golden/f32/golden.json")).unwrap());
    let result = json(&succeed(folder.path(), "score imported --tokens 1 --json"));
    assert_eq!(result["mean_nll"], Value::Null);
    let pairs = result["last_logits"]
        .as_array()
        .unwrap()
        .iter()
        .zip(golden["cases"][0]["last_logits"].as_array().unwrap());
    let difference = |(a, b): (&Value, &Value)| (a.as_f64().unwrap() - b.as_f64().unwrap()).abs();
    assert!(pairs.map(difference).fold(0.0, f64::max) < 1e-3);
}

#[test]
fn every_layout_runs_from_its_normal_form() {
    for layout in ["f32", "f32-prefixed", "f16", "bf16", "sharded", "untied", "odd-shapes", "gpt1"] {
        let folder = workplace();
        published(folder.path(), layout);
        succeed(folder.path(), "import mine source --to imported");
        let golden = json(&fs::read_to_string(fixture("golden").join(layout).join("golden.json")).unwrap());
        for case in golden["cases"].as_array().unwrap() {
            let prompt: Vec<_> = case["prompt"].as_array().unwrap().iter().map(Value::to_string).collect();
            let count = case["greedy"].as_array().unwrap().len().to_string();
            // In f32, as transformers computed it: in fewer bits a tie may fall otherwise.
            let arguments =
                ["--tokens", &prompt.join(","), "-t", "0", "-n", &count, "--ignore-eos", "--dtype", "f32"];
            let result = run(folder.path(), "imported", &arguments);
            assert_eq!(result["samples"][0]["tokens"], case["greedy"], "{layout}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_text() {
    let folder = workplace();
    demo(folder.path());
    let texts = |seed: &str| {
        let arguments = ["And the", "--seed", seed, "-n", "20", "--samples", "2"];
        let result = run(folder.path(), "demo/checkpoints/demo-small", &arguments);
        [0, 1].map(|i| result["samples"][i]["text"].clone())
    };
    assert_eq!(texts("5"), texts("5"));
    let (fifth, sixth) = (texts("5"), texts("6"));
    assert_ne!(fifth[0], sixth[0]);
    assert_eq!(fifth[1], sixth[0], "samples take seeds that follow one another");
}

#[test]
fn what_is_streamed_is_the_text_and_ends_before_a_stop() {
    let folder = workplace();
    demo(folder.path());
    let checkpoint = "demo/checkpoints/demo-medium";
    let whole = run(folder.path(), checkpoint, &["And it came", "-t", "0", "-n", "40"]);
    let whole = whole["samples"][0]["text"].as_str().unwrap();
    let streamed = |arguments: &[&str]| {
        let output = portcullis()
            .current_dir(folder.path())
            .args(["run", checkpoint])
            .args(arguments)
            .output()
            .unwrap();
        text(&output.stdout)
    };
    assert_eq!(streamed(&["And it came", "-t", "0", "-n", "40"]), format!("{whole}\n"));
    let stop = &whole[whole.len() / 2..whole.len() / 2 + 3];
    let before = &whole[..whole.find(stop).unwrap()];
    let stopped = run(folder.path(), checkpoint, &["And it came", "-t", "0", "-n", "40", "--stop", stop]);
    assert_eq!(stopped["samples"][0]["finish_reason"], "stop");
    assert_eq!(stopped["samples"][0]["text"], before);
    assert_eq!(streamed(&["And it came", "-t", "0", "-n", "40", "--stop", stop]), format!("{before}\n"));
}

#[test]
fn a_prompt_comes_from_standard_input_too() {
    let folder = workplace();
    demo(folder.path());
    let checkpoint = "demo/checkpoints/demo-small";
    let given = run(folder.path(), checkpoint, &["In the beginning", "-t", "0", "-n", "5"]);
    for arguments in [&["-"][..], &[]] {
        let mut child = portcullis()
            .current_dir(folder.path())
            .args(["--json", "run", checkpoint, "-t", "0", "-n", "5"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(b"In the beginning").unwrap();
        let piped = json(&text(&child.wait_with_output().unwrap().stdout));
        assert_eq!(piped["samples"][0]["tokens"], given["samples"][0]["tokens"]);
    }
}

#[test]
fn a_prompt_that_is_too_long_is_refused_by_how_much_or_cut_on_request() {
    let folder = workplace();
    demo(folder.path());
    let long = vec!["5"; 300].join(",");
    let arguments = format!("run demo/checkpoints/demo-small --tokens {long} -n 50");
    insta::assert_snapshot!(refuse(folder.path(), &arguments), @"
    exit 2
    error: the prompt has 300 tokens, 44 more than the context of 256
      next: shorten it, or keep its end with --truncate
    ");
    let cut = json(&succeed(folder.path(), &format!("{arguments} --truncate --json --ignore-eos")));
    assert_eq!(cut["samples"][0]["prompt_tokens"], 206);
    assert_eq!(cut["samples"][0]["tokens"].as_array().unwrap().len(), 50);
}

#[test]
fn wrong_settings_are_refused_with_what_to_do() {
    let folder = workplace();
    demo(folder.path());
    let refused =
        |arguments: &str| refuse(folder.path(), &format!("run demo/checkpoints/demo-small {arguments}"));
    insta::assert_snapshot!(refused("hello --temperature -1"), @"
    exit 2
    error: `temperature` is -1; it must be 0 or more, and finite
      next: change that setting
    ");
    insta::assert_snapshot!(refused("hello --top-p 1.5"), @"
    exit 2
    error: `top_p` is 1.5; it must be from 0 to 1
      next: change that setting
    ");
    insta::assert_snapshot!(refused("--tokens 1,99999"), @"
    exit 2
    error: token 99999 is outside the vocabulary of 4096
      next: give ids of this checkpoint's own vocabulary
    ");
    insta::assert_snapshot!(refused("hello --tokens 1"), @"
    exit 2
    error: both a prompt and --tokens are given
      next: give one of them
    ");
    insta::assert_snapshot!(refused("hello --device cuda"), @"
    exit 5
    error: this program was built without CUDA: use `--device cpu`, or build it with `--features cuda`
      next: leave out --device to use the processor
    ");
    insta::assert_snapshot!(refuse(folder.path(), "score demo/checkpoints/demo-small"), @"
    exit 2
    error: nothing to score
      next: give a text file, or --tokens
    ");
    fs::write(folder.path().join("short.txt"), "a").unwrap();
    insta::assert_snapshot!(refuse(folder.path(), "score demo/checkpoints/demo-small short.txt"), @"
    exit 2
    error: a text of fewer than two tokens cannot be scored: nothing in it is predicted
      next: give a longer text
    ");
    insta::assert_snapshot!(refuse(folder.path(), "score demo/checkpoints/demo-small --tokens 1,2 --stride 0"), @"
    exit 2
    error: the stride is 0; it must be from 1 to the context of 256
      next: change that setting
    ");
    fs::write(folder.path().join("latin1.txt"), b"caf\xe9").unwrap();
    insta::assert_snapshot!(refuse(folder.path(), "score demo/checkpoints/demo-small latin1.txt"), @"
    exit 2
    error: latin1.txt is not UTF-8 at byte 3
      next: convert it to UTF-8 first
    ");
}

#[test]
fn p6_altered_weights_write_nothing() {
    let folder = workplace();
    demo(folder.path());
    let path = folder.path().join("demo/checkpoints/demo-small/model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(path, bytes).unwrap();
    let output = run_in(folder.path(), "run demo/checkpoints/demo-small hello -n 5");
    assert_eq!(text(&output.stdout), "");
    insta::assert_snapshot!(failure(&output), @"
    exit 4
    error: demo/checkpoints/demo-small: model.safetensors: SHA-256 is d3d7350209fd178ba79984df1dc9a752b480d8aaa95f52c3e61de50763feee0b, not af6b0e223eaf8cde5a151484112e1d4e30505e085ea609dd2f2b7aede872a501
      next: import it again; `portcullis verify <folder>` lists everything that differs
    ");
}

#[test]
fn log_probabilities_are_shown_with_the_likeliest() {
    let folder = workplace();
    demo(folder.path());
    let arguments = ["In the", "-t", "0", "-n", "2", "--logprobs", "3"];
    let result = run(folder.path(), "demo/checkpoints/demo-small", &arguments);
    let logprobs = result["samples"][0]["logprobs"].as_array().unwrap();
    assert_eq!(logprobs.len(), 2);
    for token in logprobs {
        assert_eq!(token["likeliest"].as_array().unwrap().len(), 3);
        assert_eq!(token["likeliest"][0]["token"], token["token"], "greedy takes the likeliest");
        assert!(token["logprob"].as_f64().unwrap() < 0.0);
    }
}

#[test]
fn ctrl_c_ends_with_what_was_written() {
    let folder = workplace();
    demo(folder.path());
    let mut child = portcullis()
        .current_dir(folder.path())
        .args(["run", "demo/checkpoints/demo-xl", "And", "--ignore-eos", "-n", "200", "--samples", "10000"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut written = vec![0; 40];
    stdout.read_exact(&mut written).unwrap();
    thread::sleep(Duration::from_millis(100));
    assert!(
        Command::new("sh").args(["-c", &format!("kill -INT {}", child.id())]).status().unwrap().success()
    );
    stdout.read_to_end(&mut written).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(text(&written).ends_with('\n'));
}

#[test]
fn a_reader_that_has_had_enough_is_no_error() {
    let folder = workplace();
    demo(folder.path());
    let mut child = portcullis()
        .current_dir(folder.path())
        .args(["run", "demo/checkpoints/demo-xl", "And", "--ignore-eos", "-n", "200", "--samples", "10000"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap(); // and closes
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", failure(&output));
    assert_eq!(text(&output.stderr), "");
}
