//! The page of `status`.

use super::overview::{Overview, OwnRequest, Registry};
use super::tasks::Task;
use crate::cli::page::Page;
use crate::cli::people::person;
use crate::cli::registry::short_digest;
use crate::cli::researcher::list;
use crate::cli::table::{Cell, Fit, Table, Tone};
use crate::cli::units::{age, counted};
use crate::time::Timestamp;

/// Everything, in order.
pub(super) fn page(overview: &Overview) -> Page {
    let now = overview.at.unwrap_or_else(Timestamp::now);
    let mut page = Page::new();
    head(&mut page, overview, now);
    if !overview.checkpoints.is_empty() {
        page.gap();
        page.table(&list::table(&overview.checkpoints, now));
    }
    if !overview.requests.is_empty() {
        page.gap();
        page.table(&requests(&overview.requests, now));
    }
    if !overview.waiting.is_empty() {
        page.gap();
        page.toned_line(Tone::Strong, format_args!("open: {}", counted(overview.waiting.len(), "task")));
        page.table(&waiting(&overview.waiting, now));
    }
    if !overview.next.is_empty() {
        page.gap();
        for step in &overview.next {
            page.line(format_args!("next: {}", step.command));
            page.toned_line(Tone::Faint, format_args!("      {}", step.why));
        }
    }
    page
}

fn head(page: &mut Page, overview: &Overview, now: Timestamp) {
    match &overview.you {
        Some(you) => {
            let organization = you.organization.as_ref().map(|name| format!(", {name}")).unwrap_or_default();
            page.line(format_args!("you        {}{organization}", person(&you.name, you.key_id)));
        }
        None => page.line("you        no identity yet"),
    }
    page.line(format_args!("home       {}", overview.home));
    match &overview.registry {
        None => page.line("registry   none joined yet"),
        Some(registry) => registry_lines(page, registry, now),
    }
    if !overview.offices.is_empty() {
        page.line(format_args!("offices    {}", overview.offices.join(", ")));
    }
}

fn registry_lines(page: &mut Page, registry: &Registry, now: Timestamp) {
    match &registry.out_of_reach {
        None => page.line(format_args!("registry   {}", registry.place)),
        Some(why) => {
            page.toned_line(Tone::Waits, format_args!("registry   {}, unreachable: {why}", registry.place))
        }
    }
    if let Some(closed) = &registry.closed {
        page.toned_line(Tone::Bad, format_args!("catalogue  cannot be used: {closed}"));
    }
    match registry.seen_at {
        Some(at) => page.line(format_args!("           requests and tasks as seen {} ago", age(at, now))),
        None if registry.out_of_reach.is_some() && registry.closed.is_none() => {
            page.line("           requests and tasks are unknown");
        }
        None => {}
    }
}

fn requests(requests: &[OwnRequest], now: Timestamp) -> Table<5> {
    let mut table = Table::new([
        ("YOUR REQUEST", Fit::Whole),
        ("CHECKPOINT", Fit::Cut),
        ("AGE", Fit::Whole),
        ("DAYS", Fit::Whole),
        ("STATE", Fit::Cut),
    ]);
    for request in requests {
        let tone = match request.state.as_str() {
            "pending" => Tone::Waits,
            "granted" => Tone::Good,
            "denied" | "ended" => Tone::Bad,
            _ => Tone::Faint,
        };
        table.row([
            Cell::new(short_digest(request.digest)),
            Cell::new(&request.checkpoint),
            Cell::new(age(request.created, now)),
            Cell::new(request.days),
            Cell::new(&request.said).with_tone(tone),
        ]);
    }
    table
}

fn waiting(tasks: &[Task], now: Timestamp) -> Table<3> {
    let mut table = Table::new([("TASK", Fit::Cut), ("AGE", Fit::Whole), ("COMMAND", Fit::Whole)]);
    for task in tasks {
        table.row([
            Cell::new(&task.what).with_tone(Tone::Waits),
            Cell::new(task.since.map(|since| age(since, now)).unwrap_or_default()),
            Cell::new(&task.command),
        ]);
    }
    table
}
