//! Where things stand in a statement: from sqlparser's spans to clickmill's locations.

use dataflow::Location;
use sqlparser::ast::Spanned;
use sqlparser::tokenizer::Span;

/// The beginning of `node`, or `None` when the parser did not note it.
pub fn location_of(node: &impl Spanned) -> Option<Location> {
    from_span(node.span())
}

/// The beginning of a span; sqlparser writes unknown places as line 0.
pub fn from_span(span: Span) -> Option<Location> {
    (span.start.line > 0).then_some(Location {
        line: span.start.line,
        column: span.start.column,
    })
}
