//! The pages of the imagined shop, most visited first.

/// Pages that are not products, by rank among themselves.
const PLACES: [&str; 24] = [
    "/home",
    "/search",
    "/products",
    "/cart",
    "/login",
    "/checkout",
    "/account",
    "/deals",
    "/admin",
    "/categories/electronics",
    "/categories/clothing",
    "/categories/home-and-garden",
    "/categories/books",
    "/categories/toys",
    "/account/orders",
    "/account/wishlist",
    "/help",
    "/help/returns",
    "/help/shipping",
    "/about",
    "/contact",
    "/admin/orders",
    "/admin/users",
    "/blog",
];

const KINDS: [&str; 16] = [
    "laptop",
    "phone",
    "headphones",
    "camera",
    "monitor",
    "keyboard",
    "backpack",
    "jacket",
    "sneakers",
    "t-shirt",
    "lamp",
    "armchair",
    "coffee-maker",
    "novel",
    "puzzle",
    "bicycle",
];

/// All pages by rank.
#[derive(Clone, Debug)]
pub(crate) struct Pages {
    names: Vec<String>,
    products: Vec<u32>,
    checkout: u32,
}

impl Pages {
    /// `count` pages: every second of the first ranks is a place of the shop, the rest are products.
    pub(crate) fn new(count: u32) -> Self {
        let (mut names, mut products, mut checkout) = (Vec::new(), Vec::new(), 0);
        let mut places = PLACES.into_iter();
        for rank in 0..count {
            let place = if rank < 4 || rank % 2 == 0 {
                places.next()
            } else {
                None
            };
            names.push(match place {
                Some(place) => place.to_owned(),
                None => {
                    products.push(rank);
                    format!(
                        "/products/{}-{:04}",
                        KINDS[rank as usize % KINDS.len()],
                        rank
                    )
                }
            });
            if place == Some("/checkout") {
                checkout = rank;
            }
        }
        Self {
            names,
            products,
            checkout,
        }
    }

    pub(crate) fn name(&self, rank: u32) -> &str {
        &self.names[rank as usize]
    }

    /// The product page nearest in rank to `rank`; `rank` itself when there are no products.
    pub(crate) fn product(&self, rank: u32) -> u32 {
        let at = self.products.partition_point(|product| *product < rank);
        self.products
            .get(at)
            .or(self.products.last())
            .copied()
            .unwrap_or(rank)
    }

    pub(crate) fn checkout(&self) -> u32 {
        self.checkout
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_distinct_and_hold_the_known_ones() {
        let pages = Pages::new(1_000);
        let distinct: std::collections::HashSet<_> = pages.names.iter().collect();
        assert_eq!(distinct.len(), 1_000);
        assert_eq!(pages.name(0), "/home");
        assert_eq!(pages.name(pages.checkout()), "/checkout");
        assert!(
            PLACES
                .iter()
                .all(|place| pages.names.iter().any(|name| name == place))
        );
        assert!(pages.name(pages.product(0)).starts_with("/products/"));
        assert!(pages.name(pages.product(999)).starts_with("/products/"));
    }

    #[test]
    fn one_page_is_enough() {
        let pages = Pages::new(1);
        assert_eq!((pages.product(0), pages.checkout()), (0, 0));
    }
}
