//! Windowed queries as text: as clickmill reads them, and as plain SQL.

use dataflow::time::format_utc;

use super::super::window::Kind;
use super::{Call, Complete, Cut, Given, Mistake, Windowed};

impl Windowed {
    fn group_by(&self, windows: &[String]) -> String {
        let keys = self.keys.iter().map(|k| k.sql.to_owned());
        let mut all: Vec<String> = match self.sets {
            Some(sets) => vec![sets.sql.to_owned()],
            None => keys.collect(),
        };
        all.extend_from_slice(windows);
        all.join(", ")
    }

    fn select(
        &self,
        shown: &[String],
        from: &str,
        conditions: &[String],
        group_by: &str,
    ) -> String {
        let mut sql = format!("SELECT {} FROM {from}", shown.join(", "));
        if !conditions.is_empty() {
            sql += &format!(" WHERE {}", conditions.join(" AND "));
        }
        if !self.grouped.is_empty() {
            sql += &format!(" GROUP BY {group_by}");
        }
        if let Some(having) = self.having {
            sql += &format!(" HAVING {having}");
        }
        sql
    }

    fn filters(&self) -> Vec<String> {
        self.filter.iter().map(|c| format!("({})", c.sql)).collect()
    }

    /// As clickmill reads it, over relation `name` with event time `time`.
    pub(in crate::suites::oracle) fn continuous(&self, name: &str, time: &str) -> String {
        let (with, relation) = self.input.continuous(name);
        let flink = matches!(self.call, Call::Flink | Call::Group);
        let function = format!("{:?}", self.window.kind()).to_uppercase();
        let arguments = self.window.arguments(flink, self.call == Call::Named);
        let mut relation_read = relation.clone();
        if self.call == Call::Flink && !relation.starts_with('(') && with.is_empty() {
            relation_read = format!("TABLE {relation}");
        }
        if self.writes_partition() {
            let keys: Vec<&str> = self.keys.iter().map(|k| k.sql).collect();
            relation_read += &format!(" PARTITION BY {}", keys.join(", "));
        }
        let from = match self.call {
            Call::Short => format!("{function}({relation_read}, {time}, {arguments})"),
            Call::Flink => {
                format!("TABLE({function}({relation_read}, DESCRIPTOR({time}), {arguments}))")
            }
            Call::Named => {
                format!("{function}(data => {relation_read}, timecol => {time}, {arguments})")
            }
            Call::Group if relation.starts_with('(') => format!("{relation} AS r"),
            Call::Group => relation,
        };
        let mut conditions = self.filters();
        if let Some((column, at)) = self.bound {
            conditions.push(format!("{column} >= TIMESTAMPTZ '{}'", format_utc(at)));
        }
        if self.complete == Complete::Wanted {
            conditions.push("window_complete".to_owned());
        }
        let (shown, group_by) = if self.call == Call::Group {
            let call = format!("{function}({time}, {arguments})");
            let auxiliary = |c: &String| match c.as_str() {
                "window_start" => call.replacen('(', "_START(", 1) + " AS window_start",
                "window_end" => call.replacen('(', "_END(", 1) + " AS window_end",
                "window_time" => call.replacen('(', "_ROWTIME(", 1) + " AS window_time",
                other => other.to_owned(),
            };
            let shown = self.shown.iter().map(auxiliary).collect();
            (shown, self.group_by(std::slice::from_ref(&call)))
        } else {
            let columns: Vec<String> = self.grouped.iter().map(|c| (*c).to_owned()).collect();
            (self.shown.clone(), self.group_by(&columns))
        };
        let sql = with + &self.select(&shown, &from, &conditions, &group_by);
        if self.around {
            format!("SELECT * FROM ({sql}) AS around")
        } else {
            sql
        }
    }

    /// As plain SQL.
    pub(in crate::suites::oracle) fn plain(&self, cut: Cut<'_>) -> String {
        let relation = self.input.plain(cut.relation);
        let window = match cut.mistake {
            Mistake::Size => self.window.longer(),
            _ => self.window,
        };
        let assigned = if cut.sessions && window.kind() == Kind::Session {
            format!(
                "SELECT *, session_start AS window_start, session_end AS window_end, session_end - 1000 AS window_time \
                 FROM {relation} WHERE session_start IS NOT NULL"
            )
        } else {
            let keys: Vec<&str> = self.keys.iter().map(|k| k.sql).collect();
            let keys = std::iter::once("at").chain(keys).collect::<Vec<_>>();
            window.plain(&relation, &keys.join(", "), cut.mistake == Mistake::Gap)
        };
        let mut conditions = self.filters();
        let (lateness, allowed) = (self.lateness, self.allowed(cut.mistake));
        match cut.mistake {
            Mistake::NoLateness => {}
            Mistake::Lateness => conditions.push(format!("window_end + {allowed} > wm")),
            _ => conditions.push(format!("window_end - 1 + {allowed} > wm")),
        }
        let is_final = format!("window_end - 1 + {lateness} <= now");
        match cut.given {
            Given::All => {}
            Given::Closed => conditions.push("window_end - 1 <= now".to_owned()),
            Given::Final => conditions.push(is_final.clone()),
        }
        let assigned = match self.complete {
            Complete::Nothing => assigned,
            // A row that is not grouped is never corrected.
            _ if self.grouped.is_empty() => {
                format!("SELECT *, true AS window_complete FROM ({assigned})")
            }
            _ => format!("SELECT *, {is_final} AS window_complete FROM ({assigned})"),
        };
        if self.complete == Complete::Wanted {
            conditions.push("window_complete".to_owned());
        }
        if let Some((column, at)) = self.bound {
            conditions.push(format!("{column} >= {at}"));
        }
        let mut shown = vec!["at".to_owned()];
        let by_look = |c: &String| c.replace("PARTITION BY ", "PARTITION BY at, ");
        shown.extend(self.shown.iter().map(by_look));
        let mut columns = vec!["at".to_owned()];
        columns.extend(self.grouped.iter().map(|c| (*c).to_owned()));
        let group_by = self.group_by(&columns);
        self.select(&shown, &format!("({assigned})"), &conditions, &group_by)
    }
}
