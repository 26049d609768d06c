//! Who is meant by a name: the filters of all subscriptions, level by level.
//!
//! A name is matched against all filters at once. At each level the walk goes on from the nodes that match so far, each once; so it
//! visits no more nodes than there are, and of those without wildcards no more than the name has levels. There is nothing to go
//! back to: `#` is the end of a filter.

use super::name::{Level, TopicFilter, TopicName};
use crate::table::Key;
use std::collections::BTreeMap;

/// The filters, each with a subscription.
#[derive(Debug)]
pub(super) struct Trie {
    nodes: Vec<Node>,
    free: Vec<u32>,
    /// How often it has changed: what was found before is still right while this is the same.
    version: u64,
    /// The walk's own memory.
    frontier: Vec<u32>,
    next: Vec<u32>,
    #[cfg(test)]
    pub(super) visited: usize,
}

/// One level of filters that begin alike.
#[derive(Debug, Default)]
struct Node {
    parent: u32,
    literals: BTreeMap<Box<str>, u32>,
    one: Option<u32>,
    /// Whose filter ends here.
    here: Vec<Key>,
    /// Whose filter goes on with `#`.
    rest: Vec<Key>,
}

/// Where a subscription is, so that it is taken out without a search.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    node: u32,
    is_rest: bool,
    at: u32,
}

const ROOT: u32 = 0;

impl Trie {
    pub(super) fn new() -> Trie {
        Trie {
            nodes: vec![Node::default()],
            free: Vec::new(),
            version: 1,
            frontier: Vec::new(),
            next: Vec::new(),
            #[cfg(test)]
            visited: 0,
        }
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn insert(&mut self, filter: TopicFilter<'_>, subscription: Key) -> Place {
        self.version += 1;
        let (mut node, mut is_rest) = (ROOT, false);
        for level in filter.levels() {
            match Level::of(level) {
                Level::Rest => is_rest = true,
                level => node = self.child_or_new(node, level),
            }
        }
        let list = self.nodes[node as usize].list(is_rest);
        list.push(subscription);
        Place { node, is_rest, at: (list.len() - 1) as u32 }
    }

    /// Takes a subscription out, and what nobody needs any more. Another one may have moved to its place, and is returned.
    pub(super) fn remove(&mut self, filter: TopicFilter<'_>, place: Place) -> Option<Key> {
        self.version += 1;
        let list = self.nodes[place.node as usize].list(place.is_rest);
        list.swap_remove(place.at as usize);
        let moved = list.get(place.at as usize).copied();
        let mut node = place.node;
        for level in filter.levels().rev().map(Level::of).filter(|level| *level != Level::Rest) {
            if !self.nodes[node as usize].is_empty() {
                break;
            }
            let parent = self.nodes[node as usize].parent;
            match level {
                Level::Literal(level) => drop(self.nodes[parent as usize].literals.remove(level)),
                _ => self.nodes[parent as usize].one = None,
            }
            self.free.push(node);
            node = parent;
        }
        moved
    }

    /// Appends every subscription whose filter means `name`, each once.
    pub(super) fn find(&mut self, name: TopicName<'_>, found: &mut Vec<Key>) {
        self.frontier.clear();
        self.frontier.push(ROOT);
        for level in name.levels() {
            self.next.clear();
            for node in &self.frontier {
                let node = &self.nodes[*node as usize];
                found.extend_from_slice(&node.rest);
                self.next.extend(node.literals.get(level));
                self.next.extend(node.one);
            }
            core::mem::swap(&mut self.frontier, &mut self.next);
            #[cfg(test)]
            {
                self.visited += self.frontier.len();
            }
            if self.frontier.is_empty() {
                return;
            }
        }
        for node in &self.frontier {
            let node = &self.nodes[*node as usize];
            found.extend_from_slice(&node.rest);
            found.extend_from_slice(&node.here);
        }
    }

    /// Nodes in use.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.nodes.len() - self.free.len()
    }

    fn child_or_new(&mut self, parent: u32, level: Level<'_>) -> u32 {
        let node = &self.nodes[parent as usize];
        let child = match level {
            Level::Literal(level) => node.literals.get(level).copied(),
            _ => node.one,
        };
        child.unwrap_or_else(|| {
            let child = self.add(parent);
            let node = &mut self.nodes[parent as usize];
            match level {
                Level::Literal(level) => drop(node.literals.insert(level.into(), child)),
                _ => node.one = Some(child),
            }
            child
        })
    }

    fn add(&mut self, parent: u32) -> u32 {
        let node = Node { parent, ..Node::default() };
        if let Some(index) = self.free.pop() {
            self.nodes[index as usize] = node;
            return index;
        }
        self.nodes.push(node);
        (self.nodes.len() - 1) as u32
    }
}

impl Node {
    fn list(&mut self, is_rest: bool) -> &mut Vec<Key> {
        if is_rest { &mut self.rest } else { &mut self.here }
    }

    fn is_empty(&self) -> bool {
        self.here.is_empty() && self.rest.is_empty() && self.literals.is_empty() && self.one.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Table;

    fn filter(text: &str) -> TopicFilter<'_> {
        TopicFilter::new(text).unwrap()
    }

    fn trie(filters: &[String]) -> (Trie, Vec<Place>) {
        let (mut trie, mut keys) = (Trie::new(), Table::new());
        let places = filters.iter().map(|text| trie.insert(filter(text), keys.insert(()))).collect();
        (trie, places)
    }

    fn find(trie: &mut Trie, name: &str) -> usize {
        let mut found = Vec::new();
        trie.visited = 0;
        trie.find(TopicName::new(name).unwrap(), &mut found);
        found.len()
    }

    #[test]
    fn what_others_mean_costs_nothing() {
        let filters: Vec<String> = (0..20_000).map(|n| format!("site/{n}/heat")).collect();
        let (mut trie, _) = trie(&filters);
        assert_eq!(find(&mut trie, "site/77/heat"), 1);
        assert!(trie.visited <= 3, "{} nodes for one match among {}", trie.visited, filters.len());
    }

    /// Every filter of `a` and `+` on 12 levels but for the last one, so that all match until then: no more steps than there are nodes,
    /// where a walk that goes back would take as many as there are ways through them.
    #[test]
    fn nested_wildcards_are_no_more_than_the_nodes_that_they_are() {
        let filters: Vec<String> = (0..1_u32 << 12)
            .map(|bits| {
                let levels = (0..12).map(|level| if bits >> level & 1 == 0 { "a" } else { "+" });
                levels.chain(["x"]).collect::<Vec<_>>().join("/")
            })
            .collect();
        let (mut trie, _) = trie(&filters);
        assert_eq!(find(&mut trie, &["a"; 13].join("/")), 0);
        assert!(trie.visited < trie.len(), "{} of {} nodes", trie.visited, trie.len());
    }

    #[test]
    fn the_deepest_wildcards_of_all_take_a_step_for_each_level() {
        let (mut trie, _) = trie(&[["+"; 32].join("/"), ["+"; 31].join("/") + "/#", "#".into()]);
        assert_eq!(find(&mut trie, &["x"; 32].join("/")), 3);
        assert!(trie.visited <= 32, "{}", trie.visited);
    }

    #[test]
    fn what_is_taken_out_leaves_nothing_behind() {
        let filters: Vec<String> = ["a", "a", "a/b", "a/+/c", "a/#", "#", "+", "a/b/#"].map(String::from).into();
        for first in 0..filters.len() {
            let (mut trie, mut places) = trie(&filters);
            for step in 0..filters.len() {
                let index = (first + step) % filters.len();
                let moved = trie.remove(filter(&filters[index]), places[index]);
                if index < 2 {
                    // The two that are alike: the other one may have moved.
                    let other = 1 - index;
                    if moved.is_some() {
                        places[other] = places[index];
                    }
                }
                assert!(index < 2 || moved.is_none());
            }
            assert_eq!((trie.len(), find(&mut trie, "a/b/c")), (1, 0));
        }
    }
}
