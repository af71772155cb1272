//! Charts as inline SVG: printable, without JavaScript, with a text alternative.

use crate::visible::{is_hidden, visible};
use std::fmt::Write as _;

use super::text::count;
use crate::time::Timestamp;

/// Colours that people with any common colour vision can distinguish (Okabe and Ito, 2008), the darkest first.
const COLOURS: [&str; 8] =
    ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#7F7F7F", "#B8A900"];
const WIDTH: f64 = 720.0;
const LEFT: f64 = 92.0;
const RIGHT: f64 = 12.0;

/// A bar of a timeline.
pub(super) struct Span {
    pub(super) row: String,
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    pub(super) label: String,
}

/// Escapes text for XML.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if is_hidden(c) => escaped.push_str(&visible(c.encode_utf8(&mut [0; 4]))),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The time axis of a chart.
struct Axis {
    from: Timestamp,
    to: Timestamp,
}

impl Axis {
    fn x(&self, at: Timestamp) -> f64 {
        let length = self.to.seconds_since(self.from).max(1) as f64;
        LEFT + (WIDTH - LEFT - RIGHT) * (at.seconds_since(self.from) as f64 / length).clamp(0.0, 1.0)
    }

    fn write(&self, svg: &mut String, y: f64) {
        for part in 0..=4 {
            let at = self.from.plus_seconds(self.to.seconds_since(self.from) * part / 4);
            let anchor = match part {
                0 => "start",
                4 => "end",
                _ => "middle",
            };
            let _ = write!(
                svg,
                r#"<text class="axis" x="{:.1}" y="{y:.1}" text-anchor="{anchor}">{}</text>"#,
                self.x(at),
                at.date()
            );
        }
    }
}

/// A timeline with one labelled row per name, in order of appearance; a label that does not fit is in the tooltip.
pub(super) fn timeline(title: &str, spans: &[Span], from: Timestamp, to: Timestamp) -> String {
    let axis = Axis { from, to };
    let mut rows: Vec<&str> = spans.iter().map(|span| span.row.as_str()).collect();
    let mut seen = std::collections::BTreeSet::new();
    rows.retain(|row| seen.insert(*row));
    let mut labels: Vec<&str> = Vec::new();
    for span in spans {
        if !labels.contains(&span.label.as_str()) {
            labels.push(&span.label);
        }
    }
    let words = spans.iter().map(|span| {
        format!("{} in stage {} from {} to {}", span.row, span.label, span.from.date(), span.to.date())
    });
    let height = 34.0 * rows.len() as f64 + 26.0;
    let mut svg = begin(title, &words.collect::<Vec<_>>().join("; "), height);
    for (index, row) in rows.iter().enumerate() {
        let y = 34.0 * index as f64;
        let x = LEFT - 8.0;
        let _ =
            write!(svg, r#"<text x="{x:.1}" y="{:.1}" text-anchor="end">{}</text>"#, y + 20.0, escape(row));
        for span in spans.iter().filter(|span| span.row == *row) {
            let place = labels.iter().position(|label| *label == span.label).unwrap_or(0);
            write_span(&mut svg, span, &axis, y, place);
        }
    }
    axis.write(&mut svg, height - 8.0);
    svg.push_str("</svg>");
    svg
}

fn write_span(svg: &mut String, span: &Span, axis: &Axis, y: f64, place: usize) {
    let (begin, end) = (axis.x(span.from), axis.x(span.to));
    let (row, label) = (escape(&span.row), escape(&span.label));
    let _ = write!(
        svg,
        r##"<g><title>{row}: {label}, {} to {}</title><rect x="{begin:.1}" y="{:.1}" width="{:.1}" height="24" fill="{}" stroke="#fff"/>"##,
        span.from.date(),
        span.to.date(),
        y + 3.0,
        (end - begin).max(1.0),
        COLOURS[place % COLOURS.len()],
    );
    if end - begin > 7.0 * span.label.chars().count() as f64 + 8.0 {
        let (x, y) = (begin + 6.0, y + 20.0);
        let _ = write!(svg, r#"<text x="{x:.1}" y="{y:.1}" fill="{}">{label}</text>"#, ink(place));
    }
    svg.push_str("</g>");
}

/// Black or white, whichever has more contrast.
fn ink(place: usize) -> &'static str {
    match place % COLOURS.len() {
        1 | 3 | 4 | 7 => "#000",
        _ => "#fff",
    }
}

/// The height of a bar chart, and its margins.
const HEIGHT: f64 = 240.0;
const BOTTOM: f64 = 30.0;
const TOP: f64 = 24.0;

/// Stacked bars: the values of each series by label.
pub(super) fn bars(title: &str, series: &[&str], rows: &[(String, Vec<u64>)]) -> String {
    let max = rows.iter().map(|(_, values)| values.iter().sum::<u64>()).max().unwrap_or(0).max(1);
    let top = ceiling(max);
    let words = rows.iter().map(|(label, values)| {
        let values = series.iter().zip(values).map(|(name, value)| format!("{} {name}", count(*value)));
        format!("{label}: {}", values.collect::<Vec<_>>().join(", "))
    });
    let mut svg = begin(title, &words.collect::<Vec<_>>().join("; "), HEIGHT);
    let y = |value: u64| HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * value as f64 / top as f64;
    for part in 0..=4 {
        let value = top * part / 4;
        let (y, right) = (y(value), WIDTH - RIGHT);
        let _ = write!(svg, r##"<line x1="{LEFT}" x2="{right:.1}" y1="{y:.1}" y2="{y:.1}" stroke="#ccc"/>"##);
        let (x, y) = (LEFT - 6.0, y + 4.0);
        let _ = write!(
            svg,
            r#"<text class="axis" x="{x:.1}" y="{y:.1}" text-anchor="end">{}</text>"#,
            count(value)
        );
    }
    let step = (WIDTH - LEFT - RIGHT) / rows.len().max(1) as f64;
    // Overlapping labels are left out.
    let every = (70.0 / step).ceil().max(1.0) as usize;
    for (index, (label, values)) in rows.iter().enumerate() {
        let x = LEFT + step * index as f64;
        let mut below = 0;
        for (place, value) in values.iter().enumerate().filter(|(_, value)| **value > 0) {
            let (x, width) = (x + step * 0.1, (step * 0.8).max(0.5));
            let (upper, height) = (y(below + value), y(below) - y(below + value));
            let _ = write!(
                svg,
                r#"<rect x="{x:.1}" y="{upper:.1}" width="{width:.1}" height="{height:.1}" fill="{}"><title>{}: {} {}</title></rect>"#,
                COLOURS[place % COLOURS.len()],
                escape(label),
                count(*value),
                escape(series[place]),
            );
            below += value;
        }
        if index % every == 0 {
            let (x, y) = (x + step / 2.0, HEIGHT - BOTTOM + 16.0);
            let label = escape(label);
            let _ = write!(
                svg,
                r#"<text class="axis" x="{x:.1}" y="{y:.1}" text-anchor="middle">{label}</text>"#
            );
        }
    }
    legend(&mut svg, series);
    svg.push_str("</svg>");
    svg
}

fn legend(svg: &mut String, series: &[&str]) {
    let mut x = LEFT;
    for (place, name) in series.iter().enumerate() {
        let colour = COLOURS[place % COLOURS.len()];
        let _ = write!(svg, r#"<rect x="{x:.1}" y="4" width="11" height="11" fill="{colour}"/>"#);
        let _ = write!(svg, r#"<text class="axis" x="{:.1}" y="14">{}</text>"#, x + 15.0, escape(name));
        x += 30.0 + 7.0 * name.chars().count() as f64;
    }
}

fn begin(title: &str, words: &str, height: f64) -> String {
    format!(
        r#"<svg role="img" viewBox="0 0 {WIDTH} {height}" xmlns="http://www.w3.org/2000/svg"><title>{}</title><desc>{}</desc>"#,
        escape(title),
        escape(words)
    )
}

/// The next number that suits an axis: 1, 2, 4 or 5 times a power of ten, divisible by 4 if possible.
fn ceiling(value: u64) -> u64 {
    let mut unit: u64 = 1;
    loop {
        for first in [4, 8, 12, 20, 40] {
            if let Some(top) = unit.checked_mul(first).filter(|top| *top >= value) {
                return top;
            }
        }
        match unit.checked_mul(10) {
            Some(next) => unit = next,
            None => return value,
        }
    }
}
