//! Settings of a session. Those without effect stand in the same list, each with its reason.

use std::collections::BTreeMap;

use dataflow::{Error, Location, Result, SqlState};
use pgcatalog::SettingInfo;

/// What a setting does.
enum Effect {
    /// It changes something here.
    Works,
    /// Nothing depends on it, for this reason.
    None(&'static str),
    /// It can be read only.
    Fixed,
}

struct Setting {
    name: &'static str,
    default: &'static str,
    effect: Effect,
    /// Clients are told of changes (ParameterStatus).
    reported: Option<&'static str>,
    check: Check,
}

enum Check {
    Any,
    Bool,
    Integer,
    Millis,
    OneOf(&'static [&'static str]),
    Zone,
}

const fn works(name: &'static str, default: &'static str, check: Check) -> Setting {
    Setting {
        name,
        default,
        effect: Effect::Works,
        reported: None,
        check,
    }
}

const fn none(
    name: &'static str,
    default: &'static str,
    check: Check,
    why: &'static str,
) -> Setting {
    Setting {
        name,
        default,
        effect: Effect::None(why),
        reported: None,
        check,
    }
}

const fn fixed(name: &'static str, value: &'static str) -> Setting {
    Setting {
        name,
        default: value,
        effect: Effect::Fixed,
        reported: None,
        check: Check::Any,
    }
}

const fn reported(setting: Setting, shown: &'static str) -> Setting {
    Setting {
        reported: Some(shown),
        ..setting
    }
}

/// Version of PostgreSQL whose answers clients get.
const SERVER_VERSION: &str = concat!("15.0 (clickmill ", env!("CARGO_PKG_VERSION"), ")");

const SETTINGS: &[Setting] = &[
    reported(
        works("application_name", "", Check::Any),
        "application_name",
    ),
    reported(works("timezone", "UTC", Check::Zone), "TimeZone"),
    works("statement_timeout", "0", Check::Millis),
    works(
        "subscribe_format",
        "auto",
        Check::OneOf(&["auto", "rows", "copy"]),
    ),
    reported(
        none(
            "datestyle",
            "ISO, MDY",
            Check::OneOf(&["iso", "iso, mdy", "iso, dmy", "iso, ymd"]),
            "output is ISO always",
        ),
        "DateStyle",
    ),
    reported(
        none(
            "intervalstyle",
            "postgres",
            Check::OneOf(&["postgres"]),
            "output is postgres always",
        ),
        "IntervalStyle",
    ),
    reported(
        none(
            "client_encoding",
            "UTF8",
            Check::OneOf(&["utf8", "utf-8", "unicode"]),
            "text is UTF-8 always",
        ),
        "client_encoding",
    ),
    reported(
        none(
            "standard_conforming_strings",
            "on",
            Check::OneOf(&["on", "true"]),
            "backslashes are plain always",
        ),
        "standard_conforming_strings",
    ),
    none(
        "extra_float_digits",
        "1",
        Check::Integer,
        "floats are printed so that they read back exactly",
    ),
    none(
        "client_min_messages",
        "notice",
        Check::OneOf(&["debug", "log", "info", "notice", "warning", "error"]),
        "notices are sent always",
    ),
    none(
        "search_path",
        "\"$user\", public",
        Check::Any,
        "there is one schema",
    ),
    none(
        "bytea_output",
        "hex",
        Check::OneOf(&["hex"]),
        "output is hex always",
    ),
    none(
        "lock_timeout",
        "0",
        Check::Millis,
        "there are no locks to wait for",
    ),
    none(
        "idle_in_transaction_session_timeout",
        "0",
        Check::Millis,
        "an idle transaction holds nothing",
    ),
    none(
        "default_transaction_isolation",
        "read committed",
        Check::Any,
        "each statement reads one version of everything",
    ),
    none(
        "transaction_isolation",
        "read committed",
        Check::Any,
        "each statement reads one version of everything",
    ),
    none(
        "default_transaction_read_only",
        "off",
        Check::OneOf(&["off", "false"]),
        "there are no read-only sessions",
    ),
    none(
        "transaction_read_only",
        "off",
        Check::OneOf(&["off", "false"]),
        "there are no read-only transactions",
    ),
    none(
        "synchronous_commit",
        "on",
        Check::Any,
        "what is kept is kept in memory",
    ),
    none(
        "row_security",
        "on",
        Check::Bool,
        "there are no row policies",
    ),
    none("jit", "off", Check::Bool, "there is no compiler"),
    reported(fixed("server_version", SERVER_VERSION), "server_version"),
    fixed("server_version_num", "150000"),
    reported(fixed("server_encoding", "UTF8"), "server_encoding"),
    reported(fixed("integer_datetimes", "on"), "integer_datetimes"),
    reported(fixed("is_superuser", "on"), "is_superuser"),
    reported(fixed("in_hot_standby", "off"), "in_hot_standby"),
    fixed("max_identifier_length", "63"),
    fixed("lc_collate", "C"),
    fixed("lc_ctype", "C"),
];

/// The settings of one session.
pub(crate) struct Settings {
    values: BTreeMap<&'static str, String>,
    changed: Vec<&'static str>,
}

fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|s| s.name.eq_ignore_ascii_case(name))
}

fn unknown(name: &str, at: Option<Location>) -> Error {
    let names: Vec<&str> = SETTINGS.iter().map(|s| s.name).collect();
    let error = Error::new(
        SqlState::UNDEFINED_OBJECT,
        format!("unrecognized configuration parameter \"{name}\""),
    )
    .at(at);
    match dataflow::options::nearest(name, &names) {
        Some(near) => error.hint(format!("did you mean \"{near}\"?")),
        None => error,
    }
}

impl Settings {
    pub(crate) fn new() -> Self {
        let changed = SETTINGS
            .iter()
            .filter(|s| s.reported.is_some())
            .map(|s| s.name)
            .collect();
        Self {
            values: BTreeMap::new(),
            changed,
        }
    }

    /// A setting's value.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        let setting = find(name)?;
        Some(
            self.values
                .get(setting.name)
                .cloned()
                .unwrap_or_else(|| setting.default.to_owned()),
        )
    }

    /// A setting's value, or the error for a name that is none.
    pub(crate) fn show(&self, name: &str, at: Option<Location>) -> Result<String> {
        self.get(name).ok_or_else(|| unknown(name, at))
    }

    /// Sets a value; `None` is the default.
    pub(crate) fn set(
        &mut self,
        name: &str,
        value: Option<&str>,
        at: Option<Location>,
    ) -> Result<()> {
        let setting = find(name).ok_or_else(|| unknown(name, at))?;
        if matches!(setting.effect, Effect::Fixed) {
            let message = format!("parameter \"{}\" cannot be changed", setting.name);
            return Err(Error::new(SqlState("55P02"), message).at(at));
        }
        match value {
            Some(value) => {
                let value = setting.accept(value).map_err(|e| e.at(at))?;
                self.values.insert(setting.name, value);
            }
            None => {
                self.values.remove(setting.name);
            }
        }
        if setting.reported.is_some() && !self.changed.contains(&setting.name) {
            self.changed.push(setting.name);
        }
        Ok(())
    }

    /// Sets everything back.
    pub(crate) fn reset_all(&mut self) {
        let set: Vec<&'static str> = self
            .values
            .keys()
            .copied()
            .filter(|n| *n != "application_name")
            .collect();
        for name in set {
            self.values.remove(name);
            if find(name).is_some_and(|s| s.reported.is_some()) && !self.changed.contains(&name) {
                self.changed.push(name);
            }
        }
    }

    /// Reported settings that changed since the last call, under the names that clients know.
    pub(crate) fn take_changed(&mut self) -> Vec<(&'static str, String)> {
        let changed = std::mem::take(&mut self.changed);
        changed
            .into_iter()
            .filter_map(|name| Some((find(name)?.reported?, self.get(name).unwrap_or_default())))
            .collect()
    }

    /// All settings for `pg_settings` and SHOW ALL.
    pub(crate) fn all(&self) -> Vec<SettingInfo> {
        let mut all: Vec<SettingInfo> = SETTINGS
            .iter()
            .map(|s| SettingInfo {
                name: s.name.to_owned(),
                value: self.get(s.name).unwrap_or_default(),
                description: match s.effect {
                    Effect::Works => "has effect".to_owned(),
                    Effect::None(why) => format!("has no effect: {why}"),
                    Effect::Fixed => "cannot be changed".to_owned(),
                },
                ..SettingInfo::default()
            })
            .collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }
}

impl Setting {
    /// The value as it is kept, or why it is refused.
    fn accept(&self, value: &str) -> Result<String> {
        let lower = value.to_ascii_lowercase();
        let refused = || {
            Error::new(
                SqlState::INVALID_PARAMETER,
                format!("invalid value for parameter \"{}\": \"{value}\"", self.name),
            )
        };
        match self.check {
            Check::Any => Ok(value.to_owned()),
            Check::Bool => match lower.as_str() {
                "on" | "true" | "yes" | "1" => Ok("on".to_owned()),
                "off" | "false" | "no" | "0" => Ok("off".to_owned()),
                _ => Err(refused()),
            },
            Check::Integer => value
                .parse::<i64>()
                .map(|v| v.to_string())
                .map_err(|_| refused()),
            Check::Millis => match value.trim().parse::<u64>() {
                Ok(millis) => Ok(millis.to_string()),
                Err(_) => dataflow::options::parse_duration(value)
                    .map(|d| d.as_millis().to_string())
                    .ok_or_else(refused),
            },
            Check::OneOf(choices) => {
                let spaced = lower.replace(",", ", ").replace(",  ", ", ");
                match choices.contains(&lower.as_str()) || choices.contains(&spaced.as_str()) {
                    true if self.name == "subscribe_format" => Ok(lower),
                    true => Ok(self.default.to_owned()),
                    false => Err(refused().hint(format!("values: {}", choices.join("; ")))),
                }
            }
            Check::Zone => zone(value).ok_or_else(refused),
        }
    }
}

/// The name of a time zone that Arrow knows.
fn zone(value: &str) -> Option<String> {
    if value.eq_ignore_ascii_case("utc") || value.eq_ignore_ascii_case("gmt") || value == "Etc/UTC"
    {
        return Some("UTC".to_owned());
    }
    value
        .parse::<datafusion::arrow::array::timezone::Tz>()
        .ok()
        .map(|_| value.to_owned())
}
