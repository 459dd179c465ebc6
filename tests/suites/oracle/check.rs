//! Runs a case and compares: rows at every look, sums of changes, and the same again on replay.

use std::collections::BTreeSet;
use std::sync::Arc;

use dataflow::time::MILLI;
use datafusion::execution::SessionState;
use tokio::runtime::Runtime;

use super::batch::{Batch, Log};
use super::bounded;
use super::carried::{Carried, Over};
use super::case::{Below, Case, Looks, View, What, first_sql, top_sql};
use super::compare::{Rows, Subscriber, difference, lines};
use super::counts;
use super::drive::{self, Job};
use super::model::{Placed, Sessions, corrects, late_times, open_spans, spread};
use super::outcome::{Look, Outcome, Run};
use super::query::{Complete, Cut, Given, Mistake, Windowed};
use super::stream::Row;
use super::table::TableRow;
use super::window::Kind;

/// What a case tells about itself.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// All that it was made of, by the names of the register.
    pub(super) forms: BTreeSet<&'static str>,
    pub(super) rows: usize,
    pub(super) results: usize,
    pub(super) ticks: usize,
    pub(super) late: u64,
    pub(super) in_time: bool,
    pub(super) idle: bool,
    pub(super) windows: usize,
    pub(super) spread: usize,
}

/// What all cases of a thread need.
pub(super) struct World {
    pub(super) state: SessionState,
    pub(super) runtime: Runtime,
}

impl View {
    /// Whether no two rows are alike, so that changes in one version cannot cancel each other.
    fn rows_are_distinct(&self) -> bool {
        match &self.what {
            What::Windowed(query) | What::Cascade { outer: query, .. } => query.rows_are_distinct(),
            // A row shows its window's beginning and its number.
            What::Top { of, .. } => of.window.kind() != Kind::Cumulate,
            What::Assigned(_) | What::First { .. } | What::Both(..) | What::Joined(_) => false,
            What::Carried(_) => true,
            What::Plain(plain) => plain.is_updating(),
        }
    }

    /// Whether the rows at a tick's end do not depend on when changes come out, or on what other views hold back.
    fn is_exact(&self) -> bool {
        let (cascade, deep) = match &self.what {
            What::Cascade { middle, .. } => (true, middle.is_some()),
            _ => (false, false),
        };
        self.every.map_or(!cascade, |every| every <= MILLI) && !deep
    }
}

impl Case {
    /// Runs the case; an error tells how it went wrong. With a mistake it should.
    pub(super) fn check(&self, world: &World, mistake: Mistake) -> Result<Facts, String> {
        self.checked(world, mistake)
            .map_err(|error| format!("{}\n{error}", self.describe()))
    }

    fn describe(&self) -> String {
        let mut text = format!(
            "seed {}: {} records in {} partitions, delay {} us, idle after {} us{}\n  {}",
            self.seed,
            self.stream.order.len(),
            self.stream.partitions.len(),
            self.stream.delay,
            self.stream.idle_after,
            if self.stream.in_time {
                ", no row can be late"
            } else {
                ""
            },
            self.source
        );
        for view in &self.views {
            text += &format!("\n  {}", view.create);
        }
        text
    }

    fn run(&self, world: &World) -> Result<Run, String> {
        let views = self.views.iter();
        let job = Job {
            stream: Arc::clone(&self.stream),
            source: self.source.clone(),
            table: self.table.as_ref(),
            views: views
                .map(|v| (v.create.as_str(), v.rows_are_distinct()))
                .collect(),
            join_after: self.join_after,
            looks: &self.looks,
        };
        drive::run(&world.state, &job, self.seed)
    }

    fn checked(&self, world: &World, mistake: Mistake) -> Result<Facts, String> {
        let run = self.run(world)?;
        let batch = Batch::new(&world.state, &world.runtime, &self.log(&run, mistake))?;
        let mut facts = self.facts(&run);
        counts::check_source(self, &run)?;
        for (at, (view, outcome)) in self.views.iter().zip(&run.views).enumerate() {
            let about = |e: String| format!("view {}: {e}", outcome.status.name);
            let expected = self.expected(&batch, view, &run, mistake).map_err(about)?;
            let looks = run.looks.iter().zip(&expected);
            for (look, expected) in looks.filter(|(look, _)| at < look.views.len()) {
                let Some(expected) = expected else { continue };
                facts.results += expected.len();
                if let Some(wrong) = difference(look.views[at].clone(), expected.clone()) {
                    return Err(about(format!(
                        "after tick {} of {}, with the watermark {}: {wrong}",
                        look.tick, run.model.tick, look.watermark
                    )));
                }
            }
            let mut whole = Subscriber::default();
            let followed = whole.follow(&outcome.log, view.rows_are_distinct());
            followed.map_err(about)?;
            if let Some(wrong) = difference(whole.rows(), outcome.rows.clone()) {
                return Err(about(format!("the sum of its changes: {wrong}")));
            }
            counts::check_counters(self, view, outcome, &run).map_err(about)?;
            facts
                .forms
                .extend(counts::check_conservation(view, outcome, &run).map_err(about)?);
            if self.seed.is_multiple_of(3)
                && self
                    .check_bounded(world, view, outcome, &run)
                    .map_err(about)?
            {
                facts.forms.insert("the same text over what is finite");
            }
        }
        if self.seed.is_multiple_of(16) {
            self.check_replay(world, &run)?;
            facts.forms.insert("the same again on replay");
        }
        if let Some(window) = &self.window {
            facts.late = late_times(window, &run.model.placed).len() as u64;
            (facts.windows, facts.spread) = spread(window, &run.model.placed);
        }
        if let Some(window) = &self.window
            && corrects(window, &run.model.placed)
        {
            facts.forms.insert(match window.window.kind() {
                Kind::Session => "late rows that correct a session",
                _ => "late rows that correct a window",
            });
        }
        if facts.late > 0 {
            facts.forms.insert("late rows");
        }
        Ok(facts)
    }

    fn facts(&self, run: &Run) -> Facts {
        let exact = |v: &View| v.is_exact() && v.every.is_some();
        let every = matches!(self.looks, Looks::Every);
        let has = [
            ("an idle partition", run.model.was_idle),
            ("silence of all partitions", run.model.was_silent),
            ("partitions that appear later", run.partitions_came),
            ("ticks of one record", run.tick_records == 1),
            ("no row that can be late", self.stream.in_time),
            ("views at every tick", every),
            ("views at some ticks", !every && run.looks.len() > 1),
            (
                "updating views at every tick",
                every && self.views.iter().any(exact),
            ),
            ("a subscriber that came in the middle", run.subscribed),
            ("a view that came later", self.join_after.is_some()),
            ("a crash", run.crashed > 0),
            ("several crashes", run.crashed > 1),
            ("a checkpoint taken", run.taken > 0),
        ];
        let has = has.iter().filter(|(_, has)| *has).map(|(form, _)| *form);
        Facts {
            forms: self.forms.iter().copied().chain(has).collect(),
            rows: run.model.placed.len(),
            ticks: run.model.tick,
            in_time: self.stream.in_time,
            idle: run.model.was_idle,
            ..Facts::default()
        }
    }

    /// Whether sessions do not follow from the rows alone: lateness decides on them, or more than a pause ends them.
    fn assigns_sessions(&self) -> bool {
        self.window.as_ref().is_some_and(|query| {
            let ordered = query.window.is_ordered();
            ordered || !self.stream.in_time && query.window.kind() == Kind::Session
        })
    }

    /// What plain SQL is asked about; sessions are assigned here only where lateness decides on them.
    fn log<'a>(&self, run: &'a Run, mistake: Mistake) -> Log<'a> {
        let placed = &run.model.placed;
        let sessions = match &self.window {
            Some(window) if self.assigns_sessions() => {
                let assigned = |look: &Look| {
                    let before = placed.partition_point(|p| p.tick <= look.tick);
                    let placed = &placed[..before];
                    Sessions::assign(window, placed, look.watermark, mistake).of
                };
                run.looks.iter().map(assigned).collect()
            }
            _ => Vec::new(),
        };
        let windows = self.views.iter().flat_map(|v| v.what.windows());
        let zoned = windows.filter(|q| q.window.is_zoned());
        Log {
            placed,
            looks: &run.looks,
            sessions,
            spans: zoned
                .flat_map(|q| placed.iter().flat_map(|p| q.window.spans(p.row.ts)))
                .collect(),
            table: &run.table,
        }
    }

    /// What the view must hold at each look; nothing is said where that depends on when changes come out.
    fn expected(
        &self,
        batch: &Batch<'_>,
        view: &View,
        run: &Run,
        mistake: Mistake,
    ) -> Result<Vec<Option<Rows>>, String> {
        let last = run.looks.len() - 1;
        let relation = if view.is_exact() {
            "log".to_owned()
        } else {
            format!("(SELECT * FROM log WHERE at = {last})")
        };
        let mut looks = batch.by_look(&self.plain_sql(view, &relation, mistake))?;
        if let What::Plain(plain) = &view.what
            && let Some(sql) = plain.of_no_rows()
        {
            let row = batch.query(&sql)?;
            let none = looks.iter_mut().filter(|rows| rows.is_empty());
            none.for_each(|rows| rows.clone_from(&row));
        }
        let known = |at: usize| at == last || view.is_exact();
        let looks = looks.into_iter().enumerate();
        Ok(looks.map(|(at, rows)| known(at).then_some(rows)).collect())
    }

    /// A view's rows as plain SQL over a relation like `log`.
    fn plain_sql(&self, view: &View, relation: &str, mistake: Mistake) -> String {
        let cut = |given: Given| Cut {
            relation,
            given,
            sessions: self.assigns_sessions(),
            mistake,
        };
        let given = match view.every {
            None => Given::Closed,
            Some(_) => Given::All,
        };
        match &view.what {
            What::Windowed(query) => query.plain(cut(given)),
            What::Top { of, limit, .. } => top_sql(&format!("({})", of.plain(cut(given))), *limit)
                .replace("SELECT k", "SELECT at, k")
                .replace("PARTITION BY ", "PARTITION BY at, "),
            What::First { of, limit } => first_sql(&of.plain(cut(Given::Closed)), *limit).replacen(
                "SELECT k",
                "SELECT at, k",
                1,
            ),
            What::Cascade {
                inner,
                middle,
                outer,
                ..
            } => {
                let over = |query: &Windowed, below: &str| {
                    let relation = format!(
                        "(SELECT at, k, c, s, window_time AS ts, -9000000000000000000 AS wm, 0 AS o, 0 AS p FROM ({below}))"
                    );
                    query.plain(Cut {
                        relation: &relation,
                        given: Given::All,
                        sessions: false,
                        mistake: Mistake::None,
                    })
                };
                let below = inner.plain(cut(Given::Final));
                match middle {
                    Some(middle) => over(outer, &over(middle, &below)),
                    None => over(outer, &below),
                }
            }
            What::Both(one, other) => format!(
                "{} UNION ALL {}",
                one.plain(cut(given)),
                other.plain(cut(given))
            ),
            What::Assigned(query) => query.plain(cut(Given::All)),
            What::Joined(join) => {
                let sides = [&join.one, &join.other].map(|side| side.plain(cut(given)));
                join.text(&sides[0], &sides[1], true)
            }
            What::Carried(carried) => {
                let windows = match &carried.over {
                    Over::Joined { of, .. } => vec![of.with_column("tick").plain(cut(given))],
                    over => over.windows().iter().map(|w| w.plain(cut(given))).collect(),
                };
                match &carried.over {
                    Over::Union(..) => carried.text(&windows, true),
                    _ => carried.text(&[format!("({})", windows[0])], true),
                }
            }
            What::Plain(plain) => plain.plain(relation),
        }
    }

    /// The view's own text over the rows that came, less those that are kept as late, gives the same rows, but for windows
    /// that have not closed. Says whether that can be told here: a row that was late for one window and not for another
    /// is in no table of late rows, and one that would have joined two sessions may have come when one had ended.
    fn check_bounded(
        &self,
        world: &World,
        view: &View,
        outcome: &Outcome,
        run: &Run,
    ) -> Result<bool, String> {
        let windows = view.what.windows();
        let ordered = windows.iter().any(|q| q.window.is_ordered());
        let tumbles = |q: &&Windowed| q.window.kind() == Kind::Tumble;
        let one_window = ordered || windows.iter().all(tumbles);
        let over_view = match view.what {
            What::Cascade { over, .. } => over != Below::Subquery,
            What::Top { inside, .. } => !inside,
            What::Carried(Carried {
                over: Over::Window { inside, .. },
                ..
            }) => !inside,
            _ => false,
        };
        let grew = self.table.as_ref().is_some_and(|t| !t.more.is_empty());
        let told = self.stream.in_time || one_window && windows.len() < 2;
        // A query that ends has seen all its windows close.
        let tells = |q: &&Windowed| q.complete != Complete::Nothing && !q.is_assigned();
        let tells = view.every.is_some() && windows.iter().any(tells);
        let unfinished = tells && !ordered && run.model.watermark < self.stream.last.ts;
        if over_view || grew || !told || unfinished {
            return Ok(false);
        }
        let late = |p: &&Placed| {
            let missed = |q: &&Windowed| match q.window.is_ordered() {
                true => p.row.ts <= p.watermark.saturating_sub(q.lateness),
                false => open_spans(q, p).is_empty(),
            };
            let missed = |q: &&Windowed| q.copies(p) > 0 && missed(q);
            one_window && windows.iter().any(|q| missed(q))
        };
        let closes =
            !windows.is_empty() && view.every.is_none() && !matches!(view.what, What::Assigned(_));
        let open = (closes || ordered) && run.model.watermark < self.stream.last.ts;
        let by_time = matches!(&view.what, What::Plain(plain) if plain.is_by_event_time());
        let rows: Vec<&Row> = run
            .model
            .placed
            .iter()
            .filter(|p| !(open && p.row.ts == self.stream.last.ts))
            .filter(|p| !late(p))
            .filter(|p| !by_time || p.row.ts > p.watermark)
            .map(|p| &p.row)
            .collect();
        let table: Vec<TableRow> = run.table.iter().map(|(row, _)| row.clone()).collect();
        let found = bounded::rows(world, &self.source, &view.select, &rows, &table)?;
        match difference(outcome.rows.clone(), found) {
            None => Ok(true),
            Some(wrong) => Err(format!("the same text over finite rows: {wrong}")),
        }
    }

    /// The same cuts give the same changes, bit by bit.
    fn check_replay(&self, world: &World, run: &Run) -> Result<(), String> {
        let again = self.run(world)?;
        for (first, second) in run.views.iter().zip(&again.views) {
            let (first, second) = (lines(&first.log)?, lines(&second.log)?);
            if first != second {
                let at = first
                    .iter()
                    .zip(&second)
                    .position(|(a, b)| a != b)
                    .unwrap_or(0);
                return Err(format!(
                    "the same run gave other changes: {:?} and then {:?}",
                    first.get(at),
                    second.get(at)
                ));
            }
        }
        Ok(())
    }
}
