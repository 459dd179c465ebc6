//! Functions of arrays and JSON that DataFusion has not, and helpers that the rewriter puts in place of other syntax.

use super::{Function, Returns, called_on_null, function};
use crate::types::{INT4, TEXT, TEXT_ARRAY};
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    function("array_upper", 2..=2, INT4, |_, args| {
        Ok(bound(args, Vec::len))
    }),
    function("array_lower", 2..=2, INT4, |_, args| Ok(bound(args, |_| 1))),
    called_on_null("json_build_object", 0..=100, JSON, |_, args| {
        let pairs: Vec<String> = args
            .chunks(2)
            .map(|pair| format!("{} : {}", json_text(&pair[0].print()), json(pair.get(1))))
            .collect();
        Ok(format!("{{{}}}", pairs.join(", ")).into())
    }),
    // An array as text, to be compared with a literal such as '{0}'.
    function(ARRAY_TEXT, 1..=1, TEXT, |_, args| {
        Ok(args[0].print().into())
    }),
    // ARRAY(SELECT …) of no rows is an empty array, array_agg of none is NULL.
    Function {
        name: ARRAY_OR_EMPTY,
        takes: 1..=1,
        returns: Returns::First,
        strict: false,
        call: |_, args| {
            Ok(if args[0].is_null() {
                Value::List(Vec::new())
            } else {
                args[0].clone()
            })
        },
    },
    // Options are kept as name=value.
    called_on_null(OPTION_NAMES, 1..=1, TEXT_ARRAY, |_, args| {
        Ok(options(&args[0], |split| split.0))
    }),
    called_on_null(OPTION_VALUES, 1..=1, TEXT_ARRAY, |_, args| {
        Ok(options(&args[0], |split| split.1))
    }),
];

pub(crate) const ARRAY_TEXT: &str = "__array_text";
pub(crate) const ARRAY_OR_EMPTY: &str = "__array_or_empty";
pub(crate) const OPTION_NAMES: &str = "__option_names";
pub(crate) const OPTION_VALUES: &str = "__option_values";

const JSON: u32 = 114;

fn json(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "null".to_owned(),
        Some(Value::Bool(value)) => value.to_string(),
        Some(Value::Text(text)) => json_text(text),
        Some(Value::List(values)) => {
            let values: Vec<String> = values.iter().map(|value| json(Some(value))).collect();
            format!("[{}]", values.join(","))
        }
        Some(number) => number.print(),
    }
}

fn json_text(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted += "\\\"",
            '\\' => quoted += "\\\\",
            '\n' => quoted += "\\n",
            '\t' => quoted += "\\t",
            c if c < ' ' => quoted += &format!("\\u{:04x}", u32::from(c)),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

/// A bound of the first dimension; NULL for an empty array and for other dimensions.
fn bound(args: &[Value], of: impl Fn(&Vec<Value>) -> usize) -> Value {
    let first = args.get(1).and_then(Value::int) == Some(1);
    match &args[0] {
        Value::List(values) if first && !values.is_empty() => of(values).into(),
        _ => Value::Null,
    }
}

fn options(options: &Value, part: for<'a> fn((&'a str, &'a str)) -> &'a str) -> Value {
    let Value::List(options) = options else {
        return Value::List(Vec::new());
    };
    let parts = options.iter().filter_map(|option| {
        option
            .text()?
            .split_once('=')
            .map(|split| part(split).to_owned())
    });
    Value::from(parts.collect::<Vec<String>>())
}
