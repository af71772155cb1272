//! `POST /v1/completions`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::answer::{Answer, Choice, Usage, Writing};
use super::clerk::{Job, ToClerk, Told};
use super::problem::Problem;
use super::request::Request;
use super::{App, Parts};
use crate::inference::{GenerationOptions, Sampling};
use crate::time::Timestamp;

/// What the writer says of each text.
type Inbox = UnboundedReceiver<(usize, Told)>;

/// A request that is being answered.
struct Answering {
    app: App,
    request: Request,
    id: String,
    created: i64,
    model: String,
    inbox: Inbox,
    usage: Usage,
    open: usize,
}

pub(super) async fn create(State(app): State<App>, body: Bytes) -> Result<Response, Problem> {
    let request = Request::parse(&body, &app.served)?;
    drop(body);
    let inbox = ask(&app, &request)?;
    let mut answering = Answering {
        id: format!("cmpl-{:032x}", rand::random::<u128>()),
        created: Timestamp::now().unix_seconds(),
        model: app.served.checkpoint.to_string(),
        usage: Usage { prompt_tokens: request.prompts.iter().map(Vec::len).sum(), ..Usage::default() },
        open: request.prompts.len() * request.each,
        app,
        request,
        inbox,
    };
    if !answering.request.stream {
        return answering.whole().await;
    }
    // Whether it may begin at all is told by the status, as without a stream.
    match answering.inbox.recv().await.ok_or_else(ended_early)? {
        (_, Told::Failed(problem)) => Err(problem),
        first => Ok(answering.stream(first)),
    }
}

/// Hands all texts of a request to the clerk, if there is a place for each.
fn ask(app: &Parts, request: &Request) -> Result<Inbox, Problem> {
    let texts = request.prompts.len() * request.each;
    if texts > app.most_texts {
        let message = format!("at most {} texts are taken at a time here", app.most_texts);
        return Err(Problem::invalid("n", message));
    }
    // The request's check bounded the number.
    let count = u32::try_from(texts).unwrap_or(u32::MAX);
    let place = Arc::clone(&app.places).try_acquire_many_owned(count).map_err(|_| Problem::busy())?;
    let place = Arc::new(place);
    let (to, inbox) = unbounded_channel();
    for index in 0..texts {
        let sampling = &request.options.sampling;
        let seed = sampling.seed.wrapping_add(index as u64);
        let job = Job {
            index,
            prompt: request.prompts[index / request.each].clone(),
            options: GenerationOptions { sampling: Sampling { seed, ..*sampling }, ..request.options },
            stop: request.stop.clone(),
            to: to.clone(),
            place: Arc::clone(&place),
            asked: Instant::now(),
        };
        let stopping = |_| Problem::unavailable("the endpoint is about to end");
        app.clerk.send(ToClerk::Begin(job)).map_err(stopping)?;
    }
    Ok(inbox)
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

    fn answer(&self, choices: Vec<Choice>, usage: Option<Usage>) -> Answer<'_> {
        let Self { id, created, model, .. } = self;
        Answer { id, object: "text_completion", created: *created, model, choices, usage }
    }

    /// Answers when all texts have ended.
    async fn whole(mut self) -> Result<Response, Problem> {
        let mut told = Vec::new();
        while self.open > 0 {
            let next = self.inbox.recv().await.ok_or_else(ended_early)?;
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
        Ok(Json(self.answer(choices, Some(usage))).into_response())
    }

    /// Answers with each token as it comes.
    fn stream(self, first: (usize, Told)) -> Response {
        let (to, events) = unbounded_channel::<Event>();
        tokio::spawn(self.send(first, to));
        let events = futures_util::stream::unfold(events, |mut events| async {
            let event = events.recv().await?;
            Some((Ok::<_, Infallible>(event), events))
        });
        Sse::new(events).into_response()
    }

    async fn send(mut self, first: (usize, Told), to: UnboundedSender<Event>) {
        let mut first = Some(first);
        let mut inbox = std::mem::replace(&mut self.inbox, unbounded_channel().1);
        let mut usage = self.usage;
        let mut open = self.open;
        let mut writings = self.writings();
        while open > 0 {
            let next = match first.take() {
                Some(first) => Some(first),
                None => tokio::select! {
                    next = inbox.recv() => next,
                    // Who is gone wants no more: dropping the inbox tells the writer.
                    () = to.closed() => return,
                },
            };
            let Some((index, told)) = next else {
                drop(to.send(event(&ended_early().wire())));
                return;
            };
            if let Told::Failed(problem) = &told {
                drop(to.send(event(&problem.wire())));
                return;
            }
            open -= usize::from(matches!(told, Told::End { .. }));
            apply(&mut writings[index], told, &mut usage);
            let choice = writings[index].take();
            let says_something =
                !choice.text.is_empty() || choice.logprobs.is_some() || choice.finish_reason.is_some();
            if says_something && to.send(event(&self.answer(vec![choice], None))).is_err() {
                return;
            }
        }
        if self.request.include_usage {
            drop(to.send(event(&self.answer(Vec::new(), Some(usage)))));
        }
        drop(to.send(Event::default().data("[DONE]")));
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

fn event(value: &impl Serialize) -> Event {
    // Numbers here are finite, and everything else has a JSON form.
    Event::default().data(serde_json::to_string(value).unwrap_or_default())
}

fn ended_early() -> Problem {
    Problem::unavailable("the endpoint ended before the text did")
}
