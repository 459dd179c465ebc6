//! The SQL of the documentation is run: every block marked `sql`, in order, one database for each page.

use e2e::tools::{files, repository};
use e2e::world::{World, block_on};
use libtest_mimic::{Failed, Trial};

pub(super) fn trials() -> Vec<Trial> {
    let pages = files(&repository().join("docs"), "md").into_iter();
    pages
        .filter(|page| std::fs::read_to_string(page).is_ok_and(|text| !blocks(&text).is_empty()))
        .map(|page| {
            let name = page
                .file_stem()
                .unwrap()
                .to_string_lossy()
                .replace('-', "_");
            Trial::test(format!("documents::{name}"), move || {
                run(&std::fs::read_to_string(page)?)
            })
        })
        .collect()
}

fn run(page: &str) -> Result<(), Failed> {
    let world = World::with_manual_clock();
    block_on(async {
        let mut client = world.connect();
        for (line, block) in blocks(page) {
            if let Err(error) = client.run(&block).await {
                return Err(Failed::from(format!(
                    "the block at line {line}: {error:?}\n{block}"
                )));
            }
        }
        Ok(())
    })
}

/// Blocks fenced by ```` ```sql ````, each with the line at which it begins.
fn blocks(page: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut inside = false;
    for (number, line) in (1..).zip(page.lines()) {
        match line.trim_end() {
            "```sql" => {
                inside = true;
                found.push((number + 1, String::new()));
            }
            "```" => inside = false,
            text if inside => {
                let (_, block) = found.last_mut().expect("a block has begun");
                block.push_str(text);
                block.push('\n');
            }
            _ => {}
        }
    }
    found
}
