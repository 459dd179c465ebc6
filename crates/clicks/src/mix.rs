//! The four kinds of event and their shares.

use std::fmt;
use std::str::FromStr;

/// What a user did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// A page was shown.
    PageView,
    /// Something on a page was clicked.
    Click,
    /// A product was put into the cart.
    AddToCart,
    /// The cart was bought.
    Purchase,
}

impl EventType {
    /// All four, in the order of [`Mix`].
    pub const ALL: [Self; 4] = [Self::PageView, Self::Click, Self::AddToCart, Self::Purchase];

    /// The value of the field `eventType`.
    pub fn name(self) -> &'static str {
        match self {
            Self::PageView => "page_view",
            Self::Click => "click",
            Self::AddToCart => "add_to_cart",
            Self::Purchase => "purchase",
        }
    }
}

/// Weights of the four kinds, in the order of [`EventType::ALL`]; they need not sum to 100.
///
/// As text: `page_view=60,click=25,add_to_cart=10,purchase=5`; a kind that is left out has weight 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mix([u32; 4]);

impl Default for Mix {
    fn default() -> Self {
        Self([60, 25, 10, 5])
    }
}

impl Mix {
    /// Largest weight that one kind may have.
    pub const MAX_WEIGHT: u32 = 1_000_000;

    /// The sum of the weights, at least 1.
    pub(crate) fn total(self) -> u32 {
        self.0.iter().sum()
    }

    /// The kind that number `at`, below [`Mix::total`], falls on.
    pub(crate) fn pick(self, mut at: u32) -> EventType {
        for (kind, weight) in EventType::ALL.into_iter().zip(self.0) {
            if at < weight {
                return kind;
            }
            at -= weight;
        }
        EventType::PageView
    }
}

impl FromStr for Mix {
    type Err = String;

    /// The error says what is wrong in one lower-case sentence.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut weights: [Option<u32>; 4] = [None; 4];
        for part in text.split(',') {
            let Some((name, weight)) = part.split_once('=') else {
                return Err(format!("'{part}' is not of the form kind=weight"));
            };
            let (name, weight) = (name.trim(), weight.trim());
            let Some(at) = EventType::ALL.iter().position(|kind| kind.name() == name) else {
                let known = EventType::ALL.map(EventType::name).join(", ");
                return Err(format!("unknown event type '{name}'; there are {known}"));
            };
            let weight = weight.strip_suffix('%').unwrap_or(weight);
            let Some(weight) = weight.parse().ok().filter(|w| *w <= Self::MAX_WEIGHT) else {
                return Err(format!(
                    "weight '{weight}' of '{name}' is not a whole number from 0 to {}",
                    Self::MAX_WEIGHT
                ));
            };
            if weights[at].replace(weight).is_some() {
                return Err(format!("'{name}' is given twice"));
            }
        }
        let mix = Self(weights.map(Option::unwrap_or_default));
        if mix.total() == 0 {
            Err("at least one weight must be above 0".to_owned())
        } else {
            Ok(mix)
        }
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (kind, weight)) in EventType::ALL.into_iter().zip(self.0).enumerate() {
            let comma = if i == 0 { "" } else { "," };
            write!(f, "{comma}{}={weight}", kind.name())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips() {
        let text = "page_view=60,click=25,add_to_cart=10,purchase=5";
        assert_eq!(text.parse::<Mix>(), Ok(Mix::default()));
        assert_eq!(Mix::default().to_string(), text);
        assert_eq!(
            "click = 1".parse::<Mix>().map(|m| m.to_string()).unwrap(),
            "page_view=0,click=1,add_to_cart=0,purchase=0"
        );
    }

    #[test]
    fn bad_texts_are_refused_with_their_reason() {
        for (text, reason) in [
            ("", "'' is not of the form kind=weight"),
            (
                "views=1",
                "unknown event type 'views'; there are page_view, click, add_to_cart, purchase",
            ),
            (
                "click=x",
                "weight 'x' of 'click' is not a whole number from 0 to 1000000",
            ),
            ("click=1,click=2", "'click' is given twice"),
            ("click=0", "at least one weight must be above 0"),
        ] {
            assert_eq!(text.parse::<Mix>(), Err(reason.to_owned()));
        }
    }
}
