//! The operators of one view as a tree in one list, children before parents; batches are pushed from leaf to root.

use std::sync::Arc;

use dataflow::{DeltaBatch, Result, Watermark};
use datafusion::arrow::datatypes::SchemaRef;
use plan::{Node, Op, RelationKind};

use crate::build::{Tables, operator};
use crate::operator::{Counters, Late, Operator, Out, Tick};
use crate::state::saved::{Saved, wrong};

/// Where a node's rows go: the parent's index and input port; `None` at the root.
type Target = Option<(usize, usize)>;

/// A running plan.
pub struct Pipeline {
    steps: Vec<Step>,
    leaves: Vec<Leaf>,
    schema: SchemaRef,
    output: Vec<DeltaBatch>,
    late: Vec<Late>,
    root_leaf_watermark: Watermark,
}

struct Step {
    operator: Box<dyn Operator>,
    target: Target,
    inputs: Vec<Input>,
    watermark: Watermark,
    /// Another step sees the same rows and tells of those that are late.
    is_quiet: bool,
}

#[derive(Clone, Copy)]
enum Input {
    Step(usize),
    Leaf(usize),
}

/// A place where a relation's rows come in.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// The relation.
    pub relation: String,
    /// Its kind.
    pub kind: RelationKind,
    /// The columns that it wants, by index into the relation's schema.
    pub columns: Vec<usize>,
    /// Schema of what is pushed.
    pub schema: SchemaRef,
    /// Rows of it that are late are kept.
    pub keeps_late: bool,
    /// Another leaf has the same rows and tells of those that are late.
    is_quiet: bool,
    target: Target,
}

impl Pipeline {
    /// Builds the operators of `root`.
    pub fn new(root: &Node, tables: Tables<'_>) -> Result<Self> {
        let mut pipeline = Self {
            steps: Vec::new(),
            leaves: Vec::new(),
            schema: Arc::clone(root.schema.inner()),
            output: Vec::new(),
            late: Vec::new(),
            root_leaf_watermark: Watermark::MIN,
        };
        pipeline.add(root, tables, false)?;
        Ok(pipeline)
    }

    /// Adds the operators of a node; `quiet`: others tell of its late rows.
    fn add(&mut self, node: &Node, tables: Tables<'_>, quiet: bool) -> Result<Input> {
        if let Op::Read {
            relation,
            kind,
            columns,
        } = &node.op
        {
            self.leaves.push(Leaf {
                relation: relation.clone(),
                kind: *kind,
                columns: columns.clone(),
                schema: Arc::clone(node.schema.inner()),
                keeps_late: false,
                is_quiet: quiet,
                target: None,
            });
            return Ok(Input::Leaf(self.leaves.len() - 1));
        }
        let same_rows = matches!(node.op, Op::Union { same_rows: true });
        let inputs = (node.inputs.iter().enumerate())
            .map(|(at, input)| self.add(input, tables, quiet || same_rows && at > 0))
            .collect::<Result<Vec<_>>>()?;
        let operator = operator(node, tables)?
            .ok_or_else(|| dataflow::Error::internal("only leaves have no operator"))?;
        let index = self.steps.len();
        for (port, input) in inputs.iter().enumerate() {
            match input {
                Input::Step(i) => self.steps[*i].target = Some((index, port)),
                Input::Leaf(i) => self.leaves[*i].target = Some((index, port)),
            }
        }
        self.steps.push(Step {
            operator,
            target: None,
            inputs,
            watermark: Watermark::MIN,
            is_quiet: quiet,
        });
        Ok(Input::Step(index))
    }

    /// Where rows come in.
    pub fn leaves(&self) -> &[Leaf] {
        &self.leaves
    }

    /// Schema of the output.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Pushes rows into a leaf; the batch has the leaf's columns.
    pub fn push(&mut self, leaf: usize, batch: DeltaBatch) -> Result<()> {
        let target = self.leaves[leaf].target;
        let kept_leaf = self.leaves[leaf].keeps_late.then_some(leaf);
        self.deliver(target, vec![batch], kept_leaf)
    }

    /// Says that late rows of a leaf are kept.
    pub fn keep_late(&mut self, leaf: usize) {
        self.leaves[leaf].keeps_late = !self.leaves[leaf].is_quiet;
    }

    /// The late rows since the last call.
    pub fn take_late(&mut self) -> Vec<Late> {
        std::mem::take(&mut self.late)
    }

    fn deliver(
        &mut self,
        target: Target,
        batches: Vec<DeltaBatch>,
        kept_leaf: Option<usize>,
    ) -> Result<()> {
        let Some((step, port)) = target else {
            self.output.extend(batches);
            return Ok(());
        };
        for batch in batches {
            let mut out = Out::of_leaf(kept_leaf);
            self.steps[step].operator.on_batch(port, batch, &mut out)?;
            self.late.append(&mut out.take_late());
            let given = out.take();
            if !given.is_empty() {
                self.deliver(self.steps[step].target, given, kept_leaf)?;
            }
        }
        Ok(())
    }

    /// Ends a tick; `watermarks` has one entry a leaf and `tick.watermark` is not used.
    pub fn tick(&mut self, watermarks: &[Watermark], tick: Tick) -> Result<()> {
        for index in 0..self.steps.len() {
            let watermark = self.steps[index]
                .inputs
                .iter()
                .map(|input| match input {
                    Input::Step(i) => self.steps[*i].watermark,
                    Input::Leaf(i) => watermarks[*i],
                })
                .min()
                // What reads nothing has all its rows.
                .unwrap_or(Watermark::MAX);
            let mut out = Out::default();
            let step = &mut self.steps[index];
            let given = step
                .operator
                .on_tick(Tick { watermark, ..tick }, &mut out)?;
            step.watermark = step.watermark.max(given);
            self.late.append(&mut out.take_late());
            let batches = out.take();
            if !batches.is_empty() {
                self.deliver(self.steps[index].target, batches, None)?;
            }
        }
        if self.steps.is_empty() {
            let own = watermarks.first().copied().unwrap_or(Watermark::MIN);
            self.root_leaf_watermark = self.root_leaf_watermark.max(own);
        }
        Ok(())
    }

    /// The rows given since the last call.
    pub fn take_output(&mut self) -> Vec<DeltaBatch> {
        std::mem::take(&mut self.output)
    }

    /// The watermark of the output.
    pub fn watermark(&self) -> Watermark {
        self.steps
            .last()
            .map_or(self.root_leaf_watermark, |s| s.watermark)
    }

    /// Whether some operator waits for time to pass.
    pub fn waits(&self) -> bool {
        self.steps.iter().any(|s| s.operator.waits())
    }

    /// Moves hot state into runs.
    pub fn flush(&mut self) -> Result<()> {
        self.steps.iter_mut().try_for_each(|s| s.operator.flush())
    }

    /// Puts the state of all operators, which has been flushed.
    pub fn save(&self, saved: &mut Saved) -> Result<()> {
        saved.number(self.root_leaf_watermark.0);
        saved.count(self.steps.len());
        for step in &self.steps {
            saved.number(step.watermark.0);
            step.operator.save(saved)?;
        }
        Ok(())
    }

    /// Takes what [`Pipeline::save`] of the same plan has put.
    pub fn load(&mut self, saved: &mut Saved) -> Result<()> {
        self.root_leaf_watermark = saved.take_watermark()?;
        if saved.take_count()? != self.steps.len() {
            return Err(wrong("as many operators", None::<()>));
        }
        for step in &mut self.steps {
            step.watermark = saved.take_watermark()?;
            step.operator.load(saved)?;
        }
        if saved.is_empty() {
            Ok(())
        } else {
            Err(wrong("the end", None::<()>))
        }
    }

    /// Gives what follows the first `below` operators rows, as if those had given them.
    pub fn push_above(&mut self, below: usize, rows: Vec<DeltaBatch>) -> Result<()> {
        let next = (below < self.steps.len()).then_some((below, 0));
        self.deliver(next, rows, None)
    }

    /// Takes the operators of a running plan that has the same first `below` ones.
    pub fn take_over(&mut self, before: &mut Self, below: usize) {
        let watermark = before.watermark();
        let both = self.steps.iter_mut().zip(&mut before.steps);
        for (step, old) in both.take(below) {
            std::mem::swap(&mut step.operator, &mut old.operator);
            step.watermark = old.watermark;
        }
        for step in &mut self.steps[below..] {
            step.watermark = watermark;
        }
        for (leaf, old) in self.leaves.iter_mut().zip(&before.leaves) {
            leaf.keeps_late = old.keeps_late;
        }
        self.late.append(&mut before.late);
        self.root_leaf_watermark = before.root_leaf_watermark;
    }

    /// The rows given since they were taken last.
    pub fn output(&self) -> &[DeltaBatch] {
        &self.output
    }

    /// How many operators there are.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Counters of all operators together.
    pub fn counters(&self) -> Counters {
        self.steps.iter().fold(Counters::default(), |sum, step| {
            let mut counters = step.operator.counters();
            if step.is_quiet {
                counters.late_rows = 0;
            }
            sum.plus(counters)
        })
    }
}
