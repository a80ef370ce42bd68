// SPDX-License-Identifier: GPL-2.0
//! Uses between the entries of each folder, and circles of such uses.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The entries of one folder: for each one, the other entries that it uses. A pair of files is an
/// example of each use.
type Folder = BTreeMap<String, BTreeMap<String, (String, String)>>;

/// All folders, by name.
#[derive(Default)]
pub struct Graph(BTreeMap<String, Folder>);

impl Graph {
    /// Records that file `user` uses file `used`, in the innermost folder that contains both.
    pub fn enter(&mut self, user: &str, used: &str) {
        let pairs = user.split('/').zip(used.split('/'));
        let common = pairs.take_while(|(a, b)| a == b).count();
        let (Some(a), Some(b)) = (up_to(user, common + 1), up_to(used, common + 1)) else {
            return;
        };
        let folder = up_to(user, common).unwrap_or_default();
        let uses = self.0.entry(folder.to_owned()).or_default();
        let of_a = uses.entry(a.to_owned()).or_default();
        of_a.entry(b.to_owned())
            .or_insert_with(|| (user.to_owned(), used.to_owned()));
    }

    /// Returns one of the shortest circles for each set of entries that all use each other.
    pub fn circles(&self) -> Vec<String> {
        self.0.values().flat_map(circles_in).collect()
    }
}

/// Returns the first `count` parts of a path, if it has that many.
fn up_to(path: &str, count: usize) -> Option<&str> {
    if count == 0 || path.split('/').count() < count {
        return None;
    }
    let mut slashes = path.match_indices('/').skip(count - 1);
    Some(slashes.next().map_or(path, |(at, _)| &path[..at]))
}

fn circles_in(folder: &Folder) -> Vec<String> {
    let mut told: BTreeSet<&str> = BTreeSet::new();
    let mut circles: Vec<Vec<&str>> = folder.keys().filter_map(|n| circle(folder, n)).collect();
    circles.sort_by_key(Vec::len);
    let mut texts = Vec::new();
    for circle in circles {
        if circle.iter().all(|name| !told.contains(name)) {
            texts.push(text(folder, &circle));
            // One circle is enough for all entries that use each other.
            let of_it = folder.keys().filter(|n| together(folder, circle[0], n));
            told.extend(of_it.map(String::as_str));
        }
    }
    texts
}

/// Returns whether two entries use each other, directly or through others.
fn together(folder: &Folder, a: &str, b: &str) -> bool {
    a == b || (way(folder, a, b).is_some() && way(folder, b, a).is_some())
}

/// Returns one of the shortest circles through `name`, from `name` on.
fn circle<'a>(folder: &'a Folder, name: &'a str) -> Option<Vec<&'a str>> {
    way(folder, name, name)
}

/// Returns one of the shortest ways from entry `from` to entry `to`, without `to`.
fn way<'a>(folder: &'a Folder, from: &'a str, to: &str) -> Option<Vec<&'a str>> {
    let mut ways = VecDeque::from([vec![from]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        let uses = way.last().and_then(|last| folder.get(*last));
        for used in uses.into_iter().flat_map(BTreeMap::keys) {
            if used == to {
                return Some(way);
            }
            if seen.insert(used) {
                let mut longer = way.clone();
                longer.push(used);
                ways.push_back(longer);
            }
        }
    }
    None
}

/// Returns `a uses b uses a`, with the files as examples if an entry is a folder.
fn text(folder: &Folder, circle: &[&str]) -> String {
    let around = circle.iter().chain(&circle[..1]);
    let mut text = around.copied().collect::<Vec<_>>().join(" uses ");
    if circle.iter().any(|name| !name.ends_with(".rs")) {
        let next = circle.iter().cycle().skip(1);
        let shown = circle.iter().zip(next).map(|(a, b)| {
            let (user, used) = &folder[*a][*b];
            format!("{user} uses {used}")
        });
        text += &format!(" ({})", shown.collect::<Vec<_>>().join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_its_first_parts() {
        assert_eq!(up_to("a/b/c.rs", 1), Some("a"));
        assert_eq!(up_to("a/b/c.rs", 3), Some("a/b/c.rs"));
        assert_eq!(up_to("a/b/c.rs", 4), None);
        assert_eq!(up_to("a/b/c.rs", 0), None);
    }

    #[test]
    fn a_file_of_a_folder_and_one_beside_it_can_make_a_circle() {
        let mut graph = Graph::default();
        graph.enter("soak.rs", "soak/changes.rs");
        graph.enter("soak/changes.rs", "soak/memory.rs");
        assert!(graph.circles().is_empty());
        graph.enter("soak/memory.rs", "soak.rs");
        assert_eq!(
            graph.circles(),
            ["soak uses soak.rs uses soak \
              (soak/memory.rs uses soak.rs, soak.rs uses soak/changes.rs)"]
        );
    }
}
