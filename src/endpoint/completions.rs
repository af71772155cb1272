//! `POST /v1/completions`.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{Receiver, channel};

use super::answer::{Answer, Choice, Usage, Writing};
use super::clerk::{Job, ToClerk, Told};
use super::delivery::{self, Delivery, Gone, Place};
use super::problem::Problem;
use super::request::Request;
use super::{App, Parts, body};
use crate::inference::{GenerationOptions, Sampling};
use crate::time::Timestamp;

/// What the writer says of each text.
type Inbox = Receiver<(usize, Told)>;

/// A request that is being answered.
struct Answering {
    app: App,
    request: Request,
    id: String,
    created: i64,
    model: String,
    usage: Usage,
    open: usize,
}

pub(super) async fn create(
    State(app): State<App>,
    request: axum::extract::Request,
) -> Result<Response, Problem> {
    let request = body::read(&app, request).await?;
    let (place, mut inbox) = ask(&app, &request)?;
    let answering = Answering {
        id: format!("cmpl-{:032x}", rand::random::<u128>()),
        created: Timestamp::now().unix_seconds(),
        model: app.served.checkpoint.to_string(),
        usage: Usage { prompt_tokens: request.prompts.iter().map(Vec::len).sum(), ..Usage::default() },
        open: request.prompts.len() * request.each,
        app,
        request,
    };
    if !answering.request.stream {
        return answering.whole(place, inbox).await;
    }
    // Whether it may begin at all is told by the status, as without a stream.
    match inbox.recv().await.ok_or_else(ended_early)? {
        (_, Told::Failed(problem)) => Err(problem),
        first => Ok(answering.stream(first, place, inbox)),
    }
}

/// Hands all texts of a request to the clerk, if there is a place for each.
fn ask(app: &Parts, request: &Request) -> Result<(Place, Inbox), Problem> {
    let texts = request.prompts.len() * request.each;
    if texts > app.max_texts {
        let message = format!("at most {} texts are taken at a time here", app.max_texts);
        return Err(Problem::invalid("n", message));
    }
    // The request's check bounded the number.
    let count = u32::try_from(texts).unwrap_or(u32::MAX);
    let place = Arc::clone(&app.places).try_acquire_many_owned(count).map_err(|_| Problem::busy())?;
    let place = Arc::new(place);
    // A step for each token that is told of, and the end: a full channel would be a defect, and is taken for a client that is gone.
    let steps: usize =
        request.prompts.iter().map(|prompt| prompt.len() + request.options.max_tokens + 2).sum();
    let (to, inbox) = channel(steps.saturating_mul(request.each).min(Semaphore::MAX_PERMITS));
    for index in 0..texts {
        let sampling = &request.options.sampling;
        let seed = sampling.seed.wrapping_add(index as u64);
        let job = Job {
            index,
            prompt: request.prompts[index / request.each].clone(),
            options: GenerationOptions { sampling: Sampling { seed, ..*sampling }, ..request.options },
            stop: request.stop.clone(),
            echo: request.echo,
            to: to.clone(),
            place: Arc::clone(&place),
            asked: Instant::now(),
        };
        app.clerk.send(ToClerk::Begin(job)).map_err(|_| Problem::stopping())?;
    }
    Ok((place, inbox))
}

impl Answering {
    fn writings(&self) -> Vec<Writing<'_>> {
        let wants = self.request.options.log_probabilities.is_some();
        let texts =
            self.request.prompts.iter().flat_map(|prompt| std::iter::repeat_n(prompt, self.request.each));
        let writing = |(index, prompt): (usize, &Vec<u32>)| {
            let mut writing = Writing::new(&self.app.served.tokenizer, index, wants);
            if self.request.echo {
                writing.echo(prompt);
            }
            writing
        };
        texts.enumerate().map(writing).collect()
    }

    fn answer(&self, choices: Vec<Choice>, usage: Option<Option<Usage>>) -> Answer<'_> {
        let Self { id, created, model, .. } = self;
        Answer { id, object: "text_completion", created: *created, model, choices, usage }
    }

    /// Answers when all texts have ended.
    async fn whole(mut self, place: Place, mut inbox: Inbox) -> Result<Response, Problem> {
        let mut told = Vec::new();
        while self.open > 0 {
            let next = inbox.recv().await.ok_or_else(ended_early)?;
            self.open -= usize::from(matches!(next.1, Told::End { .. }));
            if let Told::Failed(problem) = next.1 {
                return Err(problem);
            }
            told.push(next);
        }
        let mut usage = self.usage;
        let mut writings = self.writings();
        for (index, told) in told {
            apply(&mut writings[index], told, &mut usage);
        }
        let choices = writings.iter_mut().map(Writing::take).collect();
        let answer = self.answer(choices, Some(Some(usage)));
        let answer = serde_json::to_vec(&answer).map_err(|error| Problem::failed(error.to_string()))?;
        Ok(delivery::whole(answer, place))
    }

    /// Answers with each token as it comes.
    fn stream(self, first: (usize, Told), place: Place, inbox: Inbox) -> Response {
        let (delivery, body) = Delivery::begin(place);
        tokio::spawn(async move {
            if self.send(first, inbox, &delivery).await.is_ok() {
                delivery.finish().await;
            }
        });
        let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
        (headers, body).into_response()
    }

    /// Sends event by event. Who is gone wants no more: that the inbox is dropped tells the writer.
    async fn send(self, first: (usize, Told), mut inbox: Inbox, to: &Delivery) -> Result<(), Gone> {
        let mut first = Some(first);
        let mut usage = self.usage;
        let mut open = self.open;
        let mut writings = self.writings();
        while open > 0 {
            let next = match first.take() {
                Some(first) => Some(first),
                None => tokio::select! {
                    next = inbox.recv() => next,
                    () = to.gone() => return Err(Gone),
                },
            };
            let (index, told) = match next {
                Some((_, Told::Failed(problem))) => return to.send(event(&problem.wire())).await,
                Some(next) => next,
                None => return to.send(event(&ended_early().wire())).await,
            };
            open -= usize::from(matches!(told, Told::End { .. }));
            apply(&mut writings[index], told, &mut usage);
            let choice = writings[index].take();
            let says_something =
                !choice.text.is_empty() || choice.logprobs.is_some() || choice.finish_reason.is_some();
            if says_something {
                to.send(event(&self.answer(vec![choice], self.request.include_usage.then_some(None))))
                    .await?;
            }
        }
        if self.request.include_usage {
            to.send(event(&self.answer(Vec::new(), Some(Some(usage))))).await?;
        }
        to.send(Bytes::from_static(b"data: [DONE]\n\n")).await
    }
}

fn apply(writing: &mut Writing<'_>, told: Told, usage: &mut Usage) {
    match told {
        Told::Prompt(step) => writing.note(&step),
        Told::Token { text, step } => {
            writing.push(&text);
            writing.note(&step);
        }
        Told::End { completion, held } => {
            usage.completion_tokens += completion.generation.tokens.len();
            usage.total_tokens = usage.prompt_tokens + usage.completion_tokens;
            writing.end(&completion, held);
        }
        // Whoever reads ends there.
        Told::Failed(_) => {}
    }
}

/// A server-sent event; JSON in one line needs no more than this.
fn event(value: &impl Serialize) -> Bytes {
    // Numbers here are finite, and everything else has a JSON form.
    let json = serde_json::to_string(value).unwrap_or_default();
    format!("data: {json}\n\n").into()
}

fn ended_early() -> Problem {
    Problem::unavailable("the endpoint ended before the text did")
}
