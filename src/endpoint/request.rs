//! Parses and checks a request for completions: <https://platform.openai.com/docs/api-reference/completions>.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Served;
use super::problem::Problem;
use crate::inference::tokenizer::SpecialTokens;
use crate::inference::{Error, GenerationOptions, Sampling};

/// Maximum completions of one request.
const MAX_TEXTS: usize = 128;
/// Maximum alternatives for each token.
const MAX_LOGPROBS: usize = 5;
/// Maximum stop strings, and bytes of each.
const MAX_STOPS: usize = 4;
const MAX_STOP_BYTES: usize = 1024;

/// The JSON body of a request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    model: String,
    prompt: Option<Prompt>,
    #[serde(default)]
    suffix: Option<String>,
    max_tokens: Option<usize>,
    temperature: Option<f32>,
    top_p: Option<f32>,
    /// An extension of OpenAI's API: the number of candidates.
    top_k: Option<usize>,
    n: Option<usize>,
    best_of: Option<usize>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    logprobs: Option<usize>,
    echo: Option<bool>,
    stop: Option<Stop>,
    presence_penalty: Option<f64>,
    frequency_penalty: Option<f64>,
    logit_bias: Option<std::collections::BTreeMap<String, f64>>,
    seed: Option<i64>,
    /// Ignored: the record names the researcher.
    #[serde(rename = "user")]
    _user: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "`prompt` must be a string, a list of strings, a list of tokens, or a list of lists of tokens"
)]
enum Prompt {
    Text(String),
    Texts(Vec<String>),
    Tokens(Vec<u32>),
    ManyTokens(Vec<Vec<u32>>),
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "`stop` must be a string or a list of strings")]
enum Stop {
    One(String),
    Several(Vec<String>),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
    /// Ignored: padding against eavesdroppers.
    #[serde(default, rename = "include_obfuscation")]
    _include_obfuscation: bool,
}

/// A valid request for completions.
#[derive(Debug)]
pub(super) struct CompletionRequest {
    /// The prompts, none of them empty.
    pub(super) prompts: Vec<Vec<u32>>,
    /// Completions of each prompt.
    pub(super) each: usize,
    /// Options of the first completion; each further one increments the seed.
    pub(super) options: GenerationOptions,
    pub(super) stop: Vec<String>,
    pub(super) echo: bool,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
}

impl CompletionRequest {
    /// Parses a body and checks every limit.
    pub(super) fn parse(body: &[u8], served: &Served) -> Result<Self, Problem> {
        let body: Body = crate::json::from_slice(body).map_err(|error| {
            Problem::malformed(format!("the body is not a valid completion request: {error}"))
        })?;
        let checkpoint = served.checkpoint.to_string();
        if body.model != checkpoint {
            return Err(Problem::unknown_model(&body.model, &checkpoint));
        }
        reject_unsupported(&body)?;
        let each = body.n.unwrap_or(1);
        let prompts = prompts(body.prompt, served)?;
        if prompts.is_empty() {
            let message = "the list of prompts is empty: give at least one, or omit `prompt` for a text without a prompt";
            return Err(Problem::invalid("prompt", message));
        }
        if each == 0 || prompts.len().saturating_mul(each) > MAX_TEXTS {
            let message =
                format!("a request must be for 1 to {MAX_TEXTS} completions of all prompts together");
            return Err(Problem::invalid("n", message));
        }
        let max_tokens = body.max_tokens.unwrap_or(16);
        prompts.iter().try_for_each(|prompt| check_prompt(prompt, max_tokens, served))?;
        if body.logprobs.is_some_and(|count| count > MAX_LOGPROBS) {
            let message = format!("`logprobs` must be at most {MAX_LOGPROBS}");
            return Err(Problem::invalid("logprobs", message));
        }
        let sampling = Sampling {
            temperature: body.temperature.unwrap_or(1.0),
            top_k: body.top_k,
            top_p: body.top_p.unwrap_or(1.0),
            seed: body.seed.map_or_else(rand::random, i64::cast_unsigned),
        };
        sampling.check().map_err(invalid_setting)?;
        let echo = body.echo.unwrap_or(false);
        let options = GenerationOptions {
            sampling,
            max_tokens,
            stop_at_end_of_text: true,
            log_probabilities: body.logprobs,
            prompt_log_probabilities: echo && body.logprobs.is_some(),
        };
        let stream = body.stream.unwrap_or(false);
        let include_usage = body.stream_options.unwrap_or_default().include_usage;
        Ok(Self { prompts, each, options, stop: stops(body.stop)?, echo, stream, include_usage })
    }
}

/// The error for a setting that is out of range.
fn invalid_setting(error: Error) -> Problem {
    match error {
        Error::Sampling { setting, .. } => Problem::invalid(setting, error.to_string()),
        error => Problem::malformed(error.to_string()),
    }
}

/// Refuses fields that are not supported instead of ignoring them.
fn reject_unsupported(body: &Body) -> Result<(), Problem> {
    if body.suffix.as_ref().is_some_and(|suffix| !suffix.is_empty()) {
        return Err(Problem::invalid("suffix", "`suffix` is not supported: GPT-2 only continues a prompt"));
    }
    if body.best_of.is_some_and(|best_of| best_of != body.n.unwrap_or(1)) {
        return Err(Problem::invalid(
            "best_of",
            "`best_of` is not supported: request `n` completions and choose one",
        ));
    }
    let penalties =
        [("presence_penalty", body.presence_penalty), ("frequency_penalty", body.frequency_penalty)];
    for (name, penalty) in penalties {
        if penalty.is_some_and(|penalty| penalty != 0.0) {
            return Err(Problem::invalid(
                name,
                format!("`{name}` is not supported: omit it, or set it to 0"),
            ));
        }
    }
    if body.logit_bias.as_ref().is_some_and(|bias| !bias.is_empty()) {
        return Err(Problem::invalid("logit_bias", "`logit_bias` is not supported: omit it"));
    }
    Ok(())
}

fn prompts(prompt: Option<Prompt>, served: &Served) -> Result<Vec<Vec<u32>>, Problem> {
    let encode = |text: &str| served.tokenizer.encode(text, SpecialTokens::Parse);
    let mut prompts = match prompt {
        None => vec![Vec::new()],
        Some(Prompt::Text(text)) => vec![encode(&text)],
        Some(Prompt::Texts(texts)) => texts.iter().take(MAX_TEXTS + 1).map(|text| encode(text)).collect(),
        Some(Prompt::Tokens(tokens)) => vec![tokens],
        Some(Prompt::ManyTokens(many)) => many,
    };
    // Without a prompt, the text begins with the begin token.
    for prompt in prompts.iter_mut().filter(|prompt| prompt.is_empty()) {
        let begin_token = served.model.config().begin_token.or(served.tokenizer.end_of_text());
        let no_token =
            || Problem::invalid("prompt", "a prompt is required: this checkpoint has no begin token");
        prompt.push(begin_token.ok_or_else(no_token)?);
    }
    Ok(prompts)
}

fn check_prompt(prompt: &[u32], max_tokens: usize, served: &Served) -> Result<(), Problem> {
    let config = served.model.config();
    if let Some(token) = prompt.iter().find(|&&token| token as usize >= config.vocabulary) {
        let message = format!("token {token} is outside the vocabulary of {}", config.vocabulary);
        return Err(Problem::invalid("prompt", message));
    }
    if prompt.len().saturating_add(max_tokens) > config.context {
        return Err(Problem::too_long(format!(
            "the prompt has {} tokens and `max_tokens` is {max_tokens}, but the context has {}: shorten the prompt, or lower `max_tokens`",
            prompt.len(),
            config.context,
        )));
    }
    Ok(())
}

fn stops(stop: Option<Stop>) -> Result<Vec<String>, Problem> {
    let stops = match stop {
        None => Vec::new(),
        Some(Stop::One(stop)) => vec![stop],
        Some(Stop::Several(stops)) => stops,
    };
    if stops.len() > MAX_STOPS || stops.iter().any(|stop| stop.len() > MAX_STOP_BYTES) {
        let message = format!("`stop` must be at most {MAX_STOPS} strings of at most {MAX_STOP_BYTES} bytes");
        return Err(Problem::invalid("stop", message));
    }
    Ok(stops)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::testing::served;
    use super::*;

    /// Any JSON value, including values that a request has.
    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            (0u32..600).prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
            Just(json!("tiny")),
        ];
        leaf.prop_recursive(3, 24, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::btree_map(".{0,6}", inner, 0..4).prop_map(|map| json!(map)),
            ]
        })
    }

    const NAMES: [&str; 17] = [
        "model",
        "prompt",
        "suffix",
        "max_tokens",
        "temperature",
        "top_p",
        "top_k",
        "n",
        "best_of",
        "stream",
        "logprobs",
        "echo",
        "stop",
        "logit_bias",
        "seed",
        "user",
        "stream_options",
    ];

    #[test]
    fn every_body_is_refused_or_within_all_limits() {
        let served = served();
        let field = (proptest::sample::select(NAMES.as_slice()), value());
        let fields = (any::<bool>(), proptest::collection::vec(field, 0..6));
        proptest!(|((named, fields) in fields)| {
            let mut body = if named { json!({ "model": "tiny" }) } else { json!({}) };
            for (name, value) in fields {
                body[name] = value;
            }
            if let Ok(request) = CompletionRequest::parse(body.to_string().as_bytes(), &served) {
                prop_assert!((1..=MAX_TEXTS).contains(&(request.prompts.len() * request.each)));
                prop_assert!(request.stop.len() <= MAX_STOPS);
                prop_assert!(request.options.sampling.check().is_ok());
                for prompt in &request.prompts {
                    prop_assert!(!prompt.is_empty());
                    prop_assert!(prompt.len() + request.options.max_tokens <= 128);
                    prop_assert!(prompt.iter().all(|&token| token < 512));
                }
            }
        });
        proptest!(|(bytes in proptest::collection::vec(any::<u8>(), 0..64))| {
            prop_assert!(CompletionRequest::parse(&bytes, &served).is_err());
        });
        let deep = format!("{{\"model\":\"tiny\",\"prompt\":{}", "[".repeat(1 << 20));
        assert!(CompletionRequest::parse(deep.as_bytes(), &served).is_err());
    }
}
