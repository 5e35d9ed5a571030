//! An asset database in miniature: text, records, an index over their words, answers.

use std::collections::HashMap;
use std::fmt::Write;

use serde::Deserialize;
use serde_json::{Map, Value};

const KINDS: [&str; 6] = ["mesh", "texture", "material", "sound", "animation", "prefab"];
const WORDS: [&str; 32] = [
    "ancient", "arch", "bark", "basalt", "bronze", "canyon", "cloth", "copper", "crystal", "door", "fern", "gate",
    "glass", "gold", "granite", "iron", "lantern", "leaf", "marble", "moss", "oak", "pillar", "pine", "plaster",
    "river", "rope", "rust", "sand", "slate", "snow", "stone", "tile",
];

/// Records between two frames.
const RECORDS_A_FRAME: usize = 5_000;
const QUERIES: usize = 2_000;
const QUERIES_A_FRAME: usize = 100;

#[derive(Debug, Deserialize)]
pub(crate) struct Catalogue {
    pub(crate) assets: Vec<Asset>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Asset {
    id: u32,
    name: String,
    description: String,
    tags: Vec<String>,
    /// Whatever else the tools that made it had to say.
    #[expect(dead_code, reason = "kept, as engines keep it")]
    properties: Map<String, Value>,
}

/// Which assets have a word in their description.
#[derive(Debug)]
pub(crate) struct Index {
    by_word: HashMap<String, Vec<u32>>,
    by_name: HashMap<String, u32>,
}

impl Index {
    pub(crate) fn words(&self) -> usize {
        self.by_word.len()
    }
}

/// About so many bytes of JSON; the same at each call.
pub(crate) fn generate(bytes: usize) -> String {
    let mut random = Random(0x5eed);
    let mut text = String::with_capacity(bytes + 1_024);
    text.push_str("{\"assets\":[");
    let mut id = 0;
    while text.len() < bytes {
        if id > 0 {
            text.push(',');
        }
        write_asset(&mut text, id, &mut random);
        id += 1;
    }
    text.push_str("]}");
    text
}

fn write_asset(text: &mut String, id: u32, random: &mut Random) {
    let [material, thing, kind] = [random.word(), random.word(), KINDS[random.below(KINDS.len())]];
    // Writing to a `String` does not fail.
    let _ = write!(text, r#"{{"id":{id},"name":"{kind}/{thing}_{material}_{id}","description":""#);
    for n in 0..8 + random.below(24) {
        let _ = write!(text, "{}{}", if n > 0 { " " } else { "" }, random.word());
        if random.below(4) == 0 {
            let _ = write!(text, "{}", random.below(2_000));
        }
    }
    let _ = write!(text, r#"","tags":["{kind}","{material}","{thing}"],"properties":{{"lods":["#);
    for lod in 0..1 + random.below(4) {
        let comma = if lod > 0 { "," } else { "" };
        let _ = write!(text, r#"{comma}{{"triangles":{},"distance":{}.5}}"#, 64 << random.below(10), lod * 20);
    }
    let _ = write!(text, r#"],"author":"{}","cooked":{}}}}}"#, random.word(), random.below(2) == 0);
}

pub(crate) fn parse(text: &str) -> Result<Catalogue, serde_json::Error> {
    serde_json::from_str(text)
}

/// Each word of each description, in lower case, with the assets that have it.
pub(crate) fn index(catalogue: &Catalogue, mut frame: impl FnMut()) -> Index {
    let mut index = Index { by_word: HashMap::new(), by_name: HashMap::new() };
    for (n, asset) in catalogue.assets.iter().enumerate() {
        index.by_name.insert(asset.name.clone(), asset.id);
        for word in asset.description.split(' ').chain(asset.tags.iter().map(String::as_str)) {
            let assets = index.by_word.entry(word.to_lowercase()).or_default();
            if assets.last() != Some(&asset.id) {
                assets.push(asset.id);
            }
        }
        if n % RECORDS_A_FRAME == 0 {
            frame();
        }
    }
    index
}

/// The assets that have both of two words; a question that was asked before has its answer kept.
pub(crate) fn query(index: &Index, mut frame: impl FnMut()) -> HashMap<String, Vec<u32>> {
    let mut random = Random(0xa5);
    let mut answers = HashMap::new();
    for n in 0..QUERIES {
        let (one, other) = (random.word(), random.word());
        let question = format!("{one} {other}");
        answers.entry(question).or_insert_with(|| both(index, one, other));
        if n % QUERIES_A_FRAME == 0 {
            frame();
        }
    }
    answers
}

fn both(index: &Index, one: &str, other: &str) -> Vec<u32> {
    let (Some(one), Some(other)) = (index.by_word.get(one), index.by_word.get(other)) else { return Vec::new() };
    // Ascending, since assets were indexed in the order of their numbers.
    one.iter().copied().filter(|id| other.binary_search(id).is_ok()).take(100).collect()
}

/// Drops every other asset, and gives back the room that they had.
pub(crate) fn drop_half(catalogue: &mut Catalogue) {
    catalogue.assets.retain(|asset| asset.id % 2 == 0);
    catalogue.assets.shrink_to_fit();
}

/// The same numbers at each run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    fn word(&mut self) -> &'static str {
        WORDS[self.below(WORDS.len())]
    }
}
