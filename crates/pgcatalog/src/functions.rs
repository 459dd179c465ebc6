//! The system functions: one list, and the way to run each over Arrow. A function is a plain Rust function from values to a
//! value, in a file of its family.

mod arrays;
mod definitions;
mod keywords;
mod names;
mod privileges;
mod reg;
mod session;
mod sizes;
mod visibility;

use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::RangeInclusive;
use std::sync::{Arc, LazyLock};

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    TypeSignature, Volatility,
};
use datafusion::prelude::SessionContext;
use datafusion::scalar::ScalarValue;

use crate::relations;
use crate::snapshot::CatalogSnapshot;
use crate::types;
use crate::value::{self, Value};

pub(crate) use arrays::{ARRAY_OR_EMPTY, ARRAY_TEXT, OPTION_NAMES, OPTION_VALUES};
pub(crate) use definitions::view_definition;
pub(crate) use keywords::{COLUMNS as KEYWORD_COLUMNS, FUNCTION as KEYWORDS};

/// Oids and names of the aliases of `oid`: the rewriter calls the functions that [`reg`] defines for each.
pub(crate) use reg::RegKind;

/// One system function, under its name without schema.
#[derive(Debug)]
pub(crate) struct Function {
    name: &'static str,
    /// How many arguments it takes.
    takes: RangeInclusive<usize>,
    returns: Returns,
    /// NULL where any argument is NULL, without a call.
    strict: bool,
    call: fn(&CatalogSnapshot, &[Value]) -> Result<Value>,
}

/// What a function gives.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Returns {
    /// A Postgres type, by oid.
    Type(u32),
    /// The type of its first argument.
    First,
}

const fn function(
    name: &'static str,
    takes: RangeInclusive<usize>,
    returns: u32,
    call: fn(&CatalogSnapshot, &[Value]) -> Result<Value>,
) -> Function {
    Function {
        name,
        takes,
        returns: Returns::Type(returns),
        strict: true,
        call,
    }
}

/// A function that is called with NULLs, too.
const fn called_on_null(
    name: &'static str,
    takes: RangeInclusive<usize>,
    returns: u32,
    call: fn(&CatalogSnapshot, &[Value]) -> Result<Value>,
) -> Function {
    Function {
        name,
        takes,
        returns: Returns::Type(returns),
        strict: false,
        call,
    }
}

const FAMILIES: [&[Function]; 9] = [
    arrays::FUNCTIONS,
    definitions::FUNCTIONS,
    keywords::FUNCTIONS,
    names::FUNCTIONS,
    privileges::FUNCTIONS,
    reg::FUNCTIONS,
    session::FUNCTIONS,
    sizes::FUNCTIONS,
    visibility::FUNCTIONS,
];

static NAMES: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    FAMILIES
        .iter()
        .flat_map(|family| family.iter())
        .map(|function| function.name)
        .collect()
});

/// Whether a name without schema is that of a system function.
pub(crate) fn is_system_function(name: &str) -> bool {
    NAMES.contains(name)
}

pub(crate) fn register(ctx: &SessionContext, snapshot: &Arc<CatalogSnapshot>) {
    for function in FAMILIES.iter().flat_map(|family| family.iter()) {
        let numbers = function.takes.clone().map(|count| match count {
            0 => TypeSignature::Nullary,
            count => TypeSignature::Any(count),
        });
        let signature = Signature::one_of(numbers.collect(), Volatility::Stable);
        let bound = BoundFunction {
            function,
            snapshot: Arc::clone(snapshot),
            signature,
        };
        ctx.register_udf(ScalarUDF::new_from_impl(bound));
    }
}

/// A function over one snapshot.
struct BoundFunction {
    function: &'static Function,
    snapshot: Arc<CatalogSnapshot>,
    signature: Signature,
}

impl fmt::Debug for BoundFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BoundFunction({})", self.function.name)
    }
}

impl PartialEq for BoundFunction {
    fn eq(&self, other: &Self) -> bool {
        self.function.name == other.function.name && Arc::ptr_eq(&self.snapshot, &other.snapshot)
    }
}

impl Eq for BoundFunction {}

impl Hash for BoundFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.name.hash(state);
    }
}

impl BoundFunction {
    fn call(&self, args: &[Value]) -> Result<Value> {
        if self.function.strict && args.iter().any(Value::is_null) {
            return Ok(Value::Null);
        }
        (self.function.call)(&self.snapshot, args)
    }
}

impl ScalarUDFImpl for BoundFunction {
    fn name(&self) -> &str {
        self.function.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        Ok(match self.function.returns {
            Returns::Type(oid) => types::arrow_of(oid),
            Returns::First => arg_types.first().cloned().unwrap_or(DataType::Null),
        })
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(match self.function.returns {
            Returns::Type(oid) => relations::field(self.function.name, oid),
            Returns::First => {
                let first = args
                    .arg_fields
                    .first()
                    .map_or(DataType::Null, |field| field.data_type().clone());
                Field::new(self.function.name, first, true)
            }
        }))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let data_type = args.return_field.data_type();
        if args
            .args
            .iter()
            .all(|arg| matches!(arg, ColumnarValue::Scalar(_)))
        {
            let values: Vec<Value> = args
                .args
                .iter()
                .map(|arg| at(arg, 0))
                .collect::<Result<_>>()?;
            return Ok(ColumnarValue::Scalar(
                self.call(&values)?.scalar(data_type)?,
            ));
        }
        let mut results = Vec::with_capacity(args.number_rows);
        let mut values = Vec::with_capacity(args.args.len());
        for row in 0..args.number_rows {
            values.clear();
            for arg in &args.args {
                values.push(at(arg, row)?);
            }
            results.push(self.call(&values)?);
        }
        Ok(ColumnarValue::Array(value::array(
            results.into_iter(),
            data_type,
        )?))
    }
}

fn at(arg: &ColumnarValue, row: usize) -> Result<Value> {
    Ok(match arg {
        ColumnarValue::Scalar(scalar) => Value::of(scalar),
        ColumnarValue::Array(array) => Value::of(&ScalarValue::try_from_array(array, row)?),
    })
}
