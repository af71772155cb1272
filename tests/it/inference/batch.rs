//! Texts that are written at the same time, that share beginnings, and that are guessed ahead: the same texts as one by one.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::support::checkpoint::Golden;
use portcullis::inference::{
    Arithmetic, Batch, Error, Event, Finish, Generation, GenerationOptions, LoadOptions, Model, Precision,
    RandomWeights, Sampling, ScoredToken, SequenceId, Speculation, score,
};
use portcullis::progress::NoProgress;

fn load(name: &str, precision: Precision) -> Model {
    let written = Golden::read(name).write();
    let options =
        LoadOptions { precision: Some(precision), arithmetic: Arithmetic::Native, ..LoadOptions::default() };
    Model::load(&written.config, &written.file, &options, &NoProgress).unwrap()
}

fn options(seed: u64, max_tokens: usize) -> GenerationOptions {
    // Every third text is greedy.
    let temperature = [0.0, 0.8, 1.3][seed as usize % 3];
    let sampling = Sampling { temperature, top_k: None, top_p: 1.0, seed };
    GenerationOptions { sampling, max_tokens, stop_at_end_of_text: false, ..GenerationOptions::default() }
}

/// Prompts that differ in length, some with beginnings in common, and what to write behind each.
fn texts(model: &Model) -> Vec<(Vec<u32>, GenerationOptions)> {
    let (vocabulary, context) = (model.config().vocabulary as u32, model.config().context);
    let prompt = |seed: u32, count: usize| {
        (0..count as u32).map(|i| (i * 31 + seed * 17 + i * i) % vocabulary).collect()
    };
    (0..14u32)
        .map(|seed| {
            let count = 1 + (seed as usize * 13) % (context - 8);
            (prompt(seed / 3, count), options(seed.into(), 3 + (seed as usize * 5) % 20))
        })
        .collect()
}

/// Runs a batch to its end; `step` is called before each pass.
fn finish(
    batch: &mut Batch<'_>,
    mut step: impl FnMut(&mut Batch<'_>, usize),
) -> (BTreeMap<SequenceId, Generation>, usize) {
    let (mut ended, mut passes) = (BTreeMap::new(), 0);
    loop {
        step(batch, passes);
        if batch.sequence_count() == 0 {
            return (ended, passes);
        }
        passes += 1;
        batch.step(&mut |id, event| {
            match event {
                Event::End(generation) => assert!(ended.insert(id, generation).is_none(), "it ended twice"),
                Event::Failed(error) => panic!("{error}"),
                Event::Token(_) | Event::Prompt(_) => {}
            }
            ControlFlow::Continue(())
        });
    }
}

fn alone(model: &Model, prompt: &[u32], options: &GenerationOptions) -> Generation {
    let mut batch = Batch::new(model, 1);
    let id = batch.begin(prompt.to_vec(), options).unwrap();
    finish(&mut batch, |_, _| ()).0.remove(&id).unwrap()
}

#[test]
fn a_text_is_the_same_whatever_is_written_beside_it_and_when_it_began() {
    for (name, precision) in [
        ("f32", Precision::F32),
        ("odd-shapes", Precision::BF16),
        ("gpt1", Precision::Q8),
        ("f32", Precision::Q4),
    ] {
        let model = load(name, precision);
        let texts = texts(&model);
        for (max, kept) in [(1, 0), (4, 0), (16, 0), (4, 1 << 30), (3, 40_000)] {
            let mut batch = Batch::new(&model, max).with_prefix_cache(kept);
            let mut ids = Vec::new();
            let (ended, _) = finish(&mut batch, |batch, passes| {
                // Two more with each pass, so that texts begin while others are being written.
                for (prompt, options) in
                    texts.iter().skip(ids.len()).take(if passes % 2 == 0 { 2 } else { 1 })
                {
                    ids.push(batch.begin(prompt.clone(), options).unwrap());
                }
            });
            assert_eq!(ended.len(), texts.len());
            for (id, (prompt, options)) in ids.iter().zip(&texts) {
                let expected = alone(&model, prompt, options);
                assert_eq!(ended[id].tokens, expected.tokens, "{name} {precision} {max} {kept}");
                assert_eq!(ended[id].finish, expected.finish);
                assert_eq!(ended[id].prompt_tokens, prompt.len());
            }
        }
    }
}

/// The distribution of a text is unchanged because the text is: each seed gives the very same tokens.
#[test]
fn guesses_change_no_text_whoever_guesses() {
    let (model, other) = (load("f32", Precision::F32), load("f32", Precision::Q4));
    let texts = texts(&model);
    for speculation in [Speculation::Lookup, Speculation::Draft(&model), Speculation::Draft(&other)] {
        for max in [1, 5] {
            let mut batch = Batch::new(&model, max).with_speculation(speculation).unwrap();
            let ids: Vec<_> =
                texts.iter().map(|(prompt, options)| batch.begin(prompt.clone(), options).unwrap()).collect();
            let (ended, _) = finish(&mut batch, |_, _| ());
            for (id, (prompt, options)) in ids.iter().zip(&texts) {
                assert_eq!(ended[id].tokens, alone(&model, prompt, options).tokens, "{speculation:?}");
            }
        }
    }
}

#[test]
fn right_guesses_save_passes_and_wrong_ones_cost_none() {
    let (model, other) = (load("f32", Precision::F32), load("f32", Precision::Q4));
    let passes = |speculation, seed| {
        let mut batch = Batch::new(&model, 1).with_speculation(speculation).unwrap();
        batch.begin(vec![10, 20], &options(seed, 40)).unwrap();
        finish(&mut batch, |_, _| ()).1
    };
    for seed in 0..6 {
        assert_eq!(passes(Speculation::None, seed), 40);
        // A model knows its own text, sampled or not: the draw that will be used on a guess made the guess.
        assert!(passes(Speculation::Draft(&model), seed) <= 8);
        assert!(passes(Speculation::Draft(&other), seed) <= 40);
        assert!(passes(Speculation::Lookup, seed) <= 40);
    }
    // A greedy text comes back to what it wrote before, sooner or later.
    let circle = |speculation| {
        let mut batch = Batch::new(&model, 1).with_speculation(speculation).unwrap();
        batch.begin(vec![10, 20], &options(0, 120)).unwrap();
        finish(&mut batch, |_, _| ()).1
    };
    assert_eq!(circle(Speculation::None), 120);
    assert!(circle(Speculation::Lookup) < 120);
}

#[test]
fn a_break_ends_a_text_with_that_token_though_more_were_guessed() {
    let model = load("f32", Precision::F32);
    let whole = alone(&model, &[10, 20], &options(1, 30)).tokens;
    let mut batch = Batch::new(&model, 2).with_speculation(Speculation::Draft(&model)).unwrap();
    batch.begin(vec![10, 20], &options(1, 30)).unwrap();
    let (mut told, mut ended) = (0, None);
    while batch.sequence_count() > 0 {
        batch.step(&mut |_, event| match event {
            Event::Token(_) => {
                told += 1;
                if told == 3 { ControlFlow::Break(Finish::Stop) } else { ControlFlow::Continue(()) }
            }
            Event::End(generation) => {
                ended = Some(generation);
                ControlFlow::Continue(())
            }
            other => panic!("{other:?}"),
        });
    }
    let ended = ended.unwrap();
    assert_eq!((ended.finish, told), (Finish::Stop, 3));
    assert_eq!(ended.tokens, whole[..3]);
}

#[test]
fn a_beginning_that_was_read_is_not_read_again() {
    let model = load("f32", Precision::F32);
    let prompt: Vec<u32> = (0..40).map(|i| i * 7 % 90).collect();
    let mut batch = Batch::new(&model, 4).with_prefix_cache(1 << 30);
    let (mut told, mut first) = (0, true);
    // Three at once: two wait until the first has read the prompt, which takes one pass.
    for seed in 0..3 {
        batch.begin(prompt.clone(), &options(seed, 2)).unwrap();
    }
    while batch.sequence_count() > 0 {
        batch.step(&mut |_, event| {
            told += usize::from(matches!(event, Event::Token(_)));
            ControlFlow::Continue(())
        });
        if std::mem::take(&mut first) {
            assert_eq!((told, batch.waiting_count()), (1, 2));
        }
    }
    assert_eq!(told, 6);
}

#[test]
fn a_text_is_cancelled_wherever_it_is() {
    let model = load("f32", Precision::F32);
    let mut batch = Batch::new(&model, 1);
    let running = batch.begin(vec![1], &options(0, 50)).unwrap();
    let waiting = batch.begin(vec![2], &options(0, 50)).unwrap();
    let (ended, passes) = finish(&mut batch, |batch, passes| {
        if passes == 3 {
            batch.cancel(waiting);
        }
        if passes == 4 {
            assert_eq!((batch.sequence_count(), batch.waiting_count()), (1, 0), "it need not wait for room");
            batch.cancel(running);
        }
    });
    assert_eq!(passes, 5);
    assert_eq!((ended[&running].finish, ended[&running].tokens.len()), (Finish::Cancelled, 4));
    assert_eq!((ended[&waiting].finish, ended[&waiting].tokens.len()), (Finish::Cancelled, 0));
}

#[test]
fn a_prompts_own_likelihood_is_that_of_its_score() {
    let model = load("f32", Precision::F32);
    let prompt: Vec<u32> = (0..40).map(|i| i * 11 % 90).collect();
    let mut batch = Batch::new(&model, 4).with_prefix_cache(1 << 30);
    let quiet = options(0, 1);
    let asking = GenerationOptions {
        prompt_log_probabilities: true,
        log_probabilities: Some(2),
        max_tokens: 0,
        ..quiet
    };
    batch.begin(prompt.clone(), &quiet).unwrap();
    batch.begin(prompt.clone(), &asking).unwrap();
    let mut steps: Vec<ScoredToken> = Vec::new();
    while batch.sequence_count() > 0 {
        batch.step(&mut |_, event| {
            if let Event::Prompt(step) = event {
                steps.push(step.clone());
            }
            ControlFlow::Continue(())
        });
    }
    assert_eq!(steps.iter().map(|step| step.token).collect::<Vec<_>>(), prompt[1..]);
    let sum: f64 = steps.iter().map(|step| -step.log_probability.as_ref().unwrap().chosen).sum();
    let scored = score(&model, &prompt, model.config().context, &NoProgress).unwrap();
    assert!((sum - scored.negative_log_likelihood).abs() < 1e-9);
    assert!(steps.iter().all(|step| step.log_probability.as_ref().unwrap().likeliest.len() == 2));
}

#[test]
fn what_cannot_be_written_is_refused_at_once() {
    let model = load("f32", Precision::F32);
    let mut batch = Batch::new(&model, 4);
    let mut refused = |prompt: Vec<u32>, options| batch.begin(prompt, &options).unwrap_err();
    assert!(matches!(refused(vec![], options(0, 1)), Error::NoTokens));
    assert!(matches!(refused(vec![u32::MAX], options(0, 1)), Error::UnknownToken { .. }));
    let long = vec![1; model.config().context + 1];
    assert!(matches!(refused(long, options(0, 1)), Error::ContextOverflow { .. }));
    let wild = Sampling { temperature: -1.0, ..Sampling::default() };
    assert!(matches!(
        refused(vec![1], GenerationOptions { sampling: wild, ..options(0, 1) }),
        Error::Sampling { .. }
    ));
    let config = portcullis::checkpoint::config::ModelConfig { vocabulary: 90, ..model.config().clone() };
    let other = Model::load(&config, &RandomWeights::new(&config), &LoadOptions::default(), &NoProgress).unwrap();
    let foreign = Batch::new(&model, 1).with_speculation(Speculation::Draft(&other)).unwrap_err();
    insta::assert_snapshot!(foreign.to_string(), @"the vocabulary of the draft has 90 tokens; the vocabulary of the model has 512");
}
