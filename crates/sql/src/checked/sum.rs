//! `sum` of integers and decimals in 128 bits: intermediate sums never wrap, and a result that its type cannot hold is an
//! error. Whether a sum fails so depends on its rows alone, not on their order or on how they were gathered.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Int64Array, UInt64Array,
};
use datafusion::arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, Field, FieldRef, Int64Type, UInt64Type,
};
use datafusion::common::{Result, internal_err};
use datafusion::functions_aggregate::sum::Sum;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, Documentation, EmitTo, GroupsAccumulator, ReversedUDAF,
    SetMonotonicity, Signature,
};
use datafusion::scalar::ScalarValue;

use super::out_of_range;

/// DataFusion's `sum`, with other accumulators for exact types.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct CheckedSum {
    inner: Sum,
}

/// Whether sums of this type are made here.
fn is_exact(result: &DataType) -> bool {
    matches!(
        result,
        DataType::Int64 | DataType::UInt64 | DataType::Decimal128(..)
    )
}

/// The type of partial sums.
fn state_type(result: &DataType) -> DataType {
    let scale = match result {
        DataType::Decimal128(_, scale) => *scale,
        _ => 0,
    };
    DataType::Decimal128(DECIMAL128_MAX_PRECISION, scale)
}

impl AggregateUDFImpl for CheckedSum {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        self.inner.return_type(args)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let result = args.return_field.data_type().clone();
        if !is_exact(&result) {
            return self.inner.accumulator(args);
        }
        if args.is_distinct {
            let values = self.inner.accumulator(args)?;
            return Ok(Box::new(DistinctTotal { values, result }));
        }
        Ok(Box::new(Total::new(result)))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let result = args.return_type();
        if args.is_distinct || !is_exact(result) {
            return self.inner.state_fields(args);
        }
        let name = format_state_name(args.name, "sum");
        Ok(vec![Arc::new(Field::new(name, state_type(result), true))])
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        let result = args.return_field.data_type();
        if !is_exact(result) {
            return self.inner.create_groups_accumulator(args);
        }
        Ok(Box::new(Totals::new(result.clone())))
    }

    fn create_sliding_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn Accumulator>> {
        let result = args.return_field.data_type();
        if args.is_distinct || !is_exact(result) {
            return self.inner.create_sliding_accumulator(args);
        }
        Ok(Box::new(Total::new(result.clone())))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        self.inner.reverse_expr()
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.inner.order_sensitivity()
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.inner.set_monotonicity(data_type)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}

/// Calls `add(row, value)` for every value that is not NULL.
fn each_value(values: &dyn Array, mut add: impl FnMut(usize, i128) -> Result<()>) -> Result<()> {
    fn every<T: Copy>(
        all: &[T],
        array: &dyn Array,
        mut add: impl FnMut(usize, T) -> Result<()>,
    ) -> Result<()> {
        match array.nulls().filter(|n| n.null_count() > 0) {
            None => all.iter().enumerate().try_for_each(|(i, v)| add(i, *v)),
            Some(nulls) => nulls.valid_indices().try_for_each(|i| add(i, all[i])),
        }
    }
    match values.data_type() {
        DataType::Int64 => {
            let all = values.as_primitive::<Int64Type>().values();
            every(all, values, |i, v| add(i, i128::from(v)))
        }
        DataType::UInt64 => {
            let all = values.as_primitive::<UInt64Type>().values();
            every(all, values, |i, v| add(i, i128::from(v)))
        }
        DataType::Decimal128(..) => every(
            values.as_primitive::<Decimal128Type>().values(),
            values,
            add,
        ),
        other => internal_err!("no exact sum of {other}"),
    }
}

fn checked(sum: i128, value: i128, result: &DataType) -> Result<i128> {
    sum.checked_add(value).ok_or_else(|| out_of_range(result))
}

/// Sums as an array of the result's type.
fn results(sums: Vec<Option<i128>>, result: &DataType) -> Result<ArrayRef> {
    let fail = || out_of_range(result);
    Ok(match result {
        DataType::Int64 => {
            let fit = |s: i128| i64::try_from(s).map_err(|_| fail());
            let all: Vec<Option<i64>> = convert(sums, fit)?;
            Arc::new(Int64Array::from(all))
        }
        DataType::UInt64 => {
            let fit = |s: i128| u64::try_from(s).map_err(|_| fail());
            let all: Vec<Option<u64>> = convert(sums, fit)?;
            Arc::new(UInt64Array::from(all))
        }
        DataType::Decimal128(precision, scale) => {
            let limit = 10_i128.checked_pow(u32::from(*precision));
            let fits = |s: i128| limit.is_none_or(|limit| s.abs() < limit);
            let all = convert(sums, |s| if fits(s) { Ok(s) } else { Err(fail()) })?;
            Arc::new(Decimal128Array::from(all).with_precision_and_scale(*precision, *scale)?)
        }
        other => return internal_err!("no exact sum of {other}"),
    })
}

fn convert<T>(sums: Vec<Option<i128>>, fit: impl Fn(i128) -> Result<T>) -> Result<Vec<Option<T>>> {
    sums.into_iter().map(|s| s.map(&fit).transpose()).collect()
}

/// One sum.
#[derive(Debug)]
struct Total {
    result: DataType,
    sum: i128,
    /// Values added and not taken back.
    count: i64,
}

impl Total {
    fn new(result: DataType) -> Self {
        Self {
            result,
            sum: 0,
            count: 0,
        }
    }

    fn value(&self) -> Option<i128> {
        (self.count > 0).then_some(self.sum)
    }

    fn add(&mut self, values: &ArrayRef, sign: i128) -> Result<()> {
        let (mut sum, mut count) = (self.sum, self.count);
        each_value(values, |_, value| {
            sum = checked(sum, sign * value, &self.result)?;
            count += if sign > 0 { 1 } else { -1 };
            Ok(())
        })?;
        (self.sum, self.count) = (sum, count);
        Ok(())
    }
}

impl Accumulator for Total {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add(&values[0], 1)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add(&values[0], -1)
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.add(&states[0], 1)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let DataType::Decimal128(precision, scale) = state_type(&self.result) else {
            return internal_err!("partial sums are decimals");
        };
        Ok(vec![ScalarValue::Decimal128(
            self.value(),
            precision,
            scale,
        )])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        ScalarValue::try_from_array(&results(vec![self.value()], &self.result)?, 0)
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

/// The sum of different values: DataFusion keeps the values, the sum is made here.
#[derive(Debug)]
struct DistinctTotal {
    values: Box<dyn Accumulator>,
    result: DataType,
}

impl Accumulator for DistinctTotal {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.values.update_batch(values)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.values.merge_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.values.state()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut total = Total::new(self.result.clone());
        for state in self.values.state()? {
            if let ScalarValue::List(list) = state {
                total.add(list.values(), 1)?;
            }
        }
        total.evaluate()
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.size()
    }
}

/// A sum for each group.
struct Totals {
    result: DataType,
    sums: Vec<i128>,
    /// Whether a value came.
    seen: Vec<bool>,
}

impl Totals {
    fn new(result: DataType) -> Self {
        Self {
            result,
            sums: Vec::new(),
            seen: Vec::new(),
        }
    }

    fn take(&mut self, emit_to: EmitTo) -> Vec<Option<i128>> {
        let sums = emit_to.take_needed(&mut self.sums);
        let seen = emit_to.take_needed(&mut self.seen);
        let pairs = sums.into_iter().zip(seen);
        pairs.map(|(sum, seen)| seen.then_some(sum)).collect()
    }
}

impl GroupsAccumulator for Totals {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.sums.resize(total, 0);
        self.seen.resize(total, false);
        let Self { result, sums, seen } = self;
        let mut add = |row: usize, value: i128| {
            let group = groups[row];
            sums[group] = checked(sums[group], value, result)?;
            seen[group] = true;
            Ok(())
        };
        match filter {
            None => each_value(&values[0], add),
            Some(filter) => each_value(&values[0], |row, value| {
                if filter.is_valid(row) && filter.value(row) {
                    add(row, value)?;
                }
                Ok(())
            }),
        }
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.update_batch(states, groups, None, total)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        results(self.take(emit_to), &self.result)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let DataType::Decimal128(precision, scale) = state_type(&self.result) else {
            return internal_err!("partial sums are decimals");
        };
        let sums = Decimal128Array::from(self.take(emit_to));
        let sums = sums.with_precision_and_scale(precision, scale)?;
        Ok(vec![Arc::new(sums)])
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let rows = values[0].len();
        let each: Vec<usize> = (0..rows).collect();
        let mut totals = Self::new(self.result.clone());
        totals.update_batch(values, &each, filter, rows)?;
        totals.state(EmitTo::All)
    }

    fn size(&self) -> usize {
        self.sums.capacity() * size_of::<i128>() + self.seen.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ints(values: &[Option<i64>]) -> ArrayRef {
        Arc::new(Int64Array::from(values.to_vec()))
    }

    #[test]
    fn a_sum_may_pass_the_limit_and_come_back() {
        let mut totals = Totals::new(DataType::Int64);
        let values = ints(&[Some(i64::MAX), Some(1), None, Some(-1)]);
        totals
            .update_batch(&[values], &[0, 0, 1, 0], None, 3)
            .unwrap();
        let state = totals.state(EmitTo::All).unwrap();
        totals.merge_batch(&state, &[0, 1, 2], 3).unwrap();
        let sums = totals.evaluate(EmitTo::All).unwrap();
        assert_eq!(
            sums.as_primitive::<Int64Type>(),
            &Int64Array::from(vec![Some(i64::MAX), None, None])
        );
    }

    #[test]
    fn a_result_that_does_not_fit_is_an_error() {
        let mut total = Total::new(DataType::Int64);
        total
            .update_batch(&[ints(&[Some(i64::MAX), Some(1)])])
            .unwrap();
        let error = crate::errors::from_datafusion(total.evaluate().unwrap_err());
        assert_eq!(error.state().0, "22003");
        total.retract_batch(&[ints(&[Some(2)])]).unwrap();
        assert_eq!(
            total.evaluate().unwrap(),
            ScalarValue::Int64(Some(i64::MAX - 1))
        );
    }

    #[test]
    fn filters_and_emptied_groups() {
        let mut totals = Totals::new(DataType::Int64);
        let filter = BooleanArray::from(vec![Some(true), Some(false), None]);
        let values = ints(&[Some(1), Some(2), Some(4)]);
        totals
            .update_batch(&[values], &[0, 0, 1], Some(&filter), 2)
            .unwrap();
        let first = totals.evaluate(EmitTo::First(1)).unwrap();
        assert_eq!(first.as_primitive::<Int64Type>().value(0), 1);
        let rest = totals.evaluate(EmitTo::All).unwrap();
        assert!(rest.is_null(0));
    }
}
