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

use super::delivery::{self, Delivery, Disconnected, Place};
use super::problem::Problem;
use super::recorder::{IndexedEvent, Job, RecorderCommand, TextEvent};
use super::request::CompletionRequest;
use super::response::{Choice, ChoiceBuilder, CompletionResponse, Usage};
use super::{App, AppState, body};
use crate::inference::{GenerationOptions, Sampling};
use crate::time::Timestamp;

/// The events of all texts of a request.
type Events = Receiver<IndexedEvent>;

/// A response in progress.
struct PendingResponse {
    app: App,
    request: CompletionRequest,
    id: String,
    created: i64,
    model: String,
    usage: Usage,
    /// Number of texts that have not ended.
    open: usize,
}

pub(super) async fn create(
    State(app): State<App>,
    request: axum::extract::Request,
) -> Result<Response, Problem> {
    let request = body::read(&app, request).await?;
    let (place, mut events) = submit(&app, &request)?;
    let pending = PendingResponse {
        id: format!("cmpl-{:032x}", rand::random::<u128>()),
        created: Timestamp::now().unix_seconds(),
        model: app.served.checkpoint.to_string(),
        usage: Usage { prompt_tokens: request.prompts.iter().map(Vec::len).sum(), ..Usage::default() },
        open: request.prompts.len() * request.each,
        app,
        request,
    };
    if !pending.request.stream {
        return pending.send_whole(place, events).await;
    }
    // A refusal before the first event is an HTTP status, as without a stream.
    match events.recv().await.ok_or_else(ended_early)? {
        IndexedEvent { event: TextEvent::Failed(problem), .. } => Err(problem),
        first => Ok(pending.send_stream(first, place, events)),
    }
}

/// Sends all texts of a request to the recorder, if there is a place for each.
fn submit(app: &AppState, request: &CompletionRequest) -> Result<(Place, Events), Problem> {
    let texts = request.prompts.len() * request.each;
    if texts > app.max_texts {
        let message = format!("a request may have at most {} completions", app.max_texts);
        return Err(Problem::invalid("n", message));
    }
    // `CompletionRequest::parse` limits the number.
    let count = u32::try_from(texts).unwrap_or(u32::MAX);
    let place = Arc::clone(&app.places).try_acquire_many_owned(count).map_err(|_| Problem::busy())?;
    let place = Arc::new(place);
    // One event for each token and the end. A full channel would be a defect, and counts as a disconnected client.
    let capacity: usize =
        request.prompts.iter().map(|prompt| prompt.len() + request.options.max_tokens + 2).sum();
    let (to, events) = channel(capacity.saturating_mul(request.each).min(Semaphore::MAX_PERMITS));
    for index in 0..texts {
        let sampling = &request.options.sampling;
        let seed = sampling.seed.wrapping_add(index as u64);
        let job = Job {
            index,
            prompt: request.prompts[index / request.each].clone(),
            options: GenerationOptions { sampling: Sampling { seed, ..*sampling }, ..request.options },
            stop: request.stop.clone(),
            echo: request.echo,
            events: to.clone(),
            place: Arc::clone(&place),
            received: Instant::now(),
        };
        app.recorder.send(RecorderCommand::Begin(job)).map_err(|_| Problem::stopping())?;
    }
    Ok((place, events))
}

impl PendingResponse {
    fn builders(&self) -> Vec<ChoiceBuilder<'_>> {
        let wants = self.request.options.log_probabilities.is_some();
        let texts =
            self.request.prompts.iter().flat_map(|prompt| std::iter::repeat_n(prompt, self.request.each));
        let builder = |(index, prompt): (usize, &Vec<u32>)| {
            let mut builder = ChoiceBuilder::new(&self.app.served.tokenizer, index, wants);
            if self.request.echo {
                builder.echo(prompt);
            }
            builder
        };
        texts.enumerate().map(builder).collect()
    }

    fn response(&self, choices: Vec<Choice>, usage: Option<Option<Usage>>) -> CompletionResponse<'_> {
        let Self { id, created, model, .. } = self;
        CompletionResponse { id, object: "text_completion", created: *created, model, choices, usage }
    }

    /// Responds after all texts have ended.
    async fn send_whole(mut self, place: Place, mut events: Events) -> Result<Response, Problem> {
        let mut received = Vec::new();
        while self.open > 0 {
            let next = events.recv().await.ok_or_else(ended_early)?;
            self.open -= usize::from(matches!(next.event, TextEvent::End { .. }));
            if let TextEvent::Failed(problem) = next.event {
                return Err(problem);
            }
            received.push(next);
        }
        let mut usage = self.usage;
        let mut builders = self.builders();
        for IndexedEvent { index, event } in received {
            apply(&mut builders[index], event, &mut usage);
        }
        let choices = builders.iter_mut().map(ChoiceBuilder::take).collect();
        let response = self.response(choices, Some(Some(usage)));
        let response = serde_json::to_vec(&response).map_err(|error| Problem::failed(error.to_string()))?;
        Ok(delivery::send_whole(response, place))
    }

    /// Responds with a stream of events.
    fn send_stream(self, first: IndexedEvent, place: Place, events: Events) -> Response {
        let (delivery, body) = Delivery::begin(place);
        tokio::spawn(async move {
            if self.send(first, events, &delivery).await.is_ok() {
                delivery.finish().await;
            }
        });
        let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
        (headers, body).into_response()
    }

    /// Sends the events. If the client disconnects, dropping `events` cancels the texts.
    async fn send(self, first: IndexedEvent, mut events: Events, to: &Delivery) -> Result<(), Disconnected> {
        let mut first = Some(first);
        let mut usage = self.usage;
        let mut open = self.open;
        let mut builders = self.builders();
        while open > 0 {
            let next = match first.take() {
                Some(first) => Some(first),
                None => tokio::select! {
                    next = events.recv() => next,
                    () = to.disconnected() => return Err(Disconnected),
                },
            };
            let IndexedEvent { index, event } = match next {
                Some(IndexedEvent { event: TextEvent::Failed(problem), .. }) => {
                    return to.send(sse_event(&problem.body())).await;
                }
                Some(next) => next,
                None => return to.send(sse_event(&ended_early().body())).await,
            };
            open -= usize::from(matches!(event, TextEvent::End { .. }));
            apply(&mut builders[index], event, &mut usage);
            let choice = builders[index].take();
            let has_content =
                !choice.text.is_empty() || choice.logprobs.is_some() || choice.finish_reason.is_some();
            if has_content {
                to.send(sse_event(&self.response(vec![choice], self.request.include_usage.then_some(None))))
                    .await?;
            }
        }
        if self.request.include_usage {
            to.send(sse_event(&self.response(Vec::new(), Some(Some(usage))))).await?;
        }
        to.send(Bytes::from_static(b"data: [DONE]\n\n")).await
    }
}

fn apply(builder: &mut ChoiceBuilder<'_>, event: TextEvent, usage: &mut Usage) {
    match event {
        TextEvent::Prompt(token) => builder.add_token(&token),
        TextEvent::Token { text, token } => {
            builder.push_text(&text);
            builder.add_token(&token);
        }
        TextEvent::End { completion, held } => {
            usage.completion_tokens += completion.generation.tokens.len();
            usage.total_tokens = usage.prompt_tokens + usage.completion_tokens;
            builder.end(&completion, held);
        }
        // The callers handle failures before.
        TextEvent::Failed(_) => {}
    }
}

/// A server-sent event with one line of JSON.
fn sse_event(value: &impl Serialize) -> Bytes {
    // All numbers are finite, and everything else has a JSON form.
    let json = serde_json::to_string(value).unwrap_or_default();
    format!("data: {json}\n\n").into()
}

fn ended_early() -> Problem {
    Problem::unavailable("the endpoint stopped before the completion ended")
}
