//! Cases whose views stand over windows: windows over them, joins of them, aggregations by the window that rows carry.

use super::super::carried::{Carried, Over};
use super::super::emission::every;
use super::super::join::Join;
use super::super::query::Windowed;
use super::super::random::Random;
use super::super::stream::Interest;
use super::super::window::Kind;
use super::{Below, Case, What};

/// Windows over windows.
const SECOND_KINDS: [Kind; 5] = [
    Kind::Hop,
    Kind::Hop,
    Kind::Tumble,
    Kind::Cumulate,
    Kind::Session,
];

impl Case {
    pub(super) fn cascade(seed: u64, mut random: Random, kind: Kind) -> Self {
        let mut inner = Windowed::inner(&mut random, kind);
        let over = *random.pick(&[
            Below::View,
            Below::View,
            Below::CorrectedView,
            Below::Subquery,
        ]);
        let allowed = over == Below::CorrectedView || !inner.window.is_ordered();
        if over != Below::Subquery && allowed {
            inner.allow_lateness(&mut random, 25);
        }
        let second = *random.pick(&SECOND_KINDS);
        let mut outer = Windowed::outer(&mut random, second, &inner);
        let deep = over != Below::Subquery && !inner.window.is_zoned() && random.chance(30);
        let middle = deep.then(|| {
            let third = *random.pick(&SECOND_KINDS);
            let middle = Windowed::middle(&mut random, third, &inner);
            outer = Windowed::outer(&mut random, second, &middle);
            middle
        });
        let (below, above) = (inner.interest(), outer.interest());
        let between = middle.as_ref().map_or(0, |m| m.interest().tail);
        let interest = Interest {
            tail: below.tail + between + above.tail,
            ..below
        };
        let mut case = Self::begin(seed, &interest);
        // Within one query there are no final rows of a window that is corrected.
        let updating = over != Below::Subquery && random.chance(50);
        let above = updating.then(|| every(&mut random));
        case.kinds.push(match (over, above) {
            _ if deep => "window over a window over a view",
            (Below::Subquery, _) => "window over a windowed subquery",
            (_, None) => "window over a view",
            (_, Some(_)) => "window over a view, updating",
        });
        let sql = inner.continuous("s", "ts");
        let mut from = format!("({sql})");
        if over == Below::Subquery {
            outer.partition = false;
        } else {
            let corrected = (over == Below::CorrectedView).then(|| every(&mut random));
            let what = What::Windowed(inner.clone());
            case.add(&mut random, &sql, what, corrected);
            from = "v0".to_owned();
        }
        let over = match over {
            Below::View if inner.lateness > 0 => Below::CorrectedView,
            _ => over,
        };
        if over == Below::CorrectedView {
            case.forms.insert("window over a corrected view");
        }
        if let Some(middle) = &middle {
            let what = What::Cascade {
                inner: inner.clone(),
                middle: None,
                outer: middle.clone(),
                over,
            };
            let sql = middle.continuous(&from, "window_time");
            case.add(&mut random, &sql, what, None);
            from = "v1".to_owned();
        }
        let what = What::Cascade {
            inner: inner.clone(),
            over: if deep { Below::View } else { over },
            middle,
            outer: outer.clone(),
        };
        let sql = outer.continuous(&from, "window_time");
        case.add(&mut random, &sql, what, above);
        case.window = Some(inner);
        case.done(random)
    }

    pub(super) fn joined(seed: u64, mut random: Random, kind: Kind) -> Self {
        let join = Join::random(&mut random, kind);
        let mut case = Self::begin(seed, &join.one.interest());
        case.kinds.push(join.form);
        if join.is_grouped() {
            case.forms.insert("GROUP BY the window of a join");
        }
        let sides = [&join.one, &join.other].map(|side| side.continuous("s", "ts"));
        let sql = join.text(&sides[0], &sides[1], false);
        case.window = Some(join.one.clone());
        case.add(&mut random, &sql, What::Joined(join), None);
        case.done(random)
    }

    pub(super) fn carried(seed: u64, mut random: Random, kind: Kind) -> Self {
        let mut carried = Carried::random(&mut random, kind);
        let mut every_at_most = None;
        if let Over::Joined { of, .. } = &mut carried.over
            && random.chance(70)
        {
            of.allow_lateness(&mut random, 25);
            every_at_most = Some(every(&mut random));
        }
        let windows = carried.over.windows();
        let tails = windows.iter().map(|w| w.interest().tail);
        let interest = Interest {
            tail: tails.max().unwrap_or(0),
            ..windows[0].interest()
        };
        let mut case = Self::begin(seed, &interest);
        case.kinds.push(carried.form);
        case.window = Some(windows[0].clone());
        let mut texts: Vec<String> = windows.iter().map(|w| w.continuous("s", "ts")).collect();
        match &carried.over {
            Over::Window { of, inside: false } => {
                let what = What::Windowed(of.clone());
                case.add(&mut random, &texts[0], what, None);
                texts = vec!["v0".to_owned()];
            }
            Over::Union(..) => {}
            _ => texts[0] = format!("({})", texts[0]),
        }
        if every_at_most.is_some() {
            case.forms
                .insert("GROUP BY the window of a join with a table, updating");
        }
        let sql = carried.text(&texts, false);
        case.add(&mut random, &sql, What::Carried(carried), every_at_most);
        case.done(random)
    }
}
